package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/vantage"
)

// station is a control node with a clock of its own, on a way that can be cut.
type station struct {
	ahead time.Duration // of true time
	delay time.Duration // each way
	book  *vantage.Book

	mu    sync.Mutex
	cut   bool // nothing arrives
	deaf  bool // what arrives is taken, and the answer is lost
	taken []steering.Measurement
	last  vantage.Sender
}

func newStation(ahead time.Duration) *station {
	return &station{ahead: ahead, delay: 10 * time.Millisecond, book: vantage.New()}
}

func (s *station) Address() string { return "http://control.test" }

func (s *station) now() time.Time { return time.Now().Round(0).Add(s.ahead) }

func (s *station) set(cut, deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut, s.deaf = cut, deaf
}

func (s *station) got() (taken []steering.Measurement, last vantage.Sender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]steering.Measurement(nil), s.taken...), s.last
}

func (s *station) Report(ctx context.Context, from vantage.Sender, batch []steering.Measurement) (api.Accepted, error) {
	time.Sleep(s.delay)
	answer, err := s.take(from, batch)
	time.Sleep(s.delay) // without the lock: who waits for one stops a bubble's clock
	return answer, err
}

func (s *station) take(from vantage.Sender, batch []steering.Measurement) (api.Accepted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return api.Accepted{}, errors.New("cut off")
	}
	received := s.now()
	end, err := s.book.Begin(from, received)
	switch {
	case errors.Is(err, vantage.ErrSkew):
		return api.Accepted{}, &api.Error{Status: http.StatusConflict, Message: err.Error()}
	case err == nil:
		s.taken, s.last = append(s.taken, batch...), from
		end(true)
	}
	if s.deaf {
		return api.Accepted{}, errors.New("the answer is lost")
	}
	return api.Accepted{Accepted: len(batch), Received: received, Answered: received}, nil
}

func (s *station) Assignment(context.Context, string, string, time.Duration, any) (string, bool, error) {
	return "", false, errors.New("not asked here")
}

// carry runs a courier whose machine's clock is off, in a bubble.
func carry(t *testing.T, off time.Duration, buffer int, stations []*station, f func(c *Courier, measure func(n int))) {
	synctest.Test(t, func(t *testing.T) {
		config := Config{Buffer: buffer, Now: func() time.Time { return time.Now().Add(off) }}
		for _, s := range stations {
			config.Control = append(config.Control, s)
		}
		c, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { c.Run(ctx); close(ended) }()
		n := 0
		f(c, func(many int) {
			for range many {
				n++
				c.Add([]steering.Measurement{{
					Subject: steering.Subject(fmt.Sprintf("endpoint %d", n)), Vantage: "fra", Region: "eu", Outcome: steering.OutcomeOK, At: config.Now(),
				}})
			}
		})
		stop()
		<-ended
	})
}

// TestTimesAreThoseOfControl: however wrong the clocks are, a measurement has the time
// at which it was made, by the control node's clock; also when it was kept for minutes.
func TestTimesAreThoseOfControl(t *testing.T) {
	for _, off := range []time.Duration{-30 * time.Minute, 0, 30 * time.Minute} {
		first, second := newStation(0), newStation(7*time.Second)
		carry(t, off, 0, []*station{first, second}, func(c *Courier, measure func(int)) {
			measure(1)
			made := time.Now()
			time.Sleep(10 * time.Second)
			first.set(true, false)
			time.Sleep(10 * time.Second)
			measure(1)
			kept := time.Now()
			time.Sleep(5 * time.Minute)
			first.set(false, false)
			time.Sleep(time.Minute)
			for _, s := range []*station{first, second} {
				got, last := s.got()
				if len(got) != 2 {
					t.Fatalf("off by %v: %d measurements came", off, len(got))
				}
				for i, want := range []time.Time{made, kept} {
					if apart := got[i].At.Sub(want.Round(0).Add(s.ahead)); apart.Abs() > 10*time.Millisecond {
						t.Errorf("off by %v: the time of measurement %d is %v off", off, i, apart)
					}
				}
				if apart := last.Offset - (s.ahead - off); apart.Abs() > 10*time.Millisecond {
					t.Errorf("off by %v: it says %v", off, last.Offset)
				}
			}
		})
	}
}

// TestNothingCountsTwiceAndNothingIsLost: while answers are lost, and when the way is
// cut, each measurement is taken once, in order.
func TestNothingCountsTwiceAndNothingIsLost(t *testing.T) {
	s := newStation(time.Second)
	carry(t, 0, 0, []*station{s}, func(c *Courier, measure func(int)) {
		for i := range 30 {
			s.set(i%5 == 3, i%5 == 1)
			measure(40)
			time.Sleep(1700 * time.Millisecond)
		}
		s.set(false, false)
		time.Sleep(time.Minute)
	})
	got, _ := s.got()
	if len(got) != 1200 {
		t.Fatalf("%d of 1200 came", len(got))
	}
	for i, m := range got {
		if want := fmt.Sprintf("endpoint %d", i+1); string(m.Subject) != want {
			t.Fatalf("number %d is %s", i+1, m.Subject)
		}
	}
	if row := s.book.Rows(s.now())["fra"]; row.Repeated == 0 || row.Gaps != 0 {
		t.Errorf("%+v", row)
	}
}

