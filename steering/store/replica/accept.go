package replica

import (
	"context"

	"fairway/steering/store"
)

// Accept notes that the node has taken up a revision: it stays in the copy until
// another one is accepted, whatever the shared store says is in force.
func (s *Store) Accept(hash string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.intent.byHash(hash); !known || s.intent.Accepted == hash {
		return
	}
	s.intent.Accepted = hash
	s.tell(store.Change{Revision: true})
}

// Accepted is the revision that the node took up last, now or in an earlier run;
// of one that never did, the one that the newest decisions are for. False when
// there is none.
func (s *Store) Accepted(ctx context.Context) (store.Revision, bool) {
	s.mu.Lock()
	r, known := s.intent.byHash(s.intent.Accepted)
	decided := ""
	if s.state != nil {
		decided = s.state.Revision
	}
	if !known {
		r, known = s.intent.byHash(decided)
	}
	s.mu.Unlock()
	if known || decided == "" {
		return cloneOf(r), known
	}
	list, err := s.Shared.Revisions(ctx)
	if err != nil {
		return store.Revision{}, false
	}
	for _, bare := range list {
		if bare.Hash == decided {
			r, err := s.Shared.Revision(ctx, bare.Number)
			return r, err == nil
		}
	}
	return store.Revision{}, false
}

func (i *intent) byHash(hash string) (store.Revision, bool) {
	for _, r := range i.Revisions {
		if hash != "" && r.Hash == hash {
			return r, true
		}
	}
	return store.Revision{}, false
}
