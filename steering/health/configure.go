package health

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"fairway/steering"
)

// Configure takes over a revision's subjects, vantages and regions. What is
// known of unchanged subjects stays; a changed one starts anew under its last
// verdict; a removed one loses its row with the next Judge.
func (j *Judge) Configure(r *steering.Revision) {
	old := *j
	j.vantages = make(map[string]int, len(r.Vantages))
	j.names = nil
	for i := range r.Vantages {
		j.vantages[r.Vantages[i].Name] = i
		j.names = append(j.names, r.Vantages[i].Name)
	}
	j.revision = r
	j.networks = networksOf(r)
	j.tallies, j.sick = make([]tally, len(r.Vantages)), make([]bool, len(r.Vantages))
	j.regions = regionsOf(r, j.heard)
	j.subjects = make(map[steering.Subject]*subject)
	j.rows, j.dirty = nil, nil
	targets := targetsOf(r)
	names := slices.Sorted(maps.Keys(targets))
	j.index = steering.NewHealthIndex(names, columnsOf(j.regions))
	homes := homesOf(j.regions, old.regions)
	for at, name := range names {
		t := targets[name]
		s := &subject{
			name: name, at: at, endpoint: t.endpoint, provider: t.provider, pool: t.pool, target: t.target, limits: limitsOf(&t.target.Probe),
			views:   make([]view, len(j.names)),
			regions: make([]standing, len(j.regions)),
			all:     true,
		}
		figures := make([]figure, newestOK*len(s.views)) // together in memory, as they are read
		for i := range s.views {
			s.views[i].latest = figures[i*newestOK : i*newestOK : (i+1)*newestOK]
		}
		if was := old.subjects[name]; was != nil {
			j.carryOver(s, was, &old, homes)
		}
		for i := range s.views {
			j.tallies[i].count(&s.views[i], 1)
		}
		j.subjects[name] = s
		j.rows = append(j.rows, s)
		j.touch(s)
	}
}

// carryOver gives s what its predecessor knew; homes are as of homesOf.
func (j *Judge) carryOver(s, was *subject, old *Judge, homes []int) {
	unchanged := reflect.DeepEqual(s.target, was.target)
	for i := range was.views {
		if at, still := j.vantages[old.names[i]]; still && unchanged {
			s.views[at] = was.views[i]
		}
	}
	for i, at := range homes {
		if at < 0 {
			continue
		}
		s.regions[i] = was.regions[at]
		if !unchanged {
			s.regions[i].held = was.regions[at].health.Verdict != steering.Unknown
		}
	}
}

// target is what must be the same for old measurements to still mean something.
type target struct {
	Host, URL string
	Addresses []netip.Addr
	Probe     steering.Probe // without name and place
}

func targetOf(p *steering.Probe) target {
	t := target{Probe: *p}
	t.Probe.Name, t.Probe.Place = "", steering.Place{}
	return t
}

// aim is a target and what it is of; of an origin all of it is empty.
type aim struct {
	target
	endpoint, provider, pool string
}

// targetsOf lists everything that the revision has probed.
func targetsOf(r *steering.Revision) map[steering.Subject]aim {
	targets := make(map[steering.Subject]aim)
	for _, service := range r.Services {
		if service.Probe == nil {
			continue
		}
		for _, e := range service.Endpoints {
			t := targetOf(service.Probe)
			t.Host, t.URL, t.Addresses = e.Host, e.URL, e.Addresses
			targets[e.Subject()] = aim{t, e.ID, e.Provider, e.Pool}
		}
	}
	for _, pool := range r.Pools {
		if pool.Probe == nil {
			continue
		}
		for _, origin := range pool.Origins {
			targets[steering.OriginSubject(pool.Name, origin)] = aim{target: targetOf(pool.Probe)}
		}
	}
	return targets
}

// region is one region, or several with the same vantages, of which players tell
// nothing: these always have the same health, which is judged once.
type region struct {
	names      []string
	vantages   []int
	borrowed   bool   // no vantage was meant for this region: all of them stand in
	measuredIn string // as Health.MeasuredIn
	heard      bool   // players tell of it: a region by itself

	// own is the jury of a part by itself, nil where fewer than two vantages stand in
	// it. It judges where enough of it has something to say, else vantages do, which are
	// those of the whole. Its members are all of the part's network, so that what they
	// share does not count against them.
	own   *region
	isOwn bool
}

