package consulstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/consultest"

	consul "github.com/hashicorp/consul/api"
)

const patienceOfTests = time.Minute

// node is a control node that stands for election until stop is called.
type node struct {
	*Store
	name string
	led  chan uint64 // terms
	stop func()      // waits until it has let go
	mu   sync.Mutex
	now  context.Context // of the term that it leads; nil = none
}

func stand(t *testing.T, address, prefix, name string) *node {
	t.Helper()
	s, err := Open(Options{Address: address, Prefix: prefix, Writer: true, Warn: func(err error) { t.Log(name, err) }})
	must(t, err)
	n := &node{Store: s, name: name, led: make(chan uint64, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		s.Campaign(ctx, Candidate{Node: name, Address: "http://" + name, Lead: func(ctx context.Context, term uint64) {
			n.mu.Lock()
			n.now = ctx
			n.mu.Unlock()
			n.led <- term
			<-ctx.Done()
		}})
	})
	n.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(func() { n.stop(); s.Close() })
	return n
}

func awaitTerm(t *testing.T, n *node) uint64 {
	t.Helper()
	select {
	case term := <-n.led:
		return term
	case <-time.After(patienceOfTests):
		t.Fatalf("%s was not elected", n.name)
		return 0
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > patienceOfTests {
			t.Fatal("never: ", what)
		}
	}
}

// One candidate leads and writes, the others do not; when it stops, another one
// follows at once, with a higher term, and everybody hears of it.
func TestElection(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	prefix := fmt.Sprint("test/", deployments.Add(1))
	ctx := t.Context()
	a := stand(t, server.Address, prefix, "a")
	first := awaitTerm(t, a)
	b := stand(t, server.Address, prefix, "b")
	edge, err := Open(Options{Address: server.Address, Prefix: prefix})
	must(t, err)
	defer edge.Close()
	edge.Watch(ctx)
	knows := func(s *Store, name string, term uint64) func() bool {
		return func() bool {
			l, known := s.Leader()
			return known && l.Node == name && l.Term == term && l.Address == "http://"+name
		}
	}
	for _, s := range []*Store{a.Store, b.Store, edge} {
		eventually(t, "everybody knows that a leads", knows(s, "a", first))
	}
	must(t, a.PutState(ctx, stateWith(1, 3, nil)))
	eventually(t, "b stands for election", func() bool { return b.fence.Load() != nil })
	if err := b.PutState(ctx, stateWith(2, 3, nil)); !errors.Is(err, store.ErrDeposed) {
		t.Errorf("who does not lead wrote: %v", err)
	}
	a.stop()
	second := awaitTerm(t, b)
	if second <= first {
		t.Errorf("term %d after %d", second, first)
	}
	eventually(t, "everybody knows that b leads", knows(edge, "b", second))
	must(t, b.PutState(ctx, stateWith(2, 3, nil)))
	if err := a.PutState(ctx, stateWith(3, 3, nil)); !errors.Is(err, store.ErrDeposed) {
		t.Errorf("who led before wrote: %v", err)
	}
}

// A leader that does not know that its session has ended, since it was paused,
// writes nothing: Consul refuses what it sends, kind by kind. That is the fence.
func TestFence(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	prefix := fmt.Sprint("test/", deployments.Add(1))
	ctx := t.Context()
	a := stand(t, server.Address, prefix, "a")
	awaitTerm(t, a)
	must(t, a.PutState(ctx, stateWith(1, 3, nil)))
	number, err := a.PutRevision(ctx, store.Revision{Hash: "one", Files: []store.File{{Name: "a"}}})
	must(t, err)
	stale := *a.fence.Load()
	a.stop()
	b := stand(t, server.Address, prefix, "b")
	awaitTerm(t, b)
	must(t, b.PutState(ctx, stateWith(2, 3, nil)))

	paused, err := Open(Options{Address: server.Address, Prefix: prefix, Writer: true})
	must(t, err)
	defer paused.Close()
	paused.fence.Store(&stale) // it believes that it leads
	before, _, err := paused.kv.List(prefix+"/heads/", nil)
	must(t, err)
	attempts := map[string]error{
		"state": paused.PutState(ctx, stateWith(100, 3, map[int]string{1: "old"})),
		"override": paused.PutOverride(ctx, steering.Override{
			ID: "a", Kind: steering.Drain, Provider: "alpha", Reason: "r", Author: "ann", Created: time.Now(), Expires: time.Now().Add(time.Hour),
		}),
		"import": paused.Import(ctx, store.Contents{}),
	}
	_, attempts["revision"] = paused.PutRevision(ctx, store.Revision{Hash: "two", Files: []store.File{{Name: "a"}}})
	_, attempts["in force"] = paused.PutInForce(ctx, store.InForce{Revision: number})
	_, attempts["value"] = paused.PutValue(ctx, "keys", "zone", store.Value{Data: []byte("a")})
	for what, err := range attempts {
		if !errors.Is(err, store.ErrDeposed) {
			t.Errorf("%s: %v, want ErrDeposed", what, err)
		}
	}
	after, _, err := paused.kv.List(prefix+"/heads/", nil)
	must(t, err)
	for i := range after {
		if after[i].ModifyIndex != before[i].ModifyIndex {
			t.Errorf("%s was changed", after[i].Key)
		}
	}
}

// A leader whose lock was taken from it, with all keys, stops leading and is
// elected anew with a higher term.
func TestEmptiedUnderTheLeader(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	prefix := fmt.Sprint("test/", deployments.Add(1))
	a := stand(t, server.Address, prefix, "a")
	first := awaitTerm(t, a)
	_, err := a.kv.DeleteTree(prefix+"/", nil)
	must(t, err)
	if second := awaitTerm(t, a); second <= first {
		t.Errorf("term %d after %d", second, first)
	}
	must(t, a.PutState(t.Context(), stateWith(1, 3, nil)))
}

// A leader whose session ended while it was away steps down, and one of those who
// stand is elected, perhaps the same one with another session.
func TestSessionEnds(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	prefix := fmt.Sprint("test/", deployments.Add(1))
	a := stand(t, server.Address, prefix, "a")
	first := awaitTerm(t, a)
	a.mu.Lock()
	term := a.now
	a.mu.Unlock()
	b := stand(t, server.Address, prefix, "b")
	_, err := a.client.Session().Destroy(a.fence.Load().session, &consul.WriteOptions{})
	must(t, err)
	select {
	case <-term.Done():
	case <-time.After(patienceOfTests):
		t.Fatal("a has not stepped down")
	}
	select {
	case second := <-a.led:
		if second <= first {
			t.Errorf("term %d after %d", second, first)
		}
	case second := <-b.led:
		if second <= first {
			t.Errorf("term %d after %d", second, first)
		}
	case <-time.After(patienceOfTests):
		t.Fatal("nobody was elected")
	}
}
