package publish

import (
	"context"
	"errors"
	"testing"
	"time"

	"fairway/steering"
)

// standIn is a loop that stands by for the rig's own, fed with the same
// measurements.
func standIn(r *rig) (*Loop, *steering.Current, chan steering.State) {
	r.Helper()
	current, publish := steering.NewCurrent(nil)
	states := make(chan steering.State, 1000)
	l, err := New(Config{
		Layout: r.loop.View().Snapshot.Layout, Follow: r.current.Load(), Publish: publish,
		Save: func(_ context.Context, s steering.State) error { states <- s; return nil },
	})
	if err != nil {
		r.Fatal(err)
	}
	r.mu.Lock()
	r.also = l
	r.mu.Unlock()
	ctx, stop := context.WithCancel(r.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	r.atEnd = func() { stop(); <-ended }
	return l, current, states
}

// followed brings a loop that stands by up to the rig's own.
func (r *rig) followed(l *Loop) *steering.State {
	r.Helper()
	view := r.loop.View()
	state := view.State()
	if err := l.Follow(r.Context(), Followed{Layouts: Layouts{Main: view.Snapshot.Layout}, Snapshot: view.Snapshot}); err != nil {
		r.Fatal(err)
	}
	return &state
}

// A loop that stands by publishes nothing of its own and stores nothing, and knows
// what is measured: when it takes over it leaves a CDN that died meanwhile in its
// first round, and nobody else moves.
func TestTakeOver(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		l, current, states := standIn(r)
		r.eventually(euClient, "a", 5*time.Second)
		time.Sleep(20 * time.Second)
		state := r.followed(l)
		if current.Load() != r.current.Load() {
			r.Fatal("the follower's doors do not answer from the leader's snapshot")
		}
		r.breakIt(down("a", "eu"))
		time.Sleep(10 * time.Second)
		if current.Load().Generation != state.Generation || len(states) > 0 {
			r.Errorf("a loop that stands by published generation %d and stored %d states", current.Load().Generation, len(states))
		}
		if got := l.View().Health.Get("endpoint live/a/one", "eu").Verdict; got != steering.Down {
			r.Errorf("the follower says %v of a, want down", got)
		}
		if _, err := l.View().Explain("live", steering.Query{Client: euClient}); !errors.Is(err, ErrFollows) {
			r.Errorf("explain: %v, want ErrFollows", err)
		}
		if err := l.Lead(r.Context(), Layouts{Main: current.Load().Layout}, state, nil); err != nil {
			r.Fatal(err)
		}
		s := current.Load()
		if s.Generation <= state.Generation+leap {
			r.Errorf("generation %d after %d", s.Generation, state.Generation)
		}
		first := func(client steering.Query) string {
			d := s.Decide(client)
			c, _ := d.First()
			return c.Endpoint.Provider
		}
		if eu, na := first(steering.Query{Client: euClient}), first(steering.Query{Client: naClient}); eu != "b" || na != "a" {
			r.Errorf("after the take-over eu gets %s and na %s, want b and a", eu, na)
		}
		time.Sleep(5 * time.Second)
		if len(states) == 0 {
			r.Error("a loop that leads stores nothing")
		}
	})
}

// The dwell goes on over a take-over: who was moved before it is not moved back
// after it any sooner.
func TestTakeOverKeepsTheDwell(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		l, current, _ := standIn(r)
		r.eventually(euClient, "a", 5*time.Second)
		time.Sleep(20 * time.Second)
		r.breakIt(down("a", "eu"))
		r.eventually(euClient, "b", 10*time.Second)
		r.breakIt(nil)
		time.Sleep(4 * time.Second) // a is healthy again, and within the dwell
		state := r.followed(l)
		if err := l.Lead(r.Context(), Layouts{Main: current.Load().Layout}, state, nil); err != nil {
			r.Fatal(err)
		}
		for range 40 {
			time.Sleep(100 * time.Millisecond)
			mine, theirs := clientShare(current.Load(), "a"), clientShare(r.current.Load(), "a")
			if mine != theirs {
				r.Fatalf("a has %v of the clients, with the leader that never changed %v", mine, theirs)
			}
		}
	})
}

// A leader that lost its store yields, and goes on from what it decided when
// nobody else has led.
func TestLeadAgain(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		time.Sleep(20 * time.Second)
		old := r.loop.View().State()
		r.breakIt(down("a", "eu"))
		r.eventually(euClient, "b", 10*time.Second)
		before := r.current.Load()
		if err := r.loop.Yield(r.Context()); err != nil {
			r.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if r.current.Load() != before {
			r.Error("a loop that yielded publishes")
		}
		if err := r.loop.Lead(r.Context(), Layouts{Main: before.Layout}, &old, nil); err != nil {
			r.Fatal(err)
		}
		if got := r.first(euClient); got != "b" || r.current.Load().Generation <= before.Generation {
			r.Errorf("after leading again eu gets %s by generation %d, want b after %d", got, r.current.Load().Generation, before.Generation)
		}
	})
}

// clientShare is the part of eu's clients that a provider should get.
func clientShare(s *steering.Snapshot, provider string) (sum float64) {
	for _, c := range s.Decide(steering.Query{Client: euClient}).Split.Candidates {
		if c.Endpoint.Provider == provider {
			sum += c.Weight
		}
	}
	return sum
}
