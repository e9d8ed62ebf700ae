package estimate

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// Book follows every endpoint in every region.
type Book struct {
	wholes   map[string]string   // region → the region whose level it shares
	parts    map[string][]int    // region that is no part → the numbers of those that share its level, itself too
	index    *index              // of tables
	vantages map[string]post     // by name
	standing map[string][]string // region → the places of the vantages that stand in it, in order
	watching map[string][]string // region that is no part → those of all vantages in it and its parts
	subjects map[steering.Subject]string
	levels   map[key]*level
	weights  map[string]float64 // part of a region → its part of the region's traffic
	usual    map[key]float64    // endpoint × region, parts too: the logarithm of what surveys found
	changed  bool
	seen     []belief // room to work in
}

// post is where a vantage stands.
type post struct{ region, whole, place string }

// key names a level: an endpoint's id in a region that is no part.
type key struct{ endpoint, region string }

// New returns a book that knows nothing of anything.
func New() *Book { return &Book{levels: make(map[key]*level)} }

// Configure takes over a revision's endpoints, vantages and regions. What is known of
// those that stay is kept.
func (b *Book) Configure(r *steering.Revision) {
	b.wholes, b.parts = make(map[string]string), make(map[string][]int)
	b.vantages, b.subjects = make(map[string]post), make(map[steering.Subject]string)
	b.index = newIndex(r)
	for i := range r.Regions {
		if region := &r.Regions[i]; region.Within != "" {
			b.wholes[region.Name] = region.Within
		}
	}
	for number, name := range b.index.regions {
		if b.wholes[name] == "" {
			b.wholes[name] = name
		}
		b.parts[b.wholes[name]] = append(b.parts[b.wholes[name]], number)
	}
	b.standing, b.watching = make(map[string][]string), make(map[string][]string)
	for _, v := range r.Vantages {
		place, whole := vantagePlace(v.Name), b.wholes[v.Region]
		b.vantages[v.Name] = post{v.Region, whole, place}
		b.standing[v.Region] = append(b.standing[v.Region], place)
		b.watching[whole] = append(b.watching[whole], place)
	}
	for _, by := range []map[string][]string{b.standing, b.watching} {
		for _, places := range by {
			slices.Sort(places)
		}
	}
	b.usual = make(map[key]float64)
	for _, s := range r.Services {
		for _, e := range s.Endpoints {
			b.subjects[e.Subject()] = e.ID
			b.survey(e)
		}
	}
	for k, l := range b.levels {
		if b.index.row(k.endpoint) < 0 || b.wholes[k.region] != k.region {
			delete(b.levels, k)
			continue
		}
		l.usual, l.survey = b.usual[k]
		for place := range l.places {
			vantage, is := strings.CutPrefix(place, vantagePrefix)
			if _, stays := b.vantages[vantage]; is && !stays || !is && b.wholes[place] != k.region {
				delete(l.places, place)
			}
		}
	}
	b.changed = true
}

// survey notes what the operator's surveys say of an endpoint.
func (b *Book) survey(e *steering.Endpoint) {
	if e.Account == nil {
		return
	}
	for region, terms := range e.Account.Regions {
		if terms.Latency > 0 {
			b.usual[key{e.ID, region}] = math.Log(float64(terms.Latency) / float64(time.Millisecond))
		}
	}
}

// usualOffset is how far a part of a region is from the whole, as surveys say; 0 where
// they do not speak of both.
func (b *Book) usualOffset(endpoint, region string) float64 {
	if len(b.usual) == 0 {
		return 0
	}
	part, some := b.usual[key{endpoint, region}]
	whole, all := b.usual[key{endpoint, b.wholes[region]}]
	if !some || !all {
		return 0
	}
	return part - whole
}

