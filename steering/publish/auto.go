package publish

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/allocate"
	"fairway/steering/estimate"
)

// estimates follow what fetches cost, where some policy asks; they belong to the
// loop's goroutine.
type estimates struct {
	book  *estimate.Book // nil = nobody asks
	table *estimate.Table
	next  time.Time
	deaf  map[string]bool // endpoints of services whose policy ignores what players tell
}

// estimateEvery is the least time between two looks: each has the groups decided anew for
// which what a fetch costs has changed. Where that takes long, looks are rarer, so that
// they take no more than a tenth of a processor; what fails is left without them.
const estimateEvery = time.Second

// rest is when the next look is due after one at a time that took so long.
func (e *estimates) rest(now time.Time, took time.Duration) {
	e.next = now.Add(min(max(estimateEvery, 10*took), mostRest))
}

// mostRest is the most time between two looks; a clock that is further behind was set back.
const mostRest = time.Minute

func (e *estimates) configure(r *steering.Revision) {
	asked := slices.ContainsFunc(r.Policies, func(p *steering.Policy) bool {
		return slices.ContainsFunc(p.Rules, (*steering.Rule).ScoresItself)
	})
	if !asked {
		*e = estimates{}
		return
	}
	if e.book == nil {
		e.book = estimate.New()
	}
	e.book.Configure(r)
	e.next = time.Time{}
	e.deaf = make(map[string]bool)
	for _, s := range r.Services {
		for _, endpoint := range s.Endpoints {
			e.deaf[endpoint.ID] = !s.Policy.Auto.Players
		}
	}
}

func (e *estimates) probe(m *steering.Measurement) {
	if e.book != nil {
		e.book.Probe(m)
	}
}

func (e *estimates) players(reports []estimate.Players) {
	if e.book == nil {
		return
	}
	for i := range reports {
		if !e.deaf[reports[i].Endpoint] {
			e.book.Players(&reports[i])
		}
	}
}

// weigh takes in how much traffic the regions have.
func (e *estimates) weigh(d demand) {
	if e.book == nil {
		return
	}
	traffic := make(map[string]float64, len(d))
	for region, of := range d {
		if traffic[region] = of[bits]; of[bits] == 0 {
			traffic[region] = of[requests]
		}
	}
	e.book.Weigh(traffic)
}

// Players takes what players told, summed up by endpoint and region: see score: auto.
func (l *Loop) Players(ctx context.Context, reports []estimate.Players) error {
	return l.order(ctx, func(time.Time) { l.estimates.players(reports) })
}

// look makes a new table when something came in and the last one is old enough; it
// tells whether there is one.
func (e *estimates) look(now time.Time) bool {
	if e.book == nil {
		if e.table == nil {
			return false
		}
		e.table = nil
		return true
	}
	if now.Before(e.next) && e.next.Sub(now) <= mostRest || !e.book.Changed() {
		return false
	}
	e.table, e.next = e.book.Table(now), now.Add(estimateEvery)
	return true
}

// estimated takes in new estimates: groups for which what a fetch costs changed are
// decided anew.
func (t *track) estimated(table *estimate.Table) {
	was := t.estimates
	t.estimates, t.unserved = table, true
	if !table.Like(was) {
		for _, spots := range t.spots {
			for g := range spots {
				spots[g].fetch = table.Column(spots[g].Region)
			}
		}
		for i, auto := range t.auto {
			t.services[i].all = t.services[i].all || auto
		}
		return
	}
	for i, auto := range t.auto {
		if auto {
			t.services[i].fetch(was, table, t.layout.Services[i].Service)
		}
	}
}

// fetch marks the columns in which what fetches of a service cost changed.
func (s *due) fetch(was, is *estimate.Table, service *steering.Service) {
	for _, e := range service.Endpoints {
		row := is.Row(e.ID)
		for column := range is.Columns() {
			if !is.Differs(was, row, column) {
				continue
			}
			if s.fetches == nil {
				s.fetches = make([]uint64, (is.Columns()+63)/64)
			}
			s.fetches[column/64] |= 1 << (column % 64)
		}
	}
}

// fetch is what a client's fetch at an endpoint is taken to be.
type fetch struct {
	estimate.Estimate
	known bool
}

// cost is what a fetch costs, in milliseconds.
func (f *fetch) cost(failure time.Duration) float64 {
	return max(0.1, f.Ms+f.Errors*float64(failure)/float64(time.Millisecond))
}

// text is what the score was made of, for people.
func (f *fetch) text(failure time.Duration) string {
	if !f.known {
		return ""
	}
	return fmt.Sprintf(" (%.1f ms ± %.0f %%, %.2f %% failures at %v)", f.Ms, 100*f.Sigma, 100*f.Errors, failure)
}

// auto scores an option by what a fetch costs there: an estimate where there is one,
// else the figures of its health.
func (c *chain) auto(o *option) float64 {
	if !o.fetch.known && o.health.P50 > 0 {
		samples := float64(o.health.Samples)
		o.fetch = fetch{known: true, Estimate: estimate.Estimate{
			Ms: o.inputs.P50Ms, Sigma: 1 / math.Sqrt(max(1, samples)), Errors: (1 - o.health.Availability) * samples / (samples + 5),
		}}
	}
	if !o.fetch.known || o.fetch.Ms <= 0 {
		return 0
	}
	return 1000 / o.fetch.cost(c.policy.Auto.Failure)
}

