package publish

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering"
)

// rig runs a Loop in a synctest bubble and feeds it one round of measurements
// a second.
type rig struct {
	*testing.T
	w       *world
	loop    *Loop
	also    *Loop // gets the same measurements; nil = none
	current *steering.Current
	states  chan steering.State
	mu      sync.Mutex
	broken  func(steering.Subject, string) bool
	latency map[string]time.Duration
	silent  bool   // the vantages are cut off
	cutOff  string // a region whose vantages are

	storeFails atomic.Bool
	atEnd      func()
}

func inBubble(t *testing.T, w *world, saved *steering.State, f func(*rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, w: w, states: make(chan steering.State, 1000),
			latency: map[string]time.Duration{"a": 10 * time.Millisecond, "b": 40 * time.Millisecond, "c": 80 * time.Millisecond}}
		var publish func(*steering.Snapshot)
		r.current, publish = steering.NewCurrent(nil)
		var err error
		r.loop, err = New(Config{
			Layout: w.layout(t), Saved: saved, Publish: publish,
			Save: func(_ context.Context, s steering.State) error {
				if r.storeFails.Load() {
					return errors.New("no space left on device")
				}
				r.states <- s
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { r.loop.Run(ctx) })
		done.Go(func() { r.feed(ctx) })
		f(r)
		cancel()
		done.Wait()
		if r.atEnd != nil {
			r.atEnd()
		}
	})
}

func (r *rig) feed(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.mu.Lock()
			batch := r.w.seen(time.Now(), r.latency, r.broken)
			batch = slices.DeleteFunc(batch, func(m steering.Measurement) bool { return r.silent || m.Region == r.cutOff })
			also := r.also
			r.mu.Unlock()
			if also != nil {
				also.Observe(ctx, slices.Clone(batch))
			}
			r.loop.Observe(ctx, batch)
		}
	}
}

func (r *rig) breakIt(broken func(steering.Subject, string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = broken
}

// first is the provider that a client gets now.
func (r *rig) first(client netip.Addr) string {
	s := r.current.Load()
	d := s.Decide(steering.Query{Service: s.Layout.ByKey("live"), Client: client})
	c, ok := d.First()
	if !ok {
		return ""
	}
	return c.Endpoint.Provider
}

// eventually waits until a client gets a provider, at most so long.
func (r *rig) eventually(client netip.Addr, provider string, within time.Duration) time.Duration {
	r.Helper()
	begin := time.Now()
	for time.Since(begin) <= within {
		if r.first(client) == provider {
			return time.Since(begin)
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.Fatalf("%v gets %s after %v, want %s", client, r.first(client), within, provider)
	return 0
}

func down(provider, region string) func(steering.Subject, string) bool {
	return func(s steering.Subject, where string) bool {
		return strings.HasPrefix(string(s), "endpoint live/"+provider+"/") && (region == "" || region == where)
	}
}

func TestLoopAnswersBeforeAnythingIsMeasured(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		if r.current.Load().Generation != 1 || r.first(euClient) == "" {
			t.Fatal("no answer right after New")
		}
	})
}

func TestLoopFailoverAndReturn(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		time.Sleep(20 * time.Second)
		r.breakIt(down("a", "eu"))
		took := r.eventually(euClient, "b", 4*time.Second)
		if took < time.Second {
			r.Errorf("left after %v: before fall could be reached", took)
		}
		if got := r.first(naClient); got != "a" {
			r.Errorf("na moved to %s with eu's failure", got)
		}
		r.breakIt(nil)
		time.Sleep(6 * time.Second)
		if got := r.first(euClient); got != "b" {
			r.Errorf("back at %s within the dwell", got)
		}
		r.eventually(euClient, "a", 30*time.Second)
	})
}

func TestLoopGenerationsOnlyWhenAnswersChange(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		time.Sleep(10 * time.Second)
		before := r.current.Load().Generation
		time.Sleep(5 * time.Minute)
		if after := r.current.Load().Generation; after != before {
			r.Errorf("%d generations in a calm world", after-before)
		}
		if age := time.Since(r.loop.View().At); age > 2*time.Second {
			r.Errorf("the view is %v old", age)
		}
	})
}

