package plan

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"fairway/steering"
	"fairway/steering/usage"
)

// Row is one service in one region of the new configuration.
type Row struct {
	Region  string  `json:"region"`
	Service string  `json:"service"`
	Weight  float64 `json:"weight"` // part of all clients, 0..1; the rows sum to 1
	Basis   Basis   `json:"basis"`
	Asked   int     `json:"asked"` // client networks

	// Shares of the row's clients, 0..1.
	Moved       float64 `json:"moved"`           // in the end at another endpoint than under the old configuration
	ToProvider  float64 `json:"moved_providers"` // the part of Moved that changes the provider
	MovedAtOnce float64 `json:"moved_at_once"`
	MovedAnyway float64 `json:"moved_anyway"` // that the old configuration is about to move

	Moves     []Move  `json:"moves"`     // the largest first
	Endpoints []Share `json:"endpoints"` // those with clients on either side, the largest first

	P50Ms      Figure `json:"p50_ms,omitzero"` // mean over the clients' endpoints
	P95Ms      Figure `json:"p95_ms,omitzero"`
	PricePerGB Figure `json:"price_per_gb,omitzero"`
	TTL        Figure `json:"ttl_seconds"` // the longest

	RulesBefore []string `json:"rules_before"` // policy/rule
	RulesAfter  []string `json:"rules_after"`
}

// Move is clients that go from one endpoint to another. Empty = none: nothing is
// handed out.
type Move struct {
	From         string  `json:"from"`
	To           string  `json:"to"`
	FromProvider string  `json:"from_provider"`
	ToProvider   string  `json:"to_provider"`
	Share        float64 `json:"share"` // of the row's clients
}

// Share is what one endpoint has of the row's clients.
type Share struct {
	Endpoint string  `json:"endpoint"`
	Provider string  `json:"provider"`
	Before   float64 `json:"before"`
	AtOnce   float64 `json:"at_once"`
	After    float64 `json:"after"`
}

// slower tells whether clients wait noticeably longer in the slow cases: by a
// millisecond and one per cent.
func (r *Row) slower() bool {
	d := r.P95Ms.Delta()
	return d >= 1 && d >= 0.01*r.P95Ms.Before
}

// rows asks the clients of every service that exists on both sides.
func (c *comparison) rows() []Row {
	traffic := make(map[string][]steering.Traffic)
	queries := 0.0
	for _, t := range c.Traffic {
		if c.both(t.Service) && t.Client.IsValid() {
			traffic[t.Service] = append(traffic[t.Service], t)
			queries += float64(t.Count)
		}
	}
	var tallies []*tally
	for after, sl := range c.After.Services {
		if before := c.Before.ByKey(sl.Service.Key); before >= 0 {
			tallies = append(tallies, c.service(before, after, traffic[sl.Service.Key])...)
		}
	}
	networks := 0.0
	for _, t := range tallies {
		networks += t.networks
	}
	rows := make([]Row, 0, len(tallies))
	for _, t := range tallies {
		r := t.row()
		switch {
		case queries > 0:
			r.Weight = t.queries / queries
		case networks > 0:
			r.Weight = t.networks / networks
		}
		rows = append(rows, r)
	}
	return rows
}

func (c *comparison) both(service string) bool {
	return c.Before.ByKey(service) >= 0 && c.After.ByKey(service) >= 0
}

// service asks the clients of one service, region by region: those of the
// sample where it has enough, else those of the survey.
func (c *comparison) service(before, after int, traffic []steering.Traffic) []*tally {
	tallies := make(map[string]*tally)
	in := func(region string) *tally {
		t := tallies[region]
		if t == nil {
			t = &tally{comparison: c, region: region, before: before, after: after, moves: make(map[ends]float64), once: make(map[*steering.Endpoint]float64)}
			tallies[region] = t
		}
		return t
	}
	cells := c.After.Table.Cells()
	for _, x := range traffic {
		cell, _ := c.After.Table.Locate(x.Client.Addr())
		t := in(cells[cell].Region)
		t.queries += float64(x.Count)
		t.sampled = append(t.sampled, x)
	}
	for i := range c.strata {
		s := &c.strata[i]
		t := in(cells[s.after].Region)
		t.networks += s.networks
		if len(t.sampled) < enoughNetworks {
			t.stratum(s)
		}
	}
	for _, t := range tallies {
		if len(t.sampled) >= enoughNetworks {
			t.basis = ByQueries
			for _, x := range t.sampled {
				t.ask(&x, float64(x.Count))
			}
		}
	}
	var list []*tally
	for _, region := range slices.Sorted(maps.Keys(tallies)) {
		list = append(list, tallies[region])
	}
	return list
}

// tally counts the answers of one service's clients in one region.
type tally struct {
	*comparison
	region        string
	before, after int // the service in both layouts
	networks      float64
	queries       float64
	sampled       []steering.Traffic
	basis         Basis

	asked   int
	weight  float64
	moves   map[ends]float64 // staying included
	anyway  float64
	atOnce  float64
	was, is means
	rules   [2][]string
	once    map[*steering.Endpoint]float64 // shares at once
}