func (b *Book) level(endpoint, whole string) *level {
	k := key{endpoint, whole}
	l := b.levels[k]
	if l == nil {
		l = &level{places: make(map[string]*offset)}
		l.usual, l.survey = b.usual[k]
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
	post, stands := b.vantages[m.Vantage]
	if !known || !stands {
		return
	}
	l := b.level(endpoint, post.whole)
	o, at := l.place(post.place), unix(m.At)
	o.usual = b.usualOffset(endpoint, post.region)
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

// toldFor is for how many seconds players count as some that tell.
const toldFor = 3600

// playerNoise is the variance of the logarithm of what one player reports, where too
// few report to tell.
const playerNoise = 0.5 * 0.5

// Players takes in what players told.
func (b *Book) Players(p *Players) {
	whole, known := b.wholes[p.Region]
	ok := p.Tries - p.Fails
	sound := p.Tries > 0 && p.Fails >= 0 && ok >= 0 && !math.IsInf(p.Tries+p.LogMs+p.LogMsSq, 0) && !math.IsNaN(p.LogMs+p.LogMsSq)
	if !known || !sound || b.index.row(p.Endpoint) < 0 {
		return
	}
	l := b.level(p.Endpoint, whole)
	o, at := l.place(p.Region), unix(p.At)
	o.usual = b.usualOffset(p.Endpoint, p.Region)
	l.players.add(p.Fails, p.Tries, at)
	o.players.add(p.Fails, p.Tries, at)
	o.told = max(o.told, at)
	if ok > 0 {
		spread := playerNoise
		if ok >= 10 {
			spread = max(0.01, (p.LogMsSq-p.LogMs*p.LogMs/ok)/(ok-1))
		}
		l.observe(o, p.LogMs/ok, spread/ok, at)
	}
	b.changed = true
}

// Weigh takes over how much traffic each region has, in whatever unit. Parts of which
// it is not known, or regions that no part is known of, are not weighed; and nothing
// is where no survey tells what weights are for.
func (b *Book) Weigh(traffic map[string]float64) {
	if len(b.usual) == 0 {
		b.weights = nil
		return
	}
	sums := make(map[string]float64)
	for region, x := range traffic {
		if whole := b.wholes[region]; whole != region {
			sums[whole] += x
		}
	}
	weights := make(map[string]float64)
	for region, x := range traffic {
		if whole := b.wholes[region]; whole != region && x > 0 && sums[whole] > 0 {
			weights[region] = x / sums[whole]
		}
	}
	b.changed = b.changed || !maps.Equal(weights, b.weights)
	b.weights = weights
}

// Changed tells whether anything came in since the last Table.
func (b *Book) Changed() bool { return b.changed }

// Estimate is what is known of an endpoint for the clients of a region.
type Estimate struct {
	Ms     float64 // latency: median of a fetch
	Sigma  float64 // standard deviation of the logarithm of that, by which it may be wrong
	Errors float64 // share of fetches that fail
	Own    bool    // players or a vantage of this very region told, not only of the region that it is a part of
	Told   bool    // players of this very region told of it within the last hour
}

// Table sums up what is known at a time.
func (b *Book) Table(now time.Time) *Table {
	b.changed = false
	at := unix(now)
	t := b.index.table()
	for k, l := range b.levels {
		if !l.known { // nothing ever answered there: health says what is to be said
			continue
		}
		probed := l.probed(b.watching[k.region], at)
		l.players.forget(max(at, l.players.at))
		parts, row := b.parts[k.region], b.index.row(k.endpoint)
		rest := b.rest(l, k.region, at)
		for _, column := range parts {
			*t.at(row, column) = b.estimate(l, k.endpoint, b.index.regions[column], rest, probed, at)
		}
	}
	return t
}

// rest is how far from its level a region is where nobody tells: with a survey as far as
// what is known of its parts leaves; without one as far as all that tell are, together.
func (b *Book) rest(l *level, whole string, at float64) belief {
	if l.survey {
		return belief{mean: b.others(l, b.parts[whole])}
	}
	return b.centre(l, whole, at)
}

// centre is the mean of the offsets of all places that tell, each counted as far as it is
// known, and how far the region may be from that. What changes everywhere at once is
// neither surely the level's nor the places', so both filters take a part of it, and
// after faults and hours a level by itself no longer lies among its places. What these
// have in common is the region's. A place that is further from the median than places
// are counts as one that is as far as they are: what is wrong there is wrong there alone.
func (b *Book) centre(l *level, whole string, at float64) belief {
	b.seen = b.seen[:0]
	add := func(place string) {
		if o := l.places[place]; o != nil && o.seen {
			b.seen = append(b.seen, belief{o.mean, offsetPrior + o.variance + offsetDrift*max(0, at-o.at)})
		}
	}
	for _, vantage := range b.watching[whole] {
		add(vantage)
	}
	for _, column := range b.parts[whole] {
		add(b.index.regions[column])
	}
	if len(b.seen) == 0 {
		return belief{}
	}
	slices.SortFunc(b.seen, func(x, y belief) int { return cmp.Or(cmp.Compare(x.mean, y.mean), cmp.Compare(x.variance, y.variance)) })
	n := len(b.seen)
	median := (b.seen[(n-1)/2].mean + b.seen[n/2].mean) / 2
	sum, weights := 0.0, 0.0
	for _, o := range b.seen {
		sum += max(-farthest, min(farthest, o.mean-median)) / o.variance
		weights += 1 / o.variance
	}
	return belief{median + sum/weights, 1 / weights}
}

// others is how far parts of which nobody tells are from a level that a survey found.
// A survey is of the region as a whole, so what is known of some of its parts tells of
// the rest: where those with a vantage are far away, the others are nearer.
func (b *Book) others(l *level, parts []int) float64 {
	rest, left := 1.0, 1.0
	for _, column := range parts {
		region := b.index.regions[column]
		o := l.places[region]
		if o == nil || !o.seen {
			o = b.surest(l, region)
		}
		if weight := b.weights[region]; o != nil && weight > 0 {
			rest -= weight
			left -= weight * math.Exp(o.mean)
		}
	}
	if rest < leastRest {
		return 0
	}
	return max(-mostOthers, min(mostOthers, math.Log(max(left/rest, 1e-3))))
}

const (
	leastRest  = 0.05 // of the traffic: of fewer nothing is concluded
	mostOthers = 0.5
)

// estimate is what is known of an endpoint in a region that shares a level.
func (b *Book) estimate(l *level, endpoint, region string, rest belief, probed, at float64) Estimate {
	e := Estimate{Errors: max(probed, l.players.share())}
	is := l.now(at)
	mean, variance := is.mean, is.variance
	o := l.places[region]
	if o != nil {
		o.players.forget(max(at, o.players.at))
		e.Told = o.told > 0 && at-o.told < toldFor
		e.Errors = max(probed, o.players.within(l.players.share()))
	}
	if o == nil || !o.seen { // a vantage that stands there stands for it
		o = b.surest(l, region)
	}
	switch {
	case o != nil:
		mean, variance, e.Own = mean+o.mean, variance+o.variance+offsetDrift*max(0, at-o.at), true
	case b.wholes[region] == region:
		mean, variance = mean+rest.mean, variance+rest.variance
	default:
		if len(b.usual) > 0 {
			if _, stated := b.usual[key{endpoint, region}]; stated {
				rest = belief{mean: b.usualOffset(endpoint, region)}
			}
		}
		mean, variance = mean+rest.mean, variance+rest.variance+offsetPrior
	}
	e.Ms, e.Sigma = math.Exp(mean), math.Sqrt(variance)
	return e
}

// surest is the surest offset of the vantages that stand in a part, nil for none.
func (b *Book) surest(l *level, region string) *offset {
	if b.wholes[region] == region {
		return nil
	}
	var best *offset
	for _, place := range b.standing[region] {
		if o := l.places[place]; o != nil && o.seen && (best == nil || o.variance < best.variance) {
			best = o
		}
	}
	return best
}

func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
