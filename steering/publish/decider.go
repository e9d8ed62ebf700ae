package publish

import (
	"fmt"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/allocate"
	"fairway/steering/estimate"
)

// evidence is what the filter chain reads beside the rule: one consistent view
// of the world at one time.
type evidence struct {
	revision  *steering.Revision
	health    steering.HealthTable
	poolDown  map[string]string // pool → why; only those that are down
	overrides []steering.Override
	market    market
	estimates *estimate.Table
	signals   *steering.SignalTable
	brakes    map[brakeOf]steering.Braked
	moved     map[string]time.Time     // as steering.State.Moved; it is written to
	groups    map[*steering.Policy]int // service × region groups of a policy that bounds what moves in all
	full      *fullness                // who is at its cap
	near      *fullness                // … or will be soon
	now       time.Time
}

// decider decides one service × group after the other from the same evidence.
// Its buffers are used again and again, since a round may decide a quarter of a
// million of them. It belongs to one goroutine.
type decider struct {
	*evidence
	orders  []inForce // the overrides in force
	detail  bool      // candidates' reasons tell their figures
	afresh  bool      // splits that give the same answers as before are made anew all the same
	phrases map[phrase]string
	rules   map[*steering.Rule]string // how a split's reason names them

	// Of the service at hand.
	service  *steering.Service
	rows     []int      // in the health table, by endpoint
	fetches  []int      // rows in the estimates, by endpoint
	stalls   []stall    // by endpoint
	concerns []*inForce // the orders that concern any of its endpoints
	specs    map[*steering.Rule]uint64
	earlier  []earlier // endpoints of a revision before
	decided  map[situation]*slot

	chain    chain
	decision decision
	entries  []allocate.Entry
	ranked   []int
	position []int
	offer    []steering.Candidate
}

// inForce is an override with what people are told of it.
type inForce struct {
	*steering.Override
	why string
}

func newDecider(ev *evidence) *decider {
	d := &decider{
		evidence: ev, phrases: make(map[phrase]string), rules: make(map[*steering.Rule]string),
		specs:   make(map[*steering.Rule]uint64),
		decided: make(map[situation]*slot),
	}
	for i := range ev.overrides {
		o := &ev.overrides[i]
		if !o.Active(ev.now) {
			continue
		}
		why := o.Reason + ", by " + o.Author
		if o.Kind == steering.Drain {
			why = fmt.Sprintf("%s, by %s until %s", o.Reason, o.Author, o.Expires.UTC().Format(time.RFC3339))
		}
		d.orders = append(d.orders, inForce{o, why})
	}
	return d
}

// begin turns to another service. rows are those of its endpoints in the health
// table, nil = to be looked up.
func (d *decider) begin(service *steering.Service, rows []int) {
	d.service, d.rows = service, rows
	if rows == nil {
		d.rows = rowsOf(service, d.health)
	}
	d.fetches, d.stalls = d.fetches[:0], d.stalls[:0]
	for _, e := range service.Endpoints {
		d.fetches = append(d.fetches, d.estimates.Row(e.ID))
		d.stalls = append(d.stalls, d.market.stall(e, d.now))
	}
	clear(d.specs)
	d.earlier = d.earlier[:0]
	d.concerns = d.concerns[:0]
	for i := range d.orders {
		if d.orders[i].concerns(service) {
			d.concerns = append(d.concerns, &d.orders[i])
		}
	}
}

// earlier is an endpoint of a revision before and where its successor stands among
// the service's, -1 for nowhere.
type earlier struct {
	endpoint *steering.Endpoint
	at       int
}

// successor finds an endpoint of an earlier revision by its name, once for all groups
// of the service.
func (d *decider) successor(e *steering.Endpoint) int {
	for i := range d.earlier {
		if d.earlier[i].endpoint == e {
			return d.earlier[i].at
		}
	}
	at := slices.IndexFunc(d.service.Endpoints, func(o *steering.Endpoint) bool { return o.ID == e.ID })
	d.earlier = append(d.earlier, earlier{e, at})
	return at
}

func rowsOf(service *steering.Service, table steering.HealthTable) []int {
	rows := make([]int, len(service.Endpoints))
	for i, e := range service.Endpoints {
		rows[i] = table.Subject(e.Subject())
	}
	return rows
}

// concerns tells whether the order says anything about a service, in whatever
// region.
func (o *inForce) concerns(service *steering.Service) bool {
	if o.Kind == steering.Freeze {
		return o.CoversService(service)
	}
	for _, e := range service.Endpoints {
		if o.Applies(service, e, o.Region) {
			return true
		}
	}
	return false
}

// spot is a group with what is looked up for it.
type spot struct {
	steering.Group
	region *steering.Region // nil = not declared
	column int              // of the region in the health table
	fetch  int              // … and in the estimates
}

func (ev *evidence) spot(group steering.Group) *spot {
	return &spot{group, ev.revision.Region(group.Region), ev.health.Column(group.Region), ev.estimates.Column(group.Region)}
}

// pool is the pool that the group's clients go to first.
func (s *spot) pool() string {
	if s.region == nil {
		return ""
	}
	return s.region.Pool
}

// decide runs the chain and the allocation for one group of the service at hand.
// prev is nil when there is no earlier decision. A trace that is not nil is
// filled.
func (d *decider) decide(at *spot, prev *slot, trace *[]steering.StageTrace) *slot {
	c := &d.chain
	*c = chain{decider: d, group: at.Group, region: at.region, column: at.column, fetch: at.fetch, prev: prev, trace: trace, options: c.options[:0]}
	c.run()
	d.decision = decision{chain: c, spec: c.rule.Split, entries: d.entries[:0]}
	d.decision.divide()
	d.entries = d.decision.entries
	c.note("split", d.decision.spec.Place, d.decision.splitNote())
	return d.decision.slot()
}

// terms is the region's name where something that a decision reads is its own there,
// else empty.
func (d *decider) terms(service *steering.Service, at *spot) string {
	if at.Rule.ReadsSignals() || at.Rule.ScoresItself() && d.fetched(at.fetch) {
		return at.Region
	}
	return d.market.terms(service, at.Region)
}

// fetched tells whether anything is known of what fetches cost in a region, by its column.
func (d *decider) fetched(column int) bool {
	for _, row := range d.fetches {
		if _, known := d.estimates.At(row, column); known {
			return true
		}
	}
	return false
}

// applying has a bit for each order that concerns the service at hand and applies
// in a region.
func (d *decider) applying(region string) (bits uint64) {
	for i, o := range d.concerns {
		if o.Region == "" || o.Region == region {
			bits |= 1 << (i & 63)
		}
	}
	return bits
}

// phrase is a text that is made of a few words and a name; most are needed many
// times.
type phrase struct{ before, name, after string }

func (d *decider) say(before, name, after string) string {
	key := phrase{before, name, after}
	text, known := d.phrases[key]
	if !known {
		text = before + name + after
		d.phrases[key] = text
	}
	return text
}

// ruleText names a rule with its place.
func (d *decider) ruleText(rule *steering.Rule) string {
	text, known := d.rules[rule]
	if !known {
		text = fmt.Sprintf("rule %s (%s)", rule.Name, rule.Place)
		d.rules[rule] = text
	}
	return text
}