func regionsOf(r *steering.Revision, heard map[string]bool) []region {
	var regions []region
	for _, name := range r.RegionNames() {
		declared := r.Region(name)
		in := region{names: []string{name}, heard: heard[name]}
		if declared != nil {
			in.vantages = pick(r, func(v *steering.Vantage) bool { return slices.Contains(declared.MeasuredBy, v.Name) })
			in.measuredIn = whereabouts(r, in.vantages, name)
		}
		whole := name // a part is judged by the jury of the whole, to which its own vantages belong
		if declared != nil && declared.Within != "" && in.vantages == nil {
			whole = declared.Within
			in.measuredIn = whole
			in.vantages = pick(r, func(v *steering.Vantage) bool { return slices.Contains(r.Region(whole).MeasuredBy, v.Name) })
			if own := pick(r, func(v *steering.Vantage) bool { return v.Region == name }); len(own) > 1 {
				in.own = &region{names: in.names, vantages: own, heard: in.heard, isOwn: true}
			}
		}
		if in.vantages == nil {
			in.vantages = pick(r, func(v *steering.Vantage) bool { return v.Region == whole || wholeOf(r, v.Region) == whole })
		}
		if in.vantages == nil && len(r.Vantages) > 0 {
			in.vantages = pick(r, func(*steering.Vantage) bool { return true })
			in.measuredIn, in.borrowed = "all vantages", true
		}
		if at := slices.IndexFunc(regions, in.alike); at >= 0 {
			regions[at].names = append(regions[at].names, name)
			continue
		}
		regions = append(regions, in)
	}
	return regions
}

// wholeOf is the region that one is a part of, empty when it is of none.
func wholeOf(r *steering.Revision, part string) string {
	if region := r.Region(part); region != nil {
		return region.Within
	}
	return ""
}

// alike tells whether two regions always have the same health.
func (r *region) alike(o region) bool {
	return !r.heard && !o.heard && r.own == nil && o.own == nil && r.borrowed == o.borrowed && r.measuredIn == o.measuredIn && slices.Equal(r.vantages, o.vantages)
}

// homesOf gives for each region the earlier one whose verdicts it goes on from, -1
// for none.
func homesOf(regions, old []region) []int {
	columns := columnsOf(old)
	homes := make([]int, len(regions))
	for i := range regions {
		homes[i] = -1
		for _, name := range regions[i].names {
			if at, known := columns[name]; known {
				homes[i] = at
				break
			}
		}
	}
	return homes
}

// columnsOf gives each region's column in a health table.
func columnsOf(regions []region) map[string]int {
	columns := make(map[string]int)
	for i := range regions {
		for _, name := range regions[i].names {
			columns[name] = i
		}
	}
	return columns
}

// networksOf gives each vantage the number of its network. Those that stand in a part
// of a region are of one network unless they say otherwise: what fails in the part
// alone is not down for the whole.
func networksOf(r *steering.Revision) []int {
	numbers := make(map[string]int)
	networks := make([]int, len(r.Vantages))
	for i := range r.Vantages {
		name := r.Vantages[i].Network
		switch in := r.Vantages[i].Region; {
		case name != "":
		case wholeOf(r, in) != "":
			name = "in " + in
		default:
			name = "of " + r.Vantages[i].Name
		}
		if _, known := numbers[name]; !known {
			numbers[name] = len(numbers)
		}
		networks[i] = numbers[name]
	}
	return networks
}

func pick(r *steering.Revision, wanted func(*steering.Vantage) bool) []int {
	var picked []int
	for i := range r.Vantages {
		if wanted(&r.Vantages[i]) {
			picked = append(picked, i)
		}
	}
	return picked
}

// whereabouts names the regions in which vantages stand, if that is not just
// home.
func whereabouts(r *steering.Revision, vantages []int, home string) string {
	var names []string
	for _, v := range vantages {
		names = append(names, r.Vantages[v].Region)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 1 && names[0] == home {
		return ""
	}
	return strings.Join(names, ", ")
}
