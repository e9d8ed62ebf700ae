package steering

import (
	"encoding/binary"
	"slices"
	"time"
)

// grouper finds the groups of services: it asks every rule about every cell, in
// every way in which clients can ask, as far as the rule reads these things.
type grouper struct {
	cells  []Cell
	region []int32   // cell → number of its region
	names  int       // of regions
	now    time.Time // zero = no time: rules that read it match nobody
	memo   map[memoKey][]answer
	fences map[*Fence][]answer
	made   map[groupingKey]*grouped
}

// memoKey is what a rule's condition can tell apart beside the cell.
type memoKey struct {
	rule    *Rule
	service *Service
	door    Door
	source  Source
	paths   uint64
}

// groupingKey is what makes two services share their groups.
type groupingKey struct {
	policy  *Policy
	service *Service // nil when rules and fences do not tell services apart
}

// answer is a condition's outcome in one cell, as far as it was asked for.
type answer uint8

const (
	unasked answer = iota
	no
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

func newGrouper(cells []Cell, now time.Time) *grouper {
	g := &grouper{
		cells: cells, now: now, region: make([]int32, len(cells)),
		memo: make(map[memoKey][]answer), fences: make(map[*Fence][]answer), made: make(map[groupingKey]*grouped),
	}
	numbers := make(map[string]int32)
	for i := range cells {
		n, known := numbers[cells[i].Region]
		if !known {
			n = int32(len(numbers))
			numbers[cells[i].Region] = n
		}
		g.region[i] = n
	}
	g.names = len(numbers)
	return g
}

// layout finds the groups of a service.
func (g *grouper) layout(s *Service) *ServiceLayout {
	key := groupingKey{policy: s.Policy}
	rules := s.Policy.reachable()
	fenced := slices.ContainsFunc(s.Endpoints, func(e *Endpoint) bool { return len(e.Fences) > 0 })
	if fenced || slices.ContainsFunc(rules, func(r *Rule) bool { return r.Reads.Service }) {
		key.service = s
	}
	known := g.made[key]
	if known == nil {
		known = g.group(s, rules, fenced)
		g.made[key] = known
	}
	return &ServiceLayout{Service: s, grouped: known, seed: hashString(s.Key)}
}

// reachable lists the policy's rules and those of the policies that they give
// shares to.
func (p *Policy) reachable() []*Rule {
	rules := slices.Clone(p.Rules)
	for _, r := range p.Rules {
		for _, share := range r.Split.Policies {
			rules = append(rules, share.Policy.Rules...)
		}
	}
	return rules
}

// group asks for every way that some rule can tell apart.
func (g *grouper) group(s *Service, rules []*Rule, fenced bool) *grouped {
	n := &grouping{
		grouper: g, service: s, fenced: fenced,
		index: make(map[Group]uint32), numbers: make(map[*Rule][]uint32), mixes: make(map[string]uint32), barred: make(map[string]*Barred),
	}
	if fenced {
		n.barredIn = make([]*Barred, len(g.cells))
		for cell := range g.cells {
			n.barredIn[cell] = n.intern(newBarred(s.Endpoints, func(f *Fence) bool { return g.bars(f, cell) }))
		}
	}
	w := &ways{paths: pathsOf(rules)}
	var reads Reading
	for _, r := range rules {
		reads.Door, reads.Source, reads.Service = reads.Door || r.Reads.Door, reads.Source || r.Reads.Source, reads.Service || r.Reads.Service
	}
	if !reads.Door && !reads.Source && len(w.paths) == 0 {
		n.once = !fenced && !reads.Service
		plain := n.list(Way{})
		return n.sealed([][]uint32{plain}, nil)
	}
	w.index = make([]uint16, int(doorCount)*int(sourceCount)<<len(w.paths))
	nowhere := w.passed("")
	known := make(map[[3]uint64]uint16)
	for door := range doorCount {
		for source := range sourceCount {
			for bits := range uint64(1) << len(w.paths) {
				told := [3]uint64{0, 0, bits}
				way := Way{Door: door, Source: source}
				if door == DoorDNS {
					told[2] = nowhere // no path is asked for
				} else {
					way.Source = SourceClient // no resolver stands between
				}
				way.Passed = w.texts(told[2])
				if reads.Door {
					told[0] = uint64(door)
				}
				if reads.Source {
					told[1] = uint64(way.Source)
				}
				at, done := known[told]
				if !done {
					at = uint16(len(w.lists))
					known[told] = at
					way.outcomes = int(at)
					w.lists, w.list = append(w.lists, n.list(way)), append(w.list, way)
				}
				w.index[w.number(door, source, bits)] = at
			}
		}
	}
	return n.sealed(w.lists, w)
}

// texts names the tests whose bits are set.
func (w *ways) texts(bits uint64) []string {
	var texts []string
	for i := range w.paths {
		if bits&(1<<i) != 0 {
			texts = append(texts, w.paths[i].Text)
		}
	}
	return texts
}

// asked is a rule with all that is asked of it in one way of asking, so that nothing
// of that is looked up for each cell.
type asked struct {
	rule    *Rule
	facts   Facts
	answers []answer // by cell, as far as they are known; nil = they are not remembered
	numbers []uint32 // of its groups, by region, plus one; 0 = it has none yet. nil = to be looked up
}

// ask prepares the rules of a policy for a way of asking. What is asked only once is
// not remembered: there may be many cells.
func (n *grouping) ask(p *Policy, w *Way) []asked {
	rules := make([]asked, 0, len(p.Rules))
	for _, r := range p.Rules {
		if r.When != nil && r.Reads.Time && n.now.IsZero() {
			continue
		}
		a := asked{rule: r, facts: w.Facts(r)}
		a.facts.Service, a.facts.Now = n.service, n.now
		if r.When != nil && !n.once {
			a.answers = n.remembered(r, &a.facts)
		}
		if !n.fenced && p == n.service.Policy {
			if n.numbers[r] == nil {
				n.numbers[r] = make([]uint32, n.names)
			}
			a.numbers = n.numbers[r]
		}
		if rules = append(rules, a); r.When == nil {
			break
		}
	}
	return rules
}

// remembered are the answers of a rule to a question, by cell.
func (g *grouper) remembered(r *Rule, f *Facts) []answer {
	key := memoKey{rule: r, paths: f.Paths}
	if r.Reads.Service {
		key.service = f.Service
	}
	if r.Reads.Door {
		key.door = f.Door
	}
	if r.Reads.Source {
		key.source = f.Source
	}
	known := g.memo[key]
	if known == nil {
		known = make([]answer, len(g.cells))
		g.memo[key] = known
	}
	return known
}

// matches asks the rule about a cell.
func (a *asked) matches(cells []Cell, cell int) bool {
	if a.rule.When == nil {
		return true
	}
	if a.answers != nil && a.answers[cell] != unasked {
		return a.answers[cell] == yes
	}
	a.facts.Cell = &cells[cell]
	matches := a.rule.When(&a.facts)
	if a.answers != nil {
		a.answers[cell] = answerOf(matches)
	}
	return matches
}

// bars asks a fence about a cell.
func (g *grouper) bars(f *Fence, cell int) bool {
	known := g.fences[f]
	if known == nil {
		known = make([]answer, len(g.cells))
		g.fences[f] = known
	}
	if known[cell] == unasked {
		known[cell] = answerOf(f.Bars(&g.cells[cell]))
	}
	return known[cell] == yes
}

// grouping is the work on the groups of one service.
type grouping struct {
	*grouper
	service *Service
	fenced  bool
	once    bool // every rule is asked about every cell once at most
	groups  []Group
	index   map[Group]uint32
	numbers map[*Rule][]uint32 // the same for groups of nothing but a rule of the service's policy and a region: number plus one
	divided [][]Part
	mixes   map[string]uint32
	barred  map[string]*Barred

	barredIn []*Barred // by cell, where endpoints have fences
}

// mixed marks an outcome that is an index into divided, until all groups are
// known.
const mixed = 1 << 31

// list finds the outcome of every cell for one way of asking. Groups are
// numbered in the order of their first cell.
func (n *grouping) list(w Way) []uint32 {
	outcomes := make([]uint32, len(n.cells))
	rules, others := n.ask(n.service.Policy, &w), make(map[*Policy][]asked)
	for cell := range n.cells {
		first := n.first(n.service.Policy, rules, cell)
		if len(first.rule.Split.Policies) == 0 {
			outcomes[cell] = n.numberOf(first, cell)
			continue
		}
		var parts []Part
		for _, share := range first.rule.Split.Policies {
			if others[share.Policy] == nil {
				others[share.Policy] = n.ask(share.Policy, &w)
			}
			group := Group{Via: first.rule, Policy: share.Policy, Rule: n.first(share.Policy, others[share.Policy], cell).rule}
			parts = append(parts, Part{Group: int(n.number(group, cell)), Share: share.Share, seed: hashString(share.Policy.Name)})
		}
		outcomes[cell] = n.mix(parts)
	}
	return outcomes
}

// first is the first of a policy's rules that matches.
func (n *grouping) first(p *Policy, rules []asked, cell int) *asked {
	for i := range rules {
		if rules[i].matches(n.cells, cell) {
			return &rules[i]
		}
	}
	panic("steering: policy " + p.Name + " has no rule that always matches")
}

// numberOf is the number of the group of a rule of the service's policy.
func (n *grouping) numberOf(a *asked, cell int) uint32 {
	if a.numbers == nil {
		return n.number(Group{Rule: a.rule}, cell)
	}
	at := &a.numbers[n.region[cell]]
	if *at == 0 {
		*at = n.number(Group{Rule: a.rule}, cell) + 1
	}
	return *at - 1
}

func (n *grouping) number(g Group, cell int) uint32 {
	g.Region = n.cells[cell].Region
	if n.fenced {
		g.Barred = n.barredIn[cell]
	}
	at, known := n.index[g]
	if !known {
		at = uint32(len(n.groups))
		n.index[g] = at
		n.groups = append(n.groups, g)
	}
	return at
}

// intern gives equal bars the same pointer, so that groups can be compared.
func (n *grouping) intern(b *Barred) *Barred {
	if b == nil {
		return nil
	}
	if known := n.barred[b.key]; known != nil {
		return known
	}
	n.barred[b.key] = b
	return b
}

func (n *grouping) mix(parts []Part) uint32 {
	var key []byte
	for _, p := range parts {
		key = binary.AppendUvarint(key, uint64(p.Group))
		key = binary.AppendUvarint(key, p.seed)
	}
	at, known := n.mixes[string(key)]
	if !known {
		at = uint32(len(n.divided))
		n.mixes[string(key)] = at
		n.divided = append(n.divided, parts)
	}
	return mixed | at
}

// sealed gives the outcomes their final numbers.
func (n *grouping) sealed(lists [][]uint32, w *ways) *grouped {
	for _, list := range lists {
		for i := range list {
			if list[i]&mixed != 0 {
				list[i] = list[i]&^mixed + uint32(len(n.groups))
			}
		}
	}
	g := &grouped{policy: n.service.Policy, Groups: n.groups, divided: n.divided, ways: w}
	if w == nil {
		g.plain = lists[0]
	}
	return g
}