// TestTheOldestIsGivenUp: what waits is bounded, and what is given up is told.
func TestTheOldestIsGivenUp(t *testing.T) {
	s := newStation(0)
	carry(t, 0, 100, []*station{s}, func(c *Courier, measure func(int)) {
		time.Sleep(time.Second)
		s.set(true, false)
		measure(350)
		time.Sleep(20 * time.Second)
		measure(50)
		s.set(false, false)
		time.Sleep(time.Minute)
	})
	got, last := s.got()
	if len(got) != 100 || string(got[0].Subject) != "endpoint 301" || last.Dropped != 300 || last.Buffered != 0 {
		t.Fatalf("%d came, the first %v; told: %d given up, %d wait", len(got), got[0].Subject, last.Dropped, last.Buffered)
	}
}

// TestConditionsAreToldAtOnce: also without a measurement to send, and again and again.
func TestConditionsAreToldAtOnce(t *testing.T) {
	s := newStation(0)
	carry(t, 0, 0, []*station{s}, func(c *Courier, measure func(int)) {
		c.Told("fra", steering.Condition{Of: 3, Fine: 3, Need: 2})
		time.Sleep(time.Minute)
		if _, last := s.got(); last.Condition.Of != 3 || time.Since(last.Sent) > 2*heartbeat {
			t.Errorf("%+v", last)
		}
		c.Told("fra", steering.Condition{Ill: true, Of: 3, Fine: 1, Need: 2})
		time.Sleep(time.Second)
		if len(s.book.Ill()) != 1 {
			t.Error("a second later it is not known that the vantage is ill")
		}
	})
}

// TestAControlNodeThatSetsItsClock: batches are refused until the offset is measured
// anew, and none is lost.
func TestAControlNodeThatSetsItsClock(t *testing.T) {
	s := newStation(0)
	carry(t, 0, 0, []*station{s}, func(c *Courier, measure func(int)) {
		measure(1)
		time.Sleep(time.Minute)
		s.mu.Lock()
		s.ahead = time.Hour
		s.mu.Unlock()
		measure(1)
		made := time.Now()
		time.Sleep(time.Minute)
		got, last := s.got()
		if len(got) != 2 || last.Offset < time.Hour-time.Second || got[1].At.Sub(made.Round(0).Add(time.Hour)).Abs() > 10*time.Millisecond {
			t.Errorf("%d came; it says %v", len(got), last.Offset)
		}
	})
}

// TestWhatTheWallClockSaysIsOlder: a machine that slept, or whose clock was put
// forward, tells nothing as fresher than it may be; one that was put back does not
// make the past the future.
func TestWhatTheWallClockSaysIsOlder(t *testing.T) {
	base := time.Now()
	c := newClock(func() time.Time { return base })
	zero := base.Round(0)
	c.exchanged(base, zero, zero, base)
	now := base.Add(time.Minute)
	asleep := now.Round(0).Add(time.Hour) // wall clock alone
	for _, row := range []struct {
		name    string
		at, now time.Time
		age     time.Duration
	}{
		{"all is well", base, now, time.Minute},
		{"it slept for an hour", base.Round(0), asleep, time.Minute + time.Hour},
		{"the clock was put back", base.Round(0).Add(2 * time.Hour), now, 0},
	} {
		if age := c.there(row.now).Sub(c.when(row.at, row.now)); age != row.age {
			t.Errorf("%s: %v old, want %v", row.name, age, row.age)
		}
	}
}

func TestClockTakesTheQuickHalf(t *testing.T) {
	base := time.Now()
	c := newClock(func() time.Time { return base })
	const ahead = 42 * time.Second
	control := func(at time.Time) time.Time { return at.Round(0).Add(ahead) }
	for i := range 2 * keptExchanges {
		sent := base.Add(time.Duration(i) * time.Second)
		there, back := 5*time.Millisecond, 5*time.Millisecond
		if i%2 == 1 { // a queue in one direction
			there = 900 * time.Millisecond
		}
		received := sent.Add(there)
		answered := received.Add(30 * time.Millisecond)
		c.exchanged(sent, control(received), control(answered), answered.Add(back))
	}
	if apart := c.offset(base) - ahead; apart.Abs() > time.Millisecond {
		t.Errorf("%v off", apart)
	}
	kept := len(c.exchanges)
	c.exchanged(base.Add(time.Second), control(base), control(base.Add(time.Hour)), base) // back before it was sent
	c.exchanged(base, time.Time{}, time.Time{}, base)
	if len(c.exchanges) != kept || kept != keptExchanges {
		t.Errorf("%d exchanges", len(c.exchanges))
	}
}

// addressed is a station with an address of its own.
type addressed struct {
	*station
	address string
}

func (a addressed) Address() string { return a.address }

// TestControlNodesComeAndGo: from when one is known it gets what is measured, what waits
// for one that stays goes on waiting, and one that went gets nothing more.
func TestControlNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{Later: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { c.Run(ctx) })
		one, two := addressed{newStation(0), "http://one.test"}, addressed{newStation(0), "http://two.test"}
		n := 0
		measure := func() {
			n++
			c.Add([]steering.Measurement{{Subject: steering.Subject(fmt.Sprint(n)), Vantage: "fra", At: time.Now()}})
			time.Sleep(20 * time.Second)
		}
		has := func(s addressed, want string) {
			t.Helper()
			got := ""
			taken, _ := s.got()
			for _, m := range taken {
				got += string(m.Subject)
			}
			if got != want {
				t.Errorf("%s has %q, want %q", s.address, got, want)
			}
		}
		measure() // nobody is known
		c.SetControl([]Control{one})
		measure()
		has(one, "2")
		one.set(true, false)
		measure()
		c.SetControl([]Control{addressed{newStation(0), "http://one.test"}, two}) // the same one, and another
		one.set(false, false)
		time.Sleep(20 * time.Second)
		measure()
		has(one, "234")
		has(two, "4")
		c.SetControl([]Control{two})
		measure()
		has(one, "234")
		has(two, "45")
		cancel()
		done.Wait()
	})
}
