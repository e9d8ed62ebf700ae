package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"fairway/probes/agent"
	"fairway/steering/api/client"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/consultest"
)

// found is what a discovery said last.
type found struct {
	mu  sync.Mutex
	now []string
}

func (f *found) set(nodes []agent.Control) {
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
func discover(t *testing.T, where, folder string) (*found, func()) {
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
	f, end := discover(t, "consul://"+server.Address+"/video", folder)
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
	again, end := discover(t, "consul://"+server.Address+"/video", folder)
	until(t, patience, "none is registered: the last one stands", again.is("https://127.0.0.1:4"))
	end()
	server.Kill()
	away, _ := discover(t, "consul://"+server.Address+"/video", folder)
	until(t, patience, "Consul is away: the last one stands", away.is("https://127.0.0.1:4"))
}

func TestWhereConsulIs(t *testing.T) {
	for _, where := range []string{"consul://", "consul:///fairway", "consul://u:p@c.example/x", "consul://c.example:8500/x?y=1", "consul://c.example:port"} {
		if _, err := newDiscovery(where, t.TempDir(), slog.Default()); err == nil {
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
