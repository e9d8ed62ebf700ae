package consulstore

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering/store/consultest"

	consul "github.com/hashicorp/consul/api"
)

// A store says that it may be behind while Consul does not answer its watch, and not
// when that is over.
func TestBehindWhileAway(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	s := openAt(t, server.Address)
	if s.Behind() == nil {
		t.Error("a store that was never asked is up to date")
	}
	var leading sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer func() { stop(); leading.Wait() }()
	leading.Go(func() {
		s.Campaign(ctx, Candidate{Node: "control-1", Lead: func(ctx context.Context, _ uint64) { <-ctx.Done() }})
	})
	s.Watch(ctx)
	until := func(what string, is func() bool) {
		t.Helper()
		for began := time.Now(); !is(); time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatal("never: ", what)
			}
		}
	}
	until("it is up to date", func() bool { return s.Behind() == nil })
	server.Kill()
	until("it may be behind", func() bool { return s.Behind() != nil })
	server.Run(t)
	until("it is up to date again", func() bool { return s.Behind() == nil })
}

// Nobody leads for as long as an election takes: that is no reason to leave a store. For
// longer it is, until somebody leads.
func TestBehindWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Options{Address: "127.0.0.1:1"})
		must(t, err)
		s.reach.Store(&reach{at: time.Now()})
		leading := &consul.KVPair{Session: "x", Value: []byte(`{"form":1,"value":{"term":1,"node":"control-1"}}`)}
		s.hear(leading)
		time.Sleep(time.Hour)
		if err := s.Behind(); err != nil {
			t.Errorf("while somebody leads: %v", err)
		}
		s.hear(&consul.KVPair{})
		time.Sleep(2*sessionTTL + lockDelay)
		s.hear(&consul.KVPair{})
		if err := s.Behind(); err != nil {
			t.Errorf("during an election: %v", err)
		}
		time.Sleep(leaderlessFor)
		if err := s.Behind(); err == nil || !strings.Contains(err.Error(), "nobody has led") {
			t.Errorf("long after the last one led: %v", err)
		}
		s.hear(leading)
		if err := s.Behind(); err != nil {
			t.Errorf("when somebody leads again: %v", err)
		}
	})
}
