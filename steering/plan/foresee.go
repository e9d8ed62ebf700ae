package plan

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"fairway/steering"
)

// foresee gives what the new configuration names and nothing has measured the
// health of what comes closest, and notes what that is worth.
func (c *comparison) foresee() steering.HealthTable {
	rows := make(map[steering.Subject]map[string]steering.Health)
	c.newEndpoints(rows)
	c.otherTargets()
	table := c.health.With(rows)
	if homes := c.newRegions(); len(homes) > 0 {
		rows = make(map[steering.Subject]map[string]steering.Health)
		for subject, row := range table.All {
			wider := maps.Clone(row)
			for region, home := range homes {
				if _, known := wider[region]; !known {
					wider[region] = row[home]
				}
			}
			rows[subject] = wider
		}
		table = table.With(rows)
	}
	return table
}

// newEndpoints looks for an endpoint that is probed in the very same way: a
// service or an endpoint that was renamed, or a second service over the same
// hosts.
func (c *comparison) newEndpoints(rows map[steering.Subject]map[string]steering.Health) {
	var unmeasured []string
	for _, s := range c.After.Revision.Services {
		for _, e := range s.Endpoints {
			if s.Probe == nil || c.health.Row(e.Subject()) != nil {
				continue
			}
			if twin := c.twin(s, e); twin != nil {
				rows[e.Subject()] = c.health.Row(twin.Subject())
				c.note("endpoint %s is new: its health is taken from %s, which is reached and probed in the same way", e.ID, twin.ID)
			} else {
				unmeasured = append(unmeasured, e.ID)
			}
		}
	}
	if unmeasured != nil {
		c.note("nothing has measured %s yet: clients go there once it is measured, and how many cannot be foreseen; "+
			"plan again a minute after applying", some(unmeasured))
	}
}

func (c *comparison) twin(service *steering.Service, e *steering.Endpoint) *steering.Endpoint {
	for _, s := range c.Before.Revision.Services {
		for _, old := range s.Endpoints {
			if c.health.Row(old.Subject()) != nil && sameTarget(s.Probe, service.Probe, old, e) {
				return old
			}
		}
	}
	return nil
}

// sameTarget tells whether measurements of one endpoint say what those of the
// other would.
func sameTarget(p, q *steering.Probe, a, b *steering.Endpoint) bool {
	if p == nil || q == nil {
		return p == q
	}
	x, y := *p, *q
	x.Name, x.Place, y.Name, y.Place = "", steering.Place{}, "", steering.Place{}
	return reflect.DeepEqual(x, y) && a.Host == b.Host && a.URL == b.URL && slices.Equal(a.Addresses, b.Addresses)
}

// otherTargets notes the endpoints whose measurements begin anew.
func (c *comparison) otherTargets() {
	old := make(map[string]*steering.Service)
	endpoints := make(map[string]*steering.Endpoint)
	for _, s := range c.Before.Revision.Services {
		for _, e := range s.Endpoints {
			old[e.ID], endpoints[e.ID] = s, e
		}
	}
	var other []string
	for _, s := range c.After.Revision.Services {
		for _, e := range s.Endpoints {
			if was := endpoints[e.ID]; was != nil && !sameTarget(old[e.ID].Probe, s.Probe, was, e) {
				other = append(other, e.ID)
			}
		}
	}
	if other != nil {
		c.note("%s: reached or probed in another way, so the measurements begin anew; the health of today is taken until then", some(other))
	}
}

// newRegions gives each region that is new the one that most of its clients are
// in today.
func (c *comparison) newRegions() map[string]string {
	known := make(map[string]bool)
	for _, name := range c.Before.Revision.RegionNames() {
		known[name] = true
	}
	was, is := c.Before.Table.Cells(), c.After.Table.Cells()
	from := make(map[string]map[string]float64)
	for i := range c.strata {
		s := &c.strata[i]
		if region := is[s.after].Region; !known[region] {
			if from[region] == nil {
				from[region] = make(map[string]float64)
			}
			from[region][was[s.before].Region] += s.networks
		}
	}
	homes := make(map[string]string)
	for _, region := range slices.Sorted(maps.Keys(from)) {
		most := 0.0
		for _, home := range slices.Sorted(maps.Keys(from[region])) {
			if n := from[region][home]; n > most {
				homes[region], most = home, n
			}
		}
		c.note("region %s is new: its health is taken from %s, where most of its clients are today", region, homes[region])
	}
	return homes
}

// some names a few.
func some(names []string) string {
	const most = 6
	slices.Sort(names)
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}
