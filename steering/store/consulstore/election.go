package consulstore

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"fairway/steering/store"

	consul "github.com/hashicorp/consul/api"
)

// leaderKey is locked by the control node that leads. It is among the heads, so
// that whoever watches these knows who that is.
const leaderKey = "heads/leader"

// Leader is the control node that leads, as it wrote into the key that it locked.
type Leader struct {
	Term    uint64    `json:"term"` // counts the elections
	Node    string    `json:"node"`
	Address string    `json:"address"` // of its API, as a base URL
	Since   time.Time `json:"since"`
}

// fence is the session that must hold the lock for a write to count; without a
// session nothing may be written.
type fence struct{ session string }

// Candidate is a control node that stands for election.
type Candidate struct {
	Node, Address string
	// Lead is called with the term when the node is elected. Its context ends when
	// the node no longer leads, or is told to stop; the lock is held, if it still
	// is, until Lead has returned.
	Lead func(ctx context.Context, term uint64)
}

// askEvery is the least time between two attempts to become leader.
const askEvery = 250 * time.Millisecond

// Campaign stands for election until the context ends, leads when it wins, and
// stands again when it has lost. From its first call on nothing is written but by
// the leader: every transaction checks that the session still holds the lock, so
// that one that was paused, and does not know yet that another leads, changes
// nothing.
func (s *Store) Campaign(ctx context.Context, c Candidate) {
	s.fence.Store(&fence{})
	for ctx.Err() == nil {
		if err := s.term(ctx, c); err != nil && ctx.Err() == nil {
			s.warn(fmt.Errorf("this node cannot stand for election; what serves stays as it is: %w", err))
			pause(ctx, time.Second+rand.N(time.Second))
		}
	}
}

// Leader returns who leads as far as this node has heard; false when nobody does.
func (s *Store) Leader() (Leader, bool) {
	l := s.leader.Load()
	if l == nil {
		return Leader{}, false
	}
	return *l, true
}

// term is one session: waiting for the lock, and leading when it comes.
func (s *Store) term(ctx context.Context, c Candidate) error {
	session, err := s.newSession(ctx, c)
	if err != nil {
		return err
	}
	defer s.endSession(session)
	alive, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	var renewing sync.WaitGroup
	defer renewing.Wait()
	defer lost(nil)
	renewing.Go(func() {
		if err := keepAlive(alive, func(ctx context.Context) (bool, error) { return s.renew(ctx, session) }); err != nil {
			lost(err)
		}
	})
	for alive.Err() == nil {
		number, index, err := s.acquire(alive, session, c)
		if err != nil {
			return err
		}
		if number > 0 {
			s.lead(alive, ctx, session, number, index, c)
			return nil // a lock that was lost is fought for with a session of its own
		}
	}
	return context.Cause(alive)
}

// Readdress says at which address the leader is reached, where this store's node
// leads: of one that leads for another it may change.
func (s *Store) Readdress(ctx context.Context, address string) error {
	if f := s.fence.Load(); f == nil || f.session == "" {
		return store.ErrDeposed
	}
	h, err := readHeadAt[Leader](ctx, s, leaderKey)
	if err != nil || h.Value.Address == address {
		return err
	}
	h.Value.Address = address
	op, err := h.putAt(leaderKey, h.Value) // the lock on the key stays
	if err != nil {
		return err
	}
	_, err = s.commit(ctx, op)
	return err
}