// ends are a client's endpoints in the end, under the old configuration and
// under the new one; nil = none.
type ends struct{ from, to *steering.Endpoint }

// means sums up what the clients of one side get.
type means struct{ p50, p95, measured, price, priced, ttl float64 }

// answer is what one client, or all of a stratum, get: now, and under the old
// and the new configuration at once and in the end.
type answer struct{ now, oldOnce, oldLast, newOnce, newLast *steering.Endpoint }

// stratum counts a stratum. Where the five splits leave nothing to chance, all
// its clients are counted at once.
func (t *tally) stratum(s *stratum) {
	was, is := t.Before.Services[t.before], t.After.Services[t.after]
	q := steering.Query{Door: doorOf(is.Service)}
	old, new := was.Parts(s.before, q), is.Parts(s.after, q)
	t.asked += len(s.clients)
	if len(old) > 1 || len(new) > 1 { // which part decides is the client's own
		t.context(was, old, is, new, s.networks)
		for _, client := range s.clients {
			q.Client = client
			t.decide(q, t.Before.Table.Cells()[s.before].Region, t.After.Table.Cells()[s.after].Region, s.networks/float64(len(s.clients)))
		}
		return
	}
	g, h := old[0].Group, new[0].Group
	splits := [...]*steering.Split{
		t.now.Split(t.before, g), t.old.first.Split(t.before, g), t.old.last.Split(t.before, g),
		t.new.first.Split(t.after, h), t.new.last.Split(t.after, h),
	}
	certain, same := true, true
	for _, split := range splits {
		certain = certain && len(split.Picks()) <= 1
		same = same && alike(splits[0], split)
	}
	from, to := t.Before.Table.Cells()[s.before].Region, t.After.Table.Cells()[s.after].Region
	t.context(was, old, is, new, s.networks)
	switch {
	case certain:
		t.add(answer{only(splits[0]), only(splits[1]), only(splits[2]), only(splits[3]), only(splits[4])}, from, to, s.networks)
	case same:
		for i := range splits[0].Picks() {
			// The endpoints of the new layout are other values of the same name.
			pick := &splits[0].Picks()[i]
			twin := named(splits[4], pick.Endpoint.ID)
			t.add(answer{pick.Endpoint, pick.Endpoint, pick.Endpoint, twin, twin}, from, to, s.networks*pick.Weight)
		}
	default:
		for _, client := range s.clients {
			q.Client = client
			t.decide(q, from, to, s.networks/float64(len(s.clients)))
		}
	}
}

// doorOf is the door that clients who were not sampled are taken to use.
func doorOf(s *steering.Service) steering.Door {
	if len(s.Hostnames) == 0 {
		return steering.DoorRedirect
	}
	return steering.DoorDNS
}

// ask counts one sampled network. Neither its path nor whether it is a resolver's
// is known.
func (t *tally) ask(x *steering.Traffic, weight float64) {
	q := steering.Query{Client: x.Client.Addr()}
	q.Door, _ = steering.DoorNamed(x.Door)
	b, _ := t.Before.Table.Locate(q.Client)
	a, _ := t.After.Table.Locate(q.Client)
	was, is := t.Before.Services[t.before], t.After.Services[t.after]
	t.context(was, was.Parts(b, q), is, is.Parts(a, q), weight)
	t.decide(q, t.Before.Table.Cells()[b].Region, t.After.Table.Cells()[a].Region, weight)
	t.asked++
}

// decide asks as a door would, five times.
func (t *tally) decide(q steering.Query, from, to string, weight float64) {
	first := func(s *steering.Snapshot, service int) *steering.Endpoint {
		q.Service = service
		d := s.Decide(q)
		if c, ok := d.First(); ok {
			return c.Endpoint
		}
		return nil
	}
	t.add(answer{
		first(t.now, t.before), first(t.old.first, t.before), first(t.old.last, t.before),
		first(t.new.first, t.after), first(t.new.last, t.after),
	}, from, to, weight)
}

// context counts rules and TTL.
func (t *tally) context(was *steering.ServiceLayout, old []steering.Part, is *steering.ServiceLayout, new []steering.Part, weight float64) {
	for _, p := range old {
		t.rules[0] = appendRule(t.rules[0], was, p.Group)
		t.was.ttl = math.Max(t.was.ttl, t.old.last.Split(t.before, p.Group).TTL.Seconds())
	}
	for _, p := range new {
		t.rules[1] = appendRule(t.rules[1], is, p.Group)
		t.is.ttl = math.Max(t.is.ttl, t.new.last.Split(t.after, p.Group).TTL.Seconds())
	}
	t.weight += weight
}

