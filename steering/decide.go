package steering

import (
	"math"
	"net/netip"
	"time"
)

// Query is what a door asks. Nothing else may influence a decision.
type Query struct {
	Service int        // index in the snapshot's layout; see Layout.ByKey and ByHost
	Client  netip.Addr // the client, or its network's address; invalid = not known
	Session string     // keeps a viewer on one endpoint over address changes; empty = none
	Door    Door       // where the client asks
	Source  Source     // whose address Client is
	Path    string     // what an HTTP client asks for, from the slash behind the service; empty = nothing, as in DNS
}

// Decision is the answer to a Query. It points into its snapshot.
type Decision struct {
	Generation uint64
	Service    *Service
	Cell       *Cell
	Group      Group
	Split      *Split
	TTL        time.Duration
	Canary     bool // the revision on trial decided
	// Scope is the length of the widest prefix around the client on which the
	// decision is known to be the same (RFC 7871 §7.2.1); 0 when the address made
	// no difference.
	Scope int
	// CellScope is the same for the client's cell, and so for its region: whoever adds
	// to an answer what depends on the region answers for no wider a network.
	CellScope int
	// Network is the part of the client's address that was hashed, and all of it
	// that may be kept; invalid when the client is not known.
	Network netip.Prefix
	// Snapshot is the one that decided: the revision's on trial where Canary is set.
	// Service and group stand at these places in it, for those who count decisions.
	Snapshot                 *Snapshot
	ServiceIndex, GroupIndex int

	first int
	hash  uint64 // of the client; 0 where there is nothing to choose from
}

// ClientHash is Snapshot.ClientHash of the client that was decided for; 0 where all
// clients like it were told the same.
func (d *Decision) ClientHash() uint64 { return d.hash }

// Decide locates the client's cell and picks from its ready split by weighted
// rendezvous hash over the client's prefix or session. It is a function of
// snapshot and query alone. A service index out of range panics: it is a
// programming mistake, since doors look it up in the same snapshot.
func (s *Snapshot) Decide(q Query) (d Decision) {
	s.DecideInto(&q, &d)
	return d
}

// DecideInto is Decide for those who answer so often that they notice the copies of
// query and decision. Nothing of what was in the decision stays. It may change the
// query.
func (s *Snapshot) DecideInto(q *Query, d *Decision) {
	c := s.Canary
	if c == nil || c.services[q.Service] < 0 {
		s.decide(q, d)
		return
	}
	p := s.Layout.Services[q.Service].Service.Policy
	if p.IgnoreSession {
		q.Session = ""
	}
	in, scope := c.takes(p, q.Client.Unmap(), q.Session)
	if in {
		s, q.Service = c.Snapshot, c.services[q.Service]
	}
	s.decide(q, d)
	d.Canary, d.Scope = in, max(d.Scope, scope)
	if d.hash == 0 { // whether it is in hung on who it is
		d.hash = s.ClientHash(*q)
	}
}

func (s *Snapshot) decide(q *Query, d *Decision) {
	sl := s.Layout.Services[q.Service]
	if sl.policy.IgnoreSession {
		q.Session = ""
	}
	client := q.Client.Unmap()
	cell, bits := s.Layout.Table.Locate(client)
	prefix, hashed := hashedPrefix(sl.policy, client)
	group, parts := int(sl.outcome(cell, q)), []Part(nil)
	if group >= len(sl.Groups) {
		parts = sl.divided[group-len(sl.Groups)]
		group = pickPart(parts, hashOf(shareSeed^sl.seed, prefix, q.Session))
	}
	split := s.splits[q.Service][group]
	*d = Decision{
		Generation: s.Generation,
		Service:    sl.Service,
		Cell:       &s.Layout.Table.Cells()[cell],
		Group:      sl.Groups[group],
		Split:      split,
		TTL:        split.TTL,
		Scope:      bits,
		CellScope:  bits,
		Network:    netip.PrefixFrom(prefix, hashed),

		Snapshot: s, ServiceIndex: q.Service, GroupIndex: group,
	}
	if parts != nil {
		d.Scope = max(d.Scope, hashed)
		d.hash = hashOf(sl.seed, prefix, q.Session)
	}
	switch {
	case len(split.shares) > 1:
		d.hash = hashOf(sl.seed, prefix, q.Session)
		d.first = split.first(d.hash)
		d.Scope = max(d.Scope, hashed)
	case s.uniform[q.Service]:
		d.Scope = 0
	}
	if !client.IsValid() {
		d.Scope = 0
	}
}

