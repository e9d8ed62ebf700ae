package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"fairway/steering/api/client"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/consultest"
)

// found is what a discovery said last.
type found struct {
	mu  sync.Mutex
	now []string
}

func (f *found) set(nodes []*client.Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = nil
	for _, n := range nodes {
		f.now = append(f.now, n.Address())
	}
}

func (f *found) is(want ...string) func() bool {
	return func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return slices.Equal(f.now, want)
	}
}

// discover follows a Consul until the test, or the function that it returns, ends it.
func discover(t *testing.T, folder string, where ...string) (*found, func()) {
	t.Helper()
	d, err := newDiscovery(where, folder, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	var f found
	d.every, d.set = 100*time.Millisecond, f.set
	d.to = func(address string) (*client.Client, error) { return client.New(address, "") }
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { d.Run(ctx) })
	end := sync.OnceFunc(func() { cancel(); done.Wait() })
	t.Cleanup(end)
	return &f, end
}

// TestControlIsFoundInConsul: an agent reports to the control nodes of its own fleet that
// a real Consul knows, as they come and go; while it is away, or knows none, and after a
// restart meanwhile, to those that it knew last.
func TestControlIsFoundInConsul(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	folder := t.TempDir()
	join := func(prefix string, m consulstore.Member) *consulstore.Store {
		t.Helper()
		s, err := consulstore.Open(consulstore.Options{Address: server.Address, Scheme: "http", Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		until(t, patience, m.Name+" is registered", func() bool { return s.Register(t.Context(), m) == nil })
		return s
	}
	one := join("video", consulstore.Member{Name: "control-1", Address: "http://127.0.0.1:1", Roles: []string{"control"}})
	join("video", consulstore.Member{Name: "edge-1", Address: "http://127.0.0.1:2", Roles: []string{"dns", "http"}})
	join("other", consulstore.Member{Name: "control-1", Address: "http://127.0.0.1:3", Roles: []string{"control"}})
	f, end := discover(t, folder, "consul://"+server.Address+"/video")
	until(t, patience, "the one control node is found", f.is("http://127.0.0.1:1"))
	two := join("video", consulstore.Member{Name: "control-2", Address: "https://127.0.0.1:4", Roles: []string{"probe", "control"}})
	until(t, patience, "another one is found", f.is("http://127.0.0.1:1", "https://127.0.0.1:4"))
	if err := one.Deregister(t.Context(), "control-1"); err != nil {
		t.Fatal(err)
	}
	until(t, patience, "one that went is left", f.is("https://127.0.0.1:4"))
	if err := two.Deregister(t.Context(), "control-2"); err != nil {
		t.Fatal(err)
	}
	end()
	again, end := discover(t, folder, "consul://"+server.Address+"/video")
	until(t, patience, "none is registered: the last one stands", again.is("https://127.0.0.1:4"))
	end()
	server.Kill()
	away, _ := discover(t, folder, "consul://"+server.Address+"/video")
	until(t, patience, "Consul is away: the last one stands", away.is("https://127.0.0.1:4"))
}

// TestControlIsFoundInSeveralConsuls: an agent reports to the control nodes of all
// regions, each of which registers its own; one Consul that is away takes none of them
// away, and neither does one that has none.
func TestControlIsFoundInSeveralConsuls(t *testing.T) {
	type answer struct {
		members []consulstore.Registered
		err     error
	}
	control := func(addresses ...string) (a answer) {
		for _, address := range addresses {
			a.members = append(a.members, consulstore.Registered{Member: consulstore.Member{Address: address, Roles: []string{"control"}}})
		}
		return a
	}
	away := answer{err: errors.New("away")}
	const one, two, three = "http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"
	folder := t.TempDir()
	run := func(rounds [][2]answer, want ...[]string) {
		t.Helper()
		var f found
		var now [2]answer
		d := discoveryIn(folder, slog.New(slog.DiscardHandler))
		for i := range now {
			d.places = append(d.places, &place{members: func(context.Context) ([]consulstore.Registered, error) { return now[i].members, now[i].err }})
		}
		d.set, d.to = f.set, func(address string) (*client.Client, error) { return client.New(address, "") }
		d.restore()
		for i, round := range rounds {
			now = round
			d.look(t.Context())
			if !f.is(want[i]...)() {
				t.Errorf("round %d: it reports to %q, want %q", i+1, f.now, want[i])
			}
		}
	}
	run([][2]answer{{control(one), away}, {control(one), control()}, {control(one), control(two)}, {away, control(two, three)}, {control(), control(two)}, {control(), control()}},
		[]string{one}, []string{one}, []string{one, two}, []string{one, two, three}, []string{one, two}, []string{one, two})
	run([][2]answer{{away, away}, {away, control(three)}, {control(one), control(three)}}, // after a restart
		[]string{one, two}, []string{one, two, three}, []string{one, three})
}

func TestWhereConsulIs(t *testing.T) {
	for _, where := range []string{"consul://", "consul:///fairway", "consul://u:p@c.example/x", "consul://c.example:8500/x?y=1", "consul://c.example:port"} {
		if _, err := newDiscovery([]string{where}, t.TempDir(), slog.Default()); err == nil {
			t.Errorf("%s is taken", where)
		}
	}
	for address, want := range map[string]bool{
		"http://127.0.0.1:8400": false, "http://[::1]:8400": false, "http://localhost:8400": false, "https://control.example": false, "http://control.example:8400": true, "http://192.0.2.1": true,
	} {
		if inTheClear(address) != want {
			t.Errorf("%s: in the clear is %t", address, !want)
		}
	}
}