// appendRule adds the rule of a group, each once.
func appendRule(rules []string, sl *steering.ServiceLayout, group int) []string {
	g := sl.Groups[group]
	name := cmp.Or(g.Policy, sl.Service.Policy).Name + "/" + g.Rule.Name
	if slices.Contains(rules, name) {
		return rules
	}
	return append(rules, name)
}

func (t *tally) add(a answer, from, to string, weight float64) {
	t.moves[ends{a.oldLast, a.newLast}] += weight
	if id(a.oldOnce) != id(a.newOnce) {
		t.atOnce += weight
	}
	if id(a.now) != id(a.oldLast) {
		t.anyway += weight
	}
	t.once[a.newOnce] += weight
	t.was.add(a.oldLast, t.health, t.traffic.Carried, from, weight)
	t.is.add(a.newLast, t.foreseen, t.traffic.Carried, to, weight)
}

func (m *means) add(e *steering.Endpoint, health steering.HealthTable, carried *usage.Standing, region string, weight float64) {
	if e == nil {
		return
	}
	if h := health.Get(e.Subject(), region); h.P50 > 0 {
		m.p50 += weight * h.P50.Seconds() * 1000
		m.p95 += weight * h.P95.Seconds() * 1000
		m.measured += weight
	}
	if e.Account.Priced(region) {
		m.price += weight * e.Account.Price(region, carried.Account(e.Provider).MonthGB(), carried.Volume(e.Provider, region).MonthBytes/usage.GB)
		m.priced += weight
	}
}

// row makes the counts a row.
func (t *tally) row() Row {
	r := Row{
		Region: t.region, Service: t.After.Services[t.after].Service.Key, Basis: cmp.Or(t.basis, ByAddresses), Asked: t.asked,
		RulesBefore: t.rules[0], RulesAfter: t.rules[1], TTL: Figure{t.was.ttl, t.is.ttl}, Moves: []Move{},
		MovedAtOnce: t.atOnce / t.weight, MovedAnyway: t.anyway / t.weight,
	}
	shares := make(map[string]*Share)
	share := func(e *steering.Endpoint) *Share {
		if shares[id(e)] == nil {
			shares[id(e)] = &Share{Endpoint: id(e), Provider: provider(e)}
		}
		return shares[id(e)]
	}
	for _, m := range sortedEnds(t.moves) { // in order, so that equal inputs give equal bits
		part := t.moves[m] / t.weight
		share(m.from).Before += part
		share(m.to).After += part
		if id(m.from) != id(m.to) {
			r.Moves = append(r.Moves, Move{id(m.from), id(m.to), provider(m.from), provider(m.to), part})
			r.Moved += part
			if provider(m.from) != provider(m.to) {
				r.ToProvider += part
			}
		}
	}
	for e, weight := range t.once {
		share(e).AtOnce = weight / t.weight
	}
	for _, s := range shares {
		r.Endpoints = append(r.Endpoints, *s)
	}
	slices.SortFunc(r.Moves, func(a, b Move) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	slices.SortFunc(r.Endpoints, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Before, a.Before), cmp.Compare(b.After, a.After), strings.Compare(a.Endpoint, b.Endpoint))
	})
	t.figures(&r)
	return r
}

// figures are means: latency over those who are measured, price only where
// everybody's is stated.
func (t *tally) figures(r *Row) {
	was, is := &t.was, &t.is
	if was.measured > 0 && is.measured > 0 {
		r.P50Ms = Figure{was.p50 / was.measured, is.p50 / is.measured}
		r.P95Ms = Figure{was.p95 / was.measured, is.p95 / is.measured}
	}
	whole := t.weight * (1 - 1e-9)
	if was.priced >= whole && is.priced >= whole {
		r.PricePerGB = Figure{was.price / was.priced, is.price / is.priced}
	}
}

func sortedEnds(moves map[ends]float64) []ends {
	return slices.SortedFunc(maps.Keys(moves), func(a, b ends) int {
		return cmp.Or(strings.Compare(id(a.from), id(b.from)), strings.Compare(id(a.to), id(b.to)))
	})
}

// only is the endpoint of a split without a choice.
func only(s *steering.Split) *steering.Endpoint {
	if picks := s.Picks(); len(picks) > 0 {
		return picks[0].Endpoint
	}
	return nil
}

// alike tells whether two splits send every client to an endpoint of the same
// name.
func alike(a, b *steering.Split) bool {
	if len(a.Picks()) != len(b.Picks()) {
		return false
	}
	for _, pick := range a.Picks() {
		if math.Abs(pick.Weight-b.Weight(pick.Endpoint.ID)) > 1e-9 {
			return false
		}
	}
	return true
}

func named(s *steering.Split, endpoint string) *steering.Endpoint {
	for _, pick := range s.Picks() {
		if pick.Endpoint.ID == endpoint {
			return pick.Endpoint
		}
	}
	return nil
}

func id(e *steering.Endpoint) string {
	if e == nil {
		return ""
	}
	return e.ID
}

func provider(e *steering.Endpoint) string {
	if e == nil {
		return ""
	}
	return e.Provider
}
