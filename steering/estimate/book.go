package estimate

import (
	"math"
	"strings"
	"time"

	"fairway/steering"
)

// Book follows every endpoint in every region.
type Book struct {
	wholes    map[string]string // region → the region whose level it shares
	vantages  map[string]string // vantage → its region
	subjects  map[steering.Subject]string
	levels    map[key]*level
	regions   []string
	endpoints map[string]bool
	changed   bool
}

// key names a level: an endpoint's id in a region that is no part.
type key struct{ endpoint, region string }

// New returns a book that knows nothing of anything.
func New() *Book { return &Book{levels: make(map[key]*level)} }

// Configure takes over a revision's endpoints, vantages and regions. What is known of
// those that stay is kept.
func (b *Book) Configure(r *steering.Revision) {
	b.wholes, b.vantages, b.subjects = make(map[string]string), make(map[string]string), make(map[steering.Subject]string)
	b.regions = r.RegionNames()
	for _, name := range b.regions {
		b.wholes[name] = name
		if region := r.Region(name); region != nil && region.Within != "" {
			b.wholes[name] = region.Within
		}
	}
	for _, v := range r.Vantages {
		b.vantages[v.Name] = v.Region
	}
	b.endpoints = make(map[string]bool)
	for _, s := range r.Services {
		for _, e := range s.Endpoints {
			b.subjects[e.Subject()] = e.ID
			b.endpoints[e.ID] = true
		}
	}
	for k, l := range b.levels {
		if !b.endpoints[k.endpoint] || b.wholes[k.region] != k.region {
			delete(b.levels, k)
			continue
		}
		for place := range l.places {
			vantage, is := strings.CutPrefix(place, vantagePrefix)
			if _, stays := b.vantages[vantage]; is && !stays || !is && b.wholes[place] != k.region {
				delete(l.places, place)
			}
		}
	}
	b.changed = true
}

func (b *Book) level(endpoint, whole string) *level {
	k := key{endpoint, whole}
	l := b.levels[k]
	if l == nil {
		l = &level{places: make(map[string]*offset)}
		b.levels[k] = l
	}
	return l
}

func (l *level) place(name string) *offset {
	o := l.places[name]
	if o == nil {
		o = new(offset)
		l.places[name] = o
	}
	return o
}

// vantagePrefix tells vantages from regions among places: no region's name has it.
const vantagePrefix = "vantage "

func vantagePlace(name string) string { return vantagePrefix + name }

// probeNoise is the variance of the logarithm of a single probe's latency.
const probeNoise = 0.15 * 0.15

// Probe takes in one measurement. Those of origins and of unknown endpoints and
// vantages are left out.
func (b *Book) Probe(m *steering.Measurement) {
	endpoint, known := b.subjects[m.Subject]
	region, stands := b.vantages[m.Vantage]
	if !known || !stands {
		return
	}
	l := b.level(endpoint, b.wholes[region])
	o, at := l.place(vantagePlace(m.Vantage)), unix(m.At)
	if !m.OK() {
		o.probes.add(1, 1, at)
	} else {
		o.probes.add(0, 1, at)
		if ms := float64(m.Phases.Latency()) / float64(time.Millisecond); ms > 0 {
			l.observe(o, math.Log(ms), probeNoise, at)
		}
	}
	b.changed = true
}

// Players are what the players of one region told of one endpoint in a short time:
// sums, so that nothing of a single player is kept.
type Players struct {
	Endpoint string
	Region   string
	At       time.Time
	Tries    float64
	Fails    float64
	LogMs    float64 // sum of the natural logarithms of the milliseconds of those that did not fail
	LogMsSq  float64 // sum of their squares
}

// playerNoise is the variance of the logarithm of what one player reports, where too
// few report to tell.
const playerNoise = 0.5 * 0.5

// Players takes in what players told.
func (b *Book) Players(p *Players) {
	whole, known := b.wholes[p.Region]
	ok := p.Tries - p.Fails
	sound := p.Tries > 0 && p.Fails >= 0 && ok >= 0 && !math.IsInf(p.Tries+p.LogMs+p.LogMsSq, 0) && !math.IsNaN(p.LogMs+p.LogMsSq)
	if !known || !sound || !b.endpoints[p.Endpoint] {
		return
	}
	l := b.level(p.Endpoint, whole)
	o, at := l.place(p.Region), unix(p.At)
	l.players.add(p.Fails, p.Tries, at)
	o.players.add(p.Fails, p.Tries, at)
	if ok > 0 {
		spread := playerNoise
		if ok >= 10 {
			spread = max(0.01, (p.LogMsSq-p.LogMs*p.LogMs/ok)/(ok-1))
		}
		l.observe(o, p.LogMs/ok, spread/ok, at)
	}
	b.changed = true
}

// Changed tells whether anything came in since the last Table.
func (b *Book) Changed() bool { return b.changed }

// Estimate is what is known of an endpoint for the clients of a region.
type Estimate struct {
	Ms     float64 // latency: median of a fetch
	Sigma  float64 // standard deviation of the logarithm of that, by which it may be wrong
	Errors float64 // share of fetches that fail
	Own    bool    // players or a vantage of this very region told, not only of the region that it is a part of
}

// Table holds estimates. It never changes. A nil Table knows nothing.
type Table struct{ by map[key]Estimate }

// Get returns an estimate; false when nothing is known.
func (t *Table) Get(endpoint, region string) (Estimate, bool) {
	if t == nil {
		return Estimate{}, false
	}
	e, ok := t.by[key{endpoint, region}]
	return e, ok
}

// Table sums up what is known at a time.
func (b *Book) Table(now time.Time) *Table {
	b.changed = false
	at := unix(now)
	t := &Table{by: make(map[key]Estimate, len(b.levels))}
	parts := make(map[string][]string)
	for _, region := range b.regions {
		parts[b.wholes[region]] = append(parts[b.wholes[region]], region)
	}
	for k, l := range b.levels {
		if !l.known { // nothing ever answered there: health says what is to be said
			continue
		}
		probed := l.probed(at)
		l.players.forget(max(at, l.players.at))
		for _, region := range parts[k.region] {
			t.by[key{k.endpoint, region}] = b.estimate(l, region, probed, at)
		}
	}
	return t
}

// estimate is what is known of an endpoint in a region that shares a level.
func (b *Book) estimate(l *level, region string, probed, at float64) Estimate {
	e := Estimate{Errors: max(probed, l.players.share())}
	mean, variance := l.mean, l.variance+levelDrift*max(0, at-l.at)
	o := l.places[region]
	if o != nil {
		o.players.forget(max(at, o.players.at))
		e.Errors = max(probed, o.players.within(l.players.share()))
	}
	if o == nil || !o.seen { // a vantage that stands there stands for it
		o = b.standing(l, region)
	}
	switch {
	case o != nil:
		mean, variance, e.Own = mean+o.mean, variance+o.variance+offsetDrift*max(0, at-o.at), true
	case b.wholes[region] != region:
		variance += offsetPrior
	}
	e.Ms, e.Sigma = math.Exp(mean), math.Sqrt(variance)
	return e
}

// standing is the surest offset of the vantages that stand in a part, nil for none.
func (b *Book) standing(l *level, region string) *offset {
	if b.wholes[region] == region {
		return nil
	}
	var best *offset
	name := ""
	for place, o := range l.places {
		vantage, is := strings.CutPrefix(place, vantagePrefix)
		if !is || b.vantages[vantage] != region || !o.seen {
			continue
		}
		if best == nil || o.variance < best.variance || o.variance == best.variance && place < name {
			best, name = o, place
		}
	}
	return best
}

func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
