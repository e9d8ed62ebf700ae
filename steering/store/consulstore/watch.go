package consulstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"fairway/steering/store"

	consul "github.com/hashicorp/consul/api"
)

const (
	// waitFor is how long Consul holds a blocking query when nothing changes; it
	// adds up to a sixteenth, so that a fleet does not ask in step.
	waitFor = 30 * time.Second
	// A Consul that does not answer is asked again after retryFirst, doubling up
	// to retryMost, each shortened by chance to as little as half.
	retryFirst = 200 * time.Millisecond
	retryMost  = 10 * time.Second
	// One that answers at once and has nothing new is asked more and more slowly:
	// something between does not know blocking queries, or it is broken.
	idleFirst = 10 * time.Millisecond
	idleMost  = time.Second
)

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context) <-chan store.Change {
	changes := make(chan store.Change)
	seen, at, err := s.look(ctx, 0) // before the caller reads, so that nothing falls in between
	found := make(chan store.Change)
	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer close(found)
		s.follow(ctx, seen, at, err, found)
	}()
	go func() {
		defer stop()
		defer close(changes)
		join(s.done, found, changes)
	}()
	return changes
}

// join hands changes on, joined as long as nobody receives.
func join(done <-chan struct{}, found <-chan store.Change, changes chan<- store.Change) {
	var pending store.Change
	for {
		send := changes
		if !pending.Any() {
			send = nil
		}
		select {
		case <-done:
			return
		case c, open := <-found:
			if !open {
				return
			}
			pending = pending.Or(c)
		case send <- pending:
			pending = store.Change{}
		}
	}
}

// follow asks Consul again and again what the heads are.
func (s *Store) follow(ctx context.Context, seen heads, at uint64, err error, found chan<- store.Change) {
	retry := retryFirst
	var idle time.Duration
	for ctx.Err() == nil {
		if err != nil {
			s.warn(fmt.Errorf("consul does not tell of changes; what is known serves on: %w", err))
			idle = retry/2 + rand.N(retry/2)
			retry = min(2*retry, retryMost)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(idle):
		}
		asked := time.Now()
		var now heads
		var next uint64
		if now, next, err = s.look(ctx, at); err != nil {
			at = 0 // and when it is back, it says so at once
			continue
		}
		retry = retryFirst
		if next < at {
			next = 0 // a restored Consul counts anew: ask without waiting once
		}
		at = next
		switch c := now.since(seen); {
		case c.Any():
			idle = 0
			select {
			case <-ctx.Done():
				return
			case found <- c:
			}
		case time.Since(asked) < idleMost: // it should have held the question
			idle = min(max(2*idle, idleFirst), idleMost)
		default:
			idle = 0
		}
		seen = now
	}
}

// heads is Consul's index of each head; nil = not known yet.
type heads map[string]uint64

// look reads the heads: at once when at is 0, else when they changed since at or
// waitFor is over.
func (s *Store) look(ctx context.Context, at uint64) (heads, uint64, error) {
	now, next, err := s.lookOnce(ctx, at)
	if ctx.Err() == nil || err == nil {
		r := &reach{err: err}
		if before := s.reach.Load(); err != nil && before != nil {
			r.at = before.at
		} else if err == nil {
			r.at = time.Now()
		}
		s.reach.Store(r)
	}
	return now, next, err
}

// reach is how the last look went.
type reach struct {
	at  time.Time // when one last went well; zero = never
	err error
}

// Reach tells when Consul last answered a watch of this store, and why it has not
// since; nil = it has. While nothing changes it answers every half minute.
func (s *Store) Reach() (time.Time, error) {
	if r := s.reach.Load(); r != nil {
		return r.at, r.err
	}
	return time.Time{}, nil
}

// leaderlessFor is how long nobody may lead before what is read counts as old: longer
// than any election takes. From then on nobody writes here.
const leaderlessFor = 2*sessionTTL + lockDelay + 4*time.Second

// Behind tells why what is read here may be old, as far as a watch of this store has
// seen: Consul does not answer, or nobody leads, so that nobody writes.
func (s *Store) Behind() error {
	r := s.reach.Load()
	switch since := s.leaderless.Load(); {
	case r == nil:
		return errors.New("consul was not asked yet")
	case r.err != nil:
		return r.err
	case s.headless.Load():
		return errors.New("consul's servers have no leader: nothing new can be written there")
	case since != nil && time.Since(*since) > leaderlessFor:
		return fmt.Errorf("nobody has led there since %s: neither a control node nor a mirror writes", since.Format(time.TimeOnly))
	}
	return nil
}

func (s *Store) lookOnce(ctx context.Context, at uint64) (heads, uint64, error) {
	limit := patience
	if at > 0 {
		limit += waitFor + waitFor/16
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o := consul.QueryOptions{AllowStale: true, WaitIndex: at, WaitTime: waitFor}
	folder := s.prefix + "heads/"
	pairs, meta, err := s.kv.List(folder, o.WithContext(ctx))
	pairs = sound(pairs, folder)
	s.keepHeads(pairs)
	if err != nil {
		return nil, 0, err
	}
	s.headless.Store(!meta.KnownLeader)
	now := make(heads)
	var lock *consul.KVPair
	for _, pair := range pairs {
		if pair.Key == s.prefix+leaderKey {
			lock = pair
			continue
		}
		now[pair.Key[len(folder):]] = pair.ModifyIndex
	}
	s.hear(lock)
	return now, meta.LastIndex, nil
}

// keepHeads keeps the heads for those who read them; nil = Consul did not answer.
func (s *Store) keepHeads(pairs consul.KVPairs) {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	if s.heads = nil; pairs == nil {
		return
	}
	s.heads = make(map[string]*consul.KVPair, len(pairs))
	for _, pair := range pairs {
		s.heads[pair.Key] = pair
	}
}

// since says which heads are not as they were.
func (h heads) since(o heads) store.Change {
	if o == nil {
		return store.Change{Revision: true, Overrides: true, State: true, Values: true}
	}
	if maps.Equal(h, o) {
		return store.Change{}
	}
	return store.Change{
		Revision:  h[revisionsHead] != o[revisionsHead] || h[inForceHead] != o[inForceHead],
		Overrides: h[overridesHead] != o[overridesHead],
		State:     h[stateHead] != o[stateHead],
		Values:    h[valuesHead] != o[valuesHead],
	}
}
