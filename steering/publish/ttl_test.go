package publish

import (
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

// TestTTL: it shrinks to what measurements still need, grows when nothing can
// change, and stays within the service's bounds.
func TestTTL(t *testing.T) {
	near := func(d time.Duration, endpoints ...int) func(*crowd) {
		return func(c *crowd) {
			rows := map[int][]steering.Health{}
			for _, e := range endpoints {
				h := *c.table.At(e, 0)
				h.Near = d
				rows[e] = []steering.Health{h}
			}
			c.table = c.table.WithRows(c.table.Index(), pointed(rows))
		}
	}
	service := func(f func(*steering.Service)) func(*crowd) {
		return func(c *crowd) { f(c.layout.Revision.Services[0]) }
	}
	both := func(list ...func(*crowd)) func(*crowd) {
		return func(c *crowd) {
			for _, f := range list {
				f(c)
			}
		}
	}
	unprobed := service(func(s *steering.Service) { s.Probe = nil })
	one := service(func(s *steering.Service) {
		s.Policy.Rules[0].Allow = &steering.Selector{Providers: []string{"provider-1"}}
	})
	for name, x := range map[string]struct {
		change func(*crowd)
		want   time.Duration
	}{
		"as configured":                             {func(*crowd) {}, 30 * time.Second},
		"a change is near":                          {near(10*time.Second, 1), 10 * time.Second},
		"the nearest counts":                        {both(near(20*time.Second, 0), near(15*time.Second, 1)), 15 * time.Second},
		"never below the least":                     {near(time.Second, 1), 4 * time.Second},
		"never longer than configured":              {near(time.Minute, 1), 30 * time.Second},
		"whole seconds":                             {near(5500*time.Millisecond, 1), 6 * time.Second},
		"of one without clients it does not matter": {both(one, near(10*time.Second, 0)), 10 * time.Minute},
		"of the one with all clients it does":       {both(one, near(10*time.Second, 1)), 10 * time.Second},
		"nothing is measured":                       {unprobed, 10 * time.Minute},
		"only one may serve":                        {one, 10 * time.Minute},
		"only one may serve, or nobody":             {both(one, service(func(s *steering.Service) { s.Policy.OnAllDown.Mode = steering.AllDownNone })), 30 * time.Second},
		"an operator's order ends some time": {both(unprobed, func(c *crowd) {
			c.orders = []steering.Override{{Kind: steering.Drain, Provider: "provider-0", Expires: noon.Add(time.Hour)}}
		}), 30 * time.Second},
		"prices are read": {both(unprobed, service(func(s *steering.Service) { s.Policy.Rules[0].ScoreText = "cost" })), 30 * time.Second},
		"a cap may be reached": {both(unprobed, service(func(s *steering.Service) {
			s.Endpoints[0].Account = &steering.Provider{Terms: steering.Terms{CapGbps: 1}}
		})), 30 * time.Second},
		"the longest is not stated, so it never grows": {both(one, service(func(s *steering.Service) { s.TTLMax = 0 })), 30 * time.Second},
		"the least is not stated, so it never shrinks": {both(near(10*time.Second, 1), service(func(s *steering.Service) { s.TTLMin = 0 })), 30 * time.Second},
	} {
		c := newCrowd(t, 2, 1, steering.Switch{})
		s := c.layout.Revision.Services[0]
		s.TTLMin, s.TTLMax = 4*time.Second, 10*time.Minute
		x.change(c)
		c.t.markAll()
		c.after(time.Second)
		if got := c.slot(0).split.TTL; got != x.want {
			t.Errorf("%s: TTL %v, want %v", name, got, x.want)
		}
		if got := c.slot(0).split.TTL; got > c.layout.Revision.LongestTTL(s) || got < time.Second {
			t.Errorf("%s: TTL %v leaves its bounds", name, got)
		}
	}
}

// A failure that has begun shortens the TTL before anybody moves, at every door,
// and explain says why.
func TestTTLShrinksBeforeAFailover(t *testing.T) {
	w := newWorld()
	w.service.TTLMin = time.Second
	w.service.Probe.Fall, w.service.Probe.Window = 5, time.Minute // two failures of many do not make it degraded
	inBubble(t, w, nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		time.Sleep(40*time.Second + 300*time.Millisecond) // between two rounds of measurements
		ttl := func() time.Duration {
			d := r.current.Load().Decide(steering.Query{Client: euClient})
			return d.TTL
		}
		if got := ttl(); got != 20*time.Second {
			r.Fatalf("TTL %v in a calm world, want 20s", got)
		}
		r.breakIt(down("a", "eu"))
		time.Sleep(2500 * time.Millisecond)
		if got := ttl(); r.first(euClient) != "a" || got > 4*time.Second {
			r.Errorf("TTL %v with %s first after two of five failures; want 3s or so and a", got, r.first(euClient))
		}
		x, err := r.loop.View().Explain("live", steering.Query{Client: euClient})
		if err != nil || !strings.Contains(x.TTLWhy, "live/a/one may be found down") {
			r.Errorf("explained as %q, %v", x.TTLWhy, err)
		}
		r.eventually(euClient, "b", 5*time.Second)
		if got := ttl(); got != 20*time.Second {
			r.Errorf("TTL %v after the failover, want 20s again", got)
		}
	})
}

// Where the service has no least TTL there is nothing to shorten, and explain does not
// say that it was.
func TestTTLThatMayNotShrink(t *testing.T) {
	w := newWorld()
	w.service.Probe.Fall, w.service.Probe.Window = 5, time.Minute
	inBubble(t, w, nil, func(r *rig) {
		r.eventually(euClient, "a", 5*time.Second)
		time.Sleep(40*time.Second + 300*time.Millisecond)
		r.breakIt(down("a", "eu"))
		time.Sleep(2500 * time.Millisecond)
		x, err := r.loop.View().Explain("live", steering.Query{Client: euClient})
		if err != nil || x.TTLSeconds != 20 || x.TTLWhy != "as configured" || x.Endpoints[0].Health.Near == 0 {
			r.Errorf("TTL %d, explained as %q, %v; down in %v", x.TTLSeconds, x.TTLWhy, err, x.Endpoints[0].Health.Near)
		}
	})
}