func TestLoopOverridesTakeEffectAtOnceAndExpire(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		drain := steering.Override{ID: "1", Kind: steering.Drain, Provider: "a", Reason: "r", Author: "o", Created: time.Now(), Expires: time.Now().Add(time.Minute)}
		if err := r.loop.SetOverrides(r.Context(), []steering.Override{drain}); err != nil {
			r.Fatal(err)
		}
		if got := r.first(euClient); got != "b" {
			r.Errorf("after the drain: %s, want b", got)
		}
		time.Sleep(59 * time.Second)
		if got := r.first(euClient); got != "b" {
			r.Errorf("before the expiry: %s, want b", got)
		}
		r.eventually(euClient, "a", 30*time.Second)
		if n := len(r.loop.View().Overrides); n != 0 {
			r.Errorf("%d overrides in force after the expiry", n)
		}
	})
}

func TestLoopPoolFallback(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		r.breakIt(func(s steering.Subject, _ string) bool {
			return s == steering.OriginSubject("one", "http://o1.example")
		})
		r.eventually(euClient, "c", 4*time.Second)
	})
}

func TestLoopLosingAllVantagesChangesNothing(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		r.breakIt(down("a", ""))
		time.Sleep(5 * time.Second)
		r.eventually(euClient, "b", time.Second)
		r.mu.Lock()
		r.silent = true
		r.mu.Unlock()
		time.Sleep(time.Hour)
		if got := r.first(euClient); got != "b" {
			r.Errorf("blind for an hour: %s, want b", got)
		}
	})
}

// A region whose vantages are all cut off keeps its answers; others go on following
// the world.
func TestLoopLosingTheVantagesOfARegion(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		r.eventually(naClient, "a", 5*time.Second)
		time.Sleep(20 * time.Second)
		r.mu.Lock()
		r.cutOff = "eu"
		r.mu.Unlock()
		time.Sleep(time.Minute)
		r.breakIt(down("a", ""))
		r.eventually(naClient, "b", 5*time.Second)
		time.Sleep(time.Minute)
		if got := r.first(euClient); got != "a" {
			r.Errorf("in eu, which nobody measures: %s, want a as before", got)
		}
		d := r.current.Load().Decide(steering.Query{Client: euClient})
		if d.Split.Reason.Code != steering.ReasonBlind || d.Split.Trouble != steering.TroubleStale {
			r.Errorf("in eu: %s, %q; want blind, stale", d.Split.Reason, d.Split.Trouble)
		}
	})
}

// A store that fails stops neither judging nor answering.
func TestLoopGoesOnWithoutTheStore(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		r.storeFails.Store(true)
		r.eventually(euClient, "a", 5*time.Second)
		time.Sleep(20 * time.Second)
		r.breakIt(down("a", ""))
		r.eventually(euClient, "b", 5*time.Second)
		drain := steering.Override{ID: "1", Kind: steering.Drain, Provider: "b", Reason: "r", Author: "o", Created: time.Now(), Expires: time.Now().Add(time.Hour)}
		if err := r.loop.SetOverrides(r.Context(), []steering.Override{drain}); err != nil {
			r.Fatal(err)
		}
		if got := r.first(euClient); got != "c" {
			r.Errorf("drained while the store fails: %s, want c", got)
		}
		if len(r.states) != 0 {
			r.Error("a failing store took a state")
		}
		r.storeFails.Store(false)
		time.Sleep(30 * time.Second)
		if len(r.states) == 0 {
			r.Error("nothing was stored after the store came back")
		}
	})
}

func TestLoopRestartGoesOnWhereItStopped(t *testing.T) {
	var saved steering.State
	inBubble(t, newWorld(), nil, func(r *rig) {
		r.breakIt(down("a", ""))
		time.Sleep(5 * time.Second)
		r.eventually(euClient, "b", time.Second)
		time.Sleep(5 * time.Second)
		saved = r.loop.View().State()
	})
	w := newWorld()
	w.revision.Hash = "h2"
	synctest.Test(t, func(t *testing.T) { // the bubble's clock begins anew: long after, or before, the state was made
		current, publish := steering.NewCurrent(nil)
		if _, err := New(Config{Layout: w.layout(t), Saved: &saved, Publish: publish}); err != nil {
			t.Fatal(err)
		}
		s := current.Load()
		if s.Generation <= saved.Generation+100 {
			t.Errorf("generation %d after %d was stored: the killed process may have given that number away", s.Generation, saved.Generation)
		}
		d := s.Decide(steering.Query{Service: 0, Client: euClient})
		if c, ok := d.First(); !ok || c.Endpoint.Provider != "b" {
			t.Errorf("first answer after the restart: %+v, want b", c)
		}
	})
}