// hashOf hashes what identifies a client: its session, else its prefix.
func hashOf(seed uint64, prefix netip.Addr, session string) uint64 {
	switch {
	case session != "":
		return hashSession(seed, session)
	case prefix.IsValid():
		return hashClient(seed, prefix)
	}
	return seed
}

// shareSeed makes the policy that a client belongs to independent of the
// endpoint that it gets there.
const shareSeed = 0x9E3779B97F4A7C15

// First returns the endpoint that the client should use; false when the split
// hands out nothing (on_all_down: none).
func (d *Decision) First() (*Candidate, bool) {
	if len(d.Split.shares) == 0 {
		return nil, false
	}
	return &d.Split.Candidates[d.first], true
}

// Endpoint is that of First, for those who need nothing else of it; nil where there is
// none.
func (d *Decision) Endpoint() *Endpoint {
	if len(d.Split.shares) == 0 {
		return nil
	}
	return d.Split.shares[d.first].endpoint
}

// Pick is the place of First in the split; 0 where it hands out nothing.
func (d *Decision) Pick() int { return d.first }

// AppendRanked appends every candidate to dst in the order in which this client
// should try them: those with a weight by the client's own hash, so that a lost
// endpoint's clients spread over the others, then the rest by rank.
func (d *Decision) AppendRanked(dst []*Candidate) []*Candidate {
	start := len(dst)
	picks := d.Split.Picks()
	for i := range picks {
		c := &picks[i]
		at := len(dst)
		for at > start && c.distance(d.hash) < dst[at-1].distance(d.hash) {
			at--
		}
		dst = append(dst, nil)
		copy(dst[at+1:], dst[at:])
		dst[at] = c
	}
	for i := len(picks); i < len(d.Split.Candidates); i++ {
		dst = append(dst, &d.Split.Candidates[i])
	}
	return dst
}

// pickPart returns the group that decides for a client: as endpoints are picked,
// so that a change of shares moves no more clients than it must.
func pickPart(parts []Part, hash uint64) (group int) {
	best := math.Inf(1)
	for i := range parts {
		if dist := rarity(mix(hash, parts[i].seed)) / parts[i].Share; dist < best {
			best, group = dist, parts[i].Group
		}
	}
	return group
}

// first returns the index of the pick with the least distance. Numbers that are not
// negative are in the order of their bits, and of whole numbers the compiler chooses the
// lesser without a branch, which nobody could foresee here.
func (s *Split) first(hash uint64) int {
	best, at := math.Float64bits(math.Inf(1)), 0
	for i := range s.shares {
		if dist := math.Float64bits(s.shares[i].distance(hash)); dist < best {
			best, at = dist, i
		}
	}
	return at
}

// distance is the weighted rendezvous distance -log(u)/w (Schindelhauer and
// Schomaker, "Weighted Distributed Hash Tables", 2005): each candidate is
// nearest for a share of the hashes proportional to its weight, whatever the
// other candidates are. The logarithm's base makes no difference to the order.
func (s *share) distance(hash uint64) float64 {
	return rarity(mix(hash, s.seed)) * s.inverse
}

// hashedPrefix returns the network address that a split hashes and its length.
func hashedPrefix(p *Policy, client netip.Addr) (netip.Addr, int) {
	if !client.IsValid() {
		return client, 0
	}
	length := p.HashV6
	if client.Is4() {
		length = p.HashV4
	}
	prefix, err := client.Prefix(length) // without the zone
	if err != nil {
		panic("steering: policy " + p.Name + " hashes an impossible prefix length")
	}
	return prefix.Addr(), length
}
