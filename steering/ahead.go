package steering

// Soon is a query that is about to be decided, and what is known of its decision.
type Soon struct {
	Query
	Group int // the group that decides, as an index in the service's layout; -1 = it takes a decision to tell
	// Endpoint is what all clients of the group are given; nil = there are several, or
	// none, or the group is not known.
	Endpoint *Endpoint

	// Trouble is the split's; empty where the group is not known.
	Trouble Trouble

	layout *ServiceLayout
	split  *Split
}

// LookAhead brings what deciding queries will read into the processor's caches. It
// decides nothing, and what it finds binds nobody.
//
// Where there are very many services and regions, deciding is a chain of waits for
// memory: each step says where the next one lies. Waits that do not hang on each other
// pass together, so all queries take one step, then all of them the next. For that the
// loops must be short, so that the processor sees many turns of one at once.
func (s *Snapshot) LookAhead(soon []Soon) {
	for i := range soon {
		soon[i].layout = s.Layout.Services[soon[i].Service]
	}
	for i := range soon {
		q := &soon[i]
		cell, _ := s.Layout.Table.Locate(q.Client.Unmap())
		if q.Group = int(q.layout.outcome(cell, &q.Query)); q.Group >= len(q.layout.Groups) {
			q.Group = -1
		}
	}
	for i := range soon {
		q := &soon[i]
		q.split = nil
		if q.Group >= 0 {
			q.split = s.splits[q.Service][q.Group]
		}
	}
	for i := range soon {
		q := &soon[i]
		if q.Endpoint, q.Trouble = nil, ""; q.split == nil {
			continue
		}
		if q.Trouble = q.split.Trouble; len(q.split.shares) == 1 {
			q.Endpoint = q.split.shares[0].endpoint
		}
	}
}