// acquire waits until the lock may be free, for a while, and tries to take it. The
// term is 0 when it did not.
func (s *Store) acquire(ctx context.Context, session string, c Candidate) (term, index uint64, err error) {
	pair, err := s.readLock(ctx, 0)
	if err != nil {
		return 0, 0, err
	}
	if pair != nil && pair.Session != "" && pair.Session != session {
		_, err := s.readLock(ctx, pair.ModifyIndex)
		return 0, 0, err
	}
	before, _ := leaderOf(pair)
	l := Leader{Term: max(before.Term, s.lastTerm.Load()) + 1, Node: c.Node, Address: c.Address, Since: time.Now().UTC()}
	op, err := head[Leader]{}.putAt(s.prefix+leaderKey, l)
	if err != nil {
		return 0, 0, err
	}
	op.Verb, op.Session, op.Index = consul.KVLock, session, 0
	guard := &consul.KVTxnOp{Verb: consul.KVCheckNotExists, Key: op.Key} // nobody's term came between
	if pair != nil {
		guard = &consul.KVTxnOp{Verb: consul.KVCheckIndex, Key: op.Key, Index: pair.ModifyIndex}
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var o consul.QueryOptions
	done, answer, _, err := s.txn.Txn(consul.TxnOps{{KV: guard}, {KV: op}}, o.WithContext(limited))
	if err != nil {
		return 0, 0, fmt.Errorf("lock %s in consul: %w", op.Key, err)
	}
	if !done {
		pause(ctx, askEvery+rand.N(askEvery)) // another was faster, or the lock's delay is not over
		return 0, 0, nil
	}
	for _, result := range answer.Results {
		if result != nil && result.KV != nil {
			index = result.KV.ModifyIndex
		}
	}
	s.heard(&l)
	return l.Term, index, nil
}

// lead has the node lead for as long as it holds the lock. Asked to stop, it still
// holds it until the node has finished.
func (s *Store) lead(alive, ctx context.Context, session string, term, index uint64, c Candidate) {
	s.fence.Store(&fence{session})
	defer s.fence.Store(&fence{})
	leading, depose := context.WithCancel(alive)
	defer depose()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer depose()
	watching.Go(func() {
		defer depose()
		for s.holds(leading, session, &index) {
		}
	})
	c.Lead(leading, term)
	if ctx.Err() == nil {
		s.warn(fmt.Errorf("this node no longer leads (term %d)", term))
	}
}

// holds waits for news of the lock and tells whether it is still held, as far as
// one can know: a Consul that does not answer is a matter of the session's time.
func (s *Store) holds(ctx context.Context, session string, index *uint64) bool {
	pair, err := s.readLock(ctx, *index)
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		return pause(ctx, time.Second)
	case pair == nil || pair.Session != session:
		return false
	}
	*index = pair.ModifyIndex
	return true
}

// readLock reads the lock's key from the leading server; with an index, when it
// has changed since, or after a while.
func (s *Store) readLock(ctx context.Context, index uint64) (*consul.KVPair, error) {
	const wait = 20 * time.Second
	limited, cancel := context.WithTimeout(ctx, patience+wait+wait/8)
	defer cancel()
	o := consul.QueryOptions{WaitIndex: index, WaitTime: wait}
	if index == 0 {
		var short context.CancelFunc
		limited, short = context.WithTimeout(limited, patience)
		defer short()
	}
	pair, _, err := s.kv.Get(s.prefix+leaderKey, o.WithContext(limited))
	if err != nil {
		return nil, fmt.Errorf("read who leads from consul: %w", err)
	}
	s.hear(pair)
	return pair, nil
}

// hear remembers who leads.
func (s *Store) hear(pair *consul.KVPair) {
	if pair == nil || pair.Session == "" {
		s.heard(nil)
		return
	}
	if l, ok := leaderOf(pair); ok {
		s.heard(&l)
	}
}

func (s *Store) heard(l *Leader) {
	if l != nil {
		for last := s.lastTerm.Load(); l.Term > last && !s.lastTerm.CompareAndSwap(last, l.Term); last = s.lastTerm.Load() {
		}
	}
	s.leader.Store(l)
	if l != nil {
		s.leaderless.Store(nil)
	} else if s.leaderless.Load() == nil {
		s.leaderless.Store(new(time.Now()))
	}
}

func leaderOf(pair *consul.KVPair) (Leader, bool) {
	var h head[Leader]
	if pair == nil || json.Unmarshal(pair.Value, &h) != nil || h.Form != form {
		return Leader{}, false
	}
	return h.Value, true
}

// pause waits; false when the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