// byScore has what others may not take go to the best of those with room, and not to
// all alike. Who has some of it already stays until another is better by the margin, as
// it is with choices: else the noise of two that are equally good moves viewers.
func byScore(options []allocate.Option, candidates []steering.Candidate, served *steering.Split, margin float64) {
	score := func(k int) float64 {
		if served != nil && serves(served, candidates[k].Endpoint) {
			return candidates[k].Score * (1 + margin)
		}
		return candidates[k].Score
	}
	for k := range options {
		if options[k].Class < 0 {
			continue
		}
		better := 0
		for i := range candidates {
			if score(i) > score(k) {
				better++
			}
		}
		options[k].Class = options[k].Class*len(candidates) + better
	}
}

// serves tells whether an endpoint has clients for another reason than to be tried.
func serves(s *steering.Split, e *steering.Endpoint) bool {
	for _, c := range s.Picks() {
		if c.Endpoint == e {
			return c.Reason.Code != steering.ReasonExplored
		}
	}
	return false
}

// plausible is how many standard deviations of doubt an endpoint is given to be tried,
// and stillPlausible how many before it is no longer tried.
const (
	plausible      = 2.0
	stillPlausible = 3.0
)

// tryFor is how long endpoints are tried, or none is, before that is thought over: so
// that nobody who is sent away for it is back within minutes.
const tryFor = 6 * time.Minute

// askFor is how long none is tried where no players told, before that is asked again.
const askFor = time.Minute

// trying is what is tried of a group: endpoints, each with its share.
type trying struct {
	since time.Time // zero = that was never thought over
	those []*steering.Endpoint
	share float64

	from, made *steering.Split // what it last made of what
}

// explored gives endpoints without clients, which may be the best for all that is
// known, a share between them.
func (t *track) explored(s *steering.Split, service, group int, now time.Time) *steering.Split {
	of := t.layout.Services[service]
	auto := cmp.Or(of.Groups[group].Policy, of.Service.Policy).Auto
	if auto.Explore <= 0 || len(s.Picks()) == 0 {
		return s
	}
	if len(t.trying[service]) != len(of.Groups) {
		t.trying[service] = make([]trying, len(of.Groups))
	}
	is := &t.trying[service][group]
	if age := now.Sub(is.since); is.since.IsZero() || age < 0 || age >= tryFor {
		those, known, told := t.worthTrying(s, of.Groups[group].Region, auto, is.those)
		those = slices.DeleteFunc(those, t.slots[service][group].memory.gaveUp) // it would fetch back who just left
		if !known {
			return s
		}
		*is = trying{since: now, those: those, share: auto.Explore / float64(max(1, len(those)))}
		if !told {
			is.since = now.Add(askFor - tryFor)
		}
	}
	if is.from != s {
		is.from, is.made = s, is.with(s)
	}
	return is.made
}

// with is a split in which endpoints that are tried have their shares.
func (is *trying) with(s *steering.Split) *steering.Split {
	var tried []int
	for k := len(s.Picks()); k < len(s.Candidates); k++ {
		if c := &s.Candidates[k]; c.Reason.Code == steering.ReasonWorse && slices.Contains(is.those, c.Endpoint) {
			tried = append(tried, k)
		}
	}
	if tried == nil {
		return s
	}
	candidates := slices.Clone(s.Candidates)
	for k := range candidates {
		candidates[k].Weight *= 1 - is.share*float64(len(tried))
	}
	for _, k := range tried {
		candidates[k].Weight = is.share
		candidates[k].Reason = steering.Reason{Code: steering.ReasonExplored, Detail: "it may be the best, for all that is known"}
	}
	return reweighed(s, candidates, s.Holds)
}

// worthTrying are the endpoints without clients that may be better than those with, for
// whom was tried already with more doubt; not known when it is not known how those are.
// Where no players told how they fare nothing is: viewers would pay for what nobody
// learns.
func (t *track) worthTrying(s *steering.Split, region string, auto steering.Auto, tried []*steering.Endpoint) (those []*steering.Endpoint, known, told bool) {
	served, column := 0.0, t.estimates.Column(region)
	for _, c := range s.Picks() {
		e, known := t.estimates.At(t.estimates.Row(c.Endpoint.ID), column)
		if !known {
			return nil, false, false
		}
		f := fetch{Estimate: e}
		served += c.Weight * f.cost(auto.Failure)
		told = told || e.Told
	}
	if !told {
		return nil, true, false
	}
	for k := len(s.Picks()); k < len(s.Candidates); k++ {
		c := &s.Candidates[k]
		e, known := t.estimates.At(t.estimates.Row(c.Endpoint.ID), column)
		f := fetch{Estimate: e}
		doubt := plausible
		if slices.Contains(tried, c.Endpoint) {
			doubt = stillPlausible
		}
		f.Ms *= math.Exp(-doubt * f.Sigma)
		if c.Reason.Code == steering.ReasonWorse && known && f.cost(auto.Failure) < served {
			those = append(those, c.Endpoint)
		}
	}
	return those, true, true
}