func TestLoopNewLayoutKeepsChoices(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		r.breakIt(down("a", ""))
		time.Sleep(5 * time.Second)
		r.eventually(euClient, "b", time.Second)
		next := newWorld() // other pointers, same names, and a renamed rule
		next.revision.Hash = "h2"
		next.rule.Name = "renamed"
		if err := r.loop.SetLayout(r.Context(), next.layout(r.T)); err != nil {
			r.Fatal(err)
		}
		if got := r.current.Load().Layout.Revision.Hash; got != "h2" {
			r.Errorf("doors answer by revision %s", got)
		}
		if got := r.first(euClient); got != "b" {
			r.Errorf("after the reload: %s, want b", got)
		}
	})
}

// Another bound takes over and no answer changes, so no generation is made: what
// status shows must follow all the same.
func TestHoldsAreThoseOfNow(t *testing.T) {
	w := newWorld()
	w.service.Policy.Switch.Dwell = time.Minute
	inBubble(t, w, nil, func(r *rig) {
		latency := func(of string, l time.Duration) {
			r.mu.Lock()
			r.latency[of] = l
			r.mu.Unlock()
			time.Sleep(15 * time.Second)
		}
		heldBy := func() string {
			v := r.loop.View()
			text := ""
			for _, h := range v.Holds(0, v.Snapshot.Layout.Services[0].Parts(1, steering.Query{})[0].Group) { // eu
				text += string(h.By)
			}
			return text
		}
		latency("a", 40*time.Millisecond)
		r.eventually(euClient, "a", 5*time.Second)
		latency("b", 20*time.Millisecond)
		before := r.current.Load().Generation
		if got := heldBy(); got != "dwell" {
			r.Errorf("held by %q, want dwell", got)
		}
		latency("b", 35*time.Millisecond)
		if got := heldBy(); got != "margin" {
			r.Errorf("held by %q, want margin: b is hardly better now", got)
		}
		if after := r.current.Load().Generation; after != before {
			r.Errorf("%d generations although no answer changed", after-before)
		}
	})
}

// The state that is stored last is that of the last generation.
func TestLastSaveHasTheLastGeneration(t *testing.T) {
	for range 20 {
		inBubble(t, newWorld(), nil, func(r *rig) {
			r.eventually(euClient, "a", 5*time.Second)
			r.breakIt(down("a", ""))
			r.eventually(euClient, "b", 5*time.Second)
			r.atEnd = func() {
				var last steering.State
				for len(r.states) > 0 {
					last = <-r.states
				}
				if want := r.current.Load().Generation; last.Generation != want {
					r.Errorf("generation %d was stored last, %d was published last", last.Generation, want)
				}
			}
		})
	}
}

// A save that takes long is not made every second; nor does the next one wait for
// minutes when one took very long, or for a second because a disk was slow.
func TestSavesTakeAPartOfTheTime(t *testing.T) {
	for _, c := range []struct {
		save  time.Duration
		saves int // in ten minutes in which one is always wanted
	}{{10 * time.Millisecond, 594}, {300 * time.Millisecond, 461}, {time.Second, 77}, {5 * time.Second, 40}, {time.Minute, 9}} {
		synctest.Test(t, func(t *testing.T) {
			saves := 0
			l, err := New(Config{
				Layout: newWorld().layout(t), Publish: func(*steering.Snapshot) {},
				Save: func(context.Context, steering.State) error { saves++; time.Sleep(c.save); return nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var done sync.WaitGroup
			done.Go(func() { l.Run(ctx) })
			for range 10 * 60 * 10 {
				l.wantSave()
				time.Sleep(100 * time.Millisecond)
			}
			cancel()
			done.Wait()
			if off := saves - c.saves; off < -3 || off > 3 {
				t.Errorf("%d saves of %v in 10 minutes, want %d", saves, c.save, c.saves)
			}
		})
	}
}

func TestExplainAgreesWithTheDecision(t *testing.T) {
	inBubble(t, newWorld(), nil, func(r *rig) {
		r.breakIt(down("a", "eu"))
		time.Sleep(5 * time.Second)
		x, err := r.loop.View().Explain("live", steering.Query{Client: euClient})
		if err != nil {
			r.Fatal(err)
		}
		if x.Endpoints[0].Provider != "b" || x.Cell.Region != "eu" || len(x.Stages) < 4 || !x.Rules[0].Matched || x.Rules[0].Place.Line != 41 {
			r.Errorf("explanation %+v", x)
		}
		if x.Endpoints[0].Health.P50 != 40*time.Millisecond || x.Endpoints[0].Inputs.P50Ms != 40 {
			r.Errorf("inputs of b: %+v", x.Endpoints[0])
		}
		if _, err := r.loop.View().Explain("nope", steering.Query{Client: euClient}); err == nil {
			r.Error("an unknown service was explained")
		}
	})
}
