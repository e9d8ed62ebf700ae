package consulstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"syscall"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/consultest"

	"github.com/google/go-cmp/cmp"
	consul "github.com/hashicorp/consul/api"
)

// turned is the next state, in which one group of one service is another one and
// everything else is shared, as the decision loop writes states.
func turned(s steering.State, service int, detail string) steering.State {
	key := fmt.Sprint("s", service)
	group := s.Services[key]["r3/rule"]
	group.Reason.Detail = detail
	group.Candidates = append([]steering.CandidateRecord(nil), group.Candidates...)
	s.Generation++
	s.Services = maps.Clone(s.Services)
	s.Services[key] = maps.Clone(s.Services[key])
	s.Services[key]["r3/rule"] = group
	return s
}

// openReader opens what another store writes, as an edge does.
func openReader(t *testing.T, s *Store, address string) *Store {
	t.Helper()
	r, err := Open(Options{Address: address, Prefix: s.prefix, Doors: true, Warn: func(err error) { t.Log(err) }})
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func reads(t *testing.T, s *Store, want steering.State) {
	t.Helper()
	got, found, err := s.State(t.Context())
	must(t, err)
	if diff := cmp.Diff(want, got); !found || diff != "" {
		t.Fatalf("found %v (-want +got):\n%s", found, diff)
	}
}

// A change of one service sends what changed, in the head itself, however many
// services there are; whoever follows needs nothing else for it, and whoever begins
// reads the base and what came after.
func TestOnlyChangesTravel(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	s := openAt(t, server.Address)
	ctx := t.Context()
	state := stateWith(1, 200, nil)
	must(t, s.PutState(ctx, state))
	follower := openReader(t, s, server.Address)
	reads(t, follower, state)
	base := s.author.ref.Root
	for i := range 5 {
		state = turned(state, 7+i, fmt.Sprint("changed ", i))
		before := len(s.author.stored)
		must(t, s.PutState(ctx, state))
		ref := s.author.ref
		if sent := len(s.author.stored) - before; sent != 1 || len(ref.Last) == 0 || len(ref.Last) > 2000 {
			t.Errorf("%d pieces and %d octets in the head were sent for one changed group, want 1 and a few hundred", sent, len(ref.Last))
		}
		if i == 2 {
			continue // the follower misses one
		}
		reads(t, follower, state)
	}
	if !cmp.Equal(base, s.author.ref.Root) {
		t.Error("another base was written for five small changes")
	}
	reads(t, openReader(t, s, server.Address), state)
	if err := follower.PutState(ctx, state); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("a reader wrote: %v", err)
	}
}

// A long chain of changes becomes a base, in which only the buckets travel that
// changed. Who follows goes on from where it is and does not read it; who was away
// for longer than the chain goes back to the base.
func TestBaseAfterManyChanges(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	s := openAt(t, server.Address)
	ctx := t.Context()
	state := stateWith(1, 200, nil)
	must(t, s.PutState(ctx, state))
	follower, late := openReader(t, s, server.Address), openReader(t, s, server.Address)
	reads(t, follower, state)
	reads(t, late, state)
	base, pieces := s.author.ref.Root, fmt.Sprint(follower.reader.pieces)
	for i := range mostDeltas + 5 {
		state = turned(state, i%3, fmt.Sprint("changed ", i))
		must(t, s.PutState(ctx, state))
		if i%4 == 0 {
			reads(t, follower, state)
		}
	}
	ref := s.author.ref
	if cmp.Equal(base, ref.Root) || len(ref.Deltas) != keepDeltas+5 {
		t.Errorf("%d changes are in the head, want %d beside another base", len(ref.Deltas), keepDeltas+5)
	}
	reads(t, follower, state)
	if fmt.Sprint(follower.reader.pieces) != pieces {
		t.Error("who followed has read the other base")
	}
	reads(t, late, state)
	reads(t, openReader(t, s, server.Address), state)
	if unchanged := len(s.author.packed.services.names) - 3; unchanged < 20 {
		t.Fatalf("there are too few buckets for this test: %d more than changed", unchanged)
	}
}

// Whoever writes after another one begins a chain of its own, which everybody takes
// up; so does a change of the revision.
func TestAnotherAuthor(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	first := openAt(t, server.Address)
	ctx := t.Context()
	state := stateWith(1, 20, nil)
	must(t, first.PutState(ctx, state))
	follower := openReader(t, first, server.Address)
	reads(t, follower, state)
	second, err := Open(Options{Address: server.Address, Prefix: first.prefix, Writer: true})
	must(t, err)
	state = turned(state, 1, "by the second")
	must(t, second.PutState(ctx, state))
	reads(t, follower, state)
	state = turned(state, 2, "by the first again")
	must(t, first.PutState(ctx, state))
	reads(t, follower, state)
	state = turned(state, 2, "of another revision")
	state.Revision = "def"
	must(t, first.PutState(ctx, state))
	reads(t, follower, state)
}

// A delta that is damaged or gone is not believed: the base before it, and then
// nothing, is what is read, never something wrong; and the next state mends it.
func TestDamagedDelta(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	s := openAt(t, server.Address)
	ctx := t.Context()
	state := stateWith(1, 5, nil)
	must(t, s.PutState(ctx, state))
	for i := range 3 {
		state = turned(state, i, "changed")
		must(t, s.PutState(ctx, state))
	}
	key := s.prefix + stateFolder + s.author.ref.Deltas[1][0]
	good, _, err := s.kv.Get(key, nil)
	must(t, err)
	for what, value := range map[string][]byte{"garbage": []byte("garbage"), "torn": good.Value[:len(good.Value)/2]} {
		_, err = s.kv.Put(&consul.KVPair{Key: key, Value: value}, nil)
		must(t, err)
		if _, found, err := openReader(t, s, server.Address).State(ctx); found || err == nil {
			t.Errorf("a delta is %s: found %v, %v", what, found, err)
		}
	}
	_, err = s.kv.Delete(key, nil)
	must(t, err)
	if _, found, err := openReader(t, s, server.Address).State(ctx); found || err == nil {
		t.Errorf("a delta is gone: found %v, %v", found, err)
	}
	state = turned(state, 1, "of another revision")
	state.Revision = "def"
	must(t, s.PutState(ctx, state))
	reads(t, openReader(t, s, server.Address), state)
}

// Who watches is served what the watch brought, without another question, and sees
// its own writes all the same; who leads asks Consul's leader.
func TestHeadsFromTheWatch(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	s := openAt(t, server.Address)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	state := stateWith(1, 5, nil)
	must(t, s.PutState(ctx, state))
	follower := openReader(t, s, server.Address)
	changes := follower.Watch(ctx)
	reads(t, follower, state)
	state = turned(state, 1, "changed")
	must(t, s.PutState(ctx, state))
	select {
	case <-changes:
	case <-time.After(time.Minute):
		t.Fatal("the change was not told of")
	}
	// What was brought needs no Consul any more. Stopped, it does not even hang up, which
	// would have the watch forget.
	server.Signal(syscall.SIGSTOP)
	reads(t, follower, state)
}
