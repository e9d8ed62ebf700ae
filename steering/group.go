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
	now    time.Time // zero = no time: rules that read it match nobody
	facts  Facts     // of the question at hand
	memo   map[memoKey][]answer
	fences map[*Fence][]answer
	made   map[groupingKey]*ServiceLayout
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
	return &grouper{
		cells: cells, now: now,
		memo: make(map[memoKey][]answer), fences: make(map[*Fence][]answer), made: make(map[groupingKey]*ServiceLayout),
	}
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
	sl := *known
	sl.Service, sl.seed = s, hashString(s.Key)
	return &sl
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
func (g *grouper) group(s *Service, rules []*Rule, fenced bool) *ServiceLayout {
	n := &grouping{grouper: g, service: s, fenced: fenced, index: make(map[Group]uint32), mixes: make(map[string]uint32), barred: make(map[string]*Barred)}
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

// matches asks a rule about a cell. What is asked only once is not remembered:
// there may be many cells.
func (g *grouper) matches(r *Rule, s *Service, w *Way, cell int, once bool) bool {
	if r.When == nil {
		return true
	}
	if r.Reads.Time && g.now.IsZero() {
		return false
	}
	g.facts = w.Facts(r)
	g.facts.Cell, g.facts.Service, g.facts.Now = &g.cells[cell], s, g.now
	if once {
		return r.When(&g.facts)
	}
	key := memoKey{rule: r, paths: g.facts.Paths}
	if r.Reads.Service {
		key.service = s
	}
	if r.Reads.Door {
		key.door = w.Door
	}
	if r.Reads.Source {
		key.source = w.Source
	}
	known := g.memo[key]
	if known == nil {
		known = make([]answer, len(g.cells))
		g.memo[key] = known
	}
	if known[cell] == unasked {
		known[cell] = answerOf(r.When(&g.facts))
	}
	return known[cell] == yes
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
	divided [][]Part
	mixes   map[string]uint32
	barred  map[string]*Barred
}

// mixed marks an outcome that is an index into divided, until all groups are
// known.
const mixed = 1 << 31

// list finds the outcome of every cell for one way of asking. Groups are
// numbered in the order of their first cell.
func (n *grouping) list(w Way) []uint32 {
	outcomes := make([]uint32, len(n.cells))
	for cell := range n.cells {
		rule := n.rule(n.service.Policy, &w, cell)
		if len(rule.Split.Policies) == 0 {
			outcomes[cell] = n.number(Group{Rule: rule}, cell)
			continue
		}
		var parts []Part
		for _, share := range rule.Split.Policies {
			group := Group{Via: rule, Policy: share.Policy, Rule: n.rule(share.Policy, &w, cell)}
			parts = append(parts, Part{Group: int(n.number(group, cell)), Share: share.Share, seed: hashString(share.Policy.Name)})
		}
		outcomes[cell] = n.mix(parts)
	}
	return outcomes
}

// rule is the first of a policy that matches.
func (n *grouping) rule(p *Policy, w *Way, cell int) *Rule {
	for _, r := range p.Rules {
		if n.matches(r, n.service, w, cell, n.once) {
			return r
		}
	}
	panic("steering: policy " + p.Name + " has no rule that always matches")
}

func (n *grouping) number(g Group, cell int) uint32 {
	g.Region = n.cells[cell].Region
	if n.fenced {
		g.Barred = n.intern(newBarred(n.service.Endpoints, func(f *Fence) bool { return n.bars(f, cell) }))
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
func (n *grouping) sealed(lists [][]uint32, w *ways) *ServiceLayout {
	for _, list := range lists {
		for i := range list {
			if list[i]&mixed != 0 {
				list[i] = list[i]&^mixed + uint32(len(n.groups))
			}
		}
	}
	sl := &ServiceLayout{Groups: n.groups, divided: n.divided, ways: w}
	if w == nil {
		sl.plain = lists[0]
	}
	return sl
}
