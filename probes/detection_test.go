package probes

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering"
	"fairway/steering/publish"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/PROBES.md; review the difference")

// setting is a probe's pace, and what is promised of it.
type setting struct {
	name           string
	every, timeout time.Duration
	from           func(onset) time.Time // where the promise counts from
	promise        time.Duration         // 95 of 100 are faster
}

var settings = []setting{
	{"5 s probes, 2 s timeout, from the begin of the first failing probe", 5 * time.Second, 2 * time.Second, func(o onset) time.Time { return o.begun }, 12 * time.Second},
	{"1 s probes, 1 s timeout, from the end of the first failing probe", time.Second, time.Second, func(o onset) time.Time { return o.ended }, 3 * time.Second},
}

// failures are the ways in which a CDN fails, by how long a probe takes to see it.
var failures = []struct {
	name    string
	outcome steering.Outcome
	takes   func(timeout time.Duration) time.Duration
}{
	{"refused", steering.OutcomeRefused, func(time.Duration) time.Duration { return 20 * time.Millisecond }},
	{"black hole", steering.OutcomeTimeout, func(timeout time.Duration) time.Duration { return timeout }},
}

// onset is when one CDN failed, and how that was seen.
type onset struct{ broke, begun, ended, moved time.Time }

// TestDetection: from the first probe that fails to a generation that no longer names
// the CDN, by the real scheduler, judge and publish loop, over 100 failures of each
// kind at random moments, with one, three or five vantages at random places of their
// interval.
func TestDetection(t *testing.T) {
	const onsets = 100
	var rows [][]string
	for _, s := range settings {
		for _, f := range failures {
			var took []time.Duration
			for seed := range uint64(onsets) {
				o := fail(t, s, f.outcome, f.takes(s.timeout), seed)
				took = append(took, o.moved.Sub(s.from(o)))
			}
			slices.Sort(took)
			at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1)+0.5)] }
			if at(0.95) > s.promise {
				t.Errorf("%s, %s: 95 of 100 within %v, promised %v", s.name, f.name, at(0.95), s.promise)
			}
			rows = append(rows, []string{s.name, f.name, inSeconds(at(0.5)), inSeconds(at(0.95)), inSeconds(took[len(took)-1]), inSeconds(s.promise)})
		}
	}
	keepTable(t, "detection", []string{"setting", "failure", "median", "95 of 100", "slowest", "promised"}, rows, closeTo(300*time.Millisecond))
}

// fail has one of two CDNs fail at some moment and returns when it was left.
func fail(t *testing.T, s setting, outcome steering.Outcome, takes time.Duration, seed uint64) (o onset) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(7, seed))
		vantages := make([]steering.Vantage, []int{1, 3, 3, 5}[random.IntN(4)])
		for i := range vantages {
			vantages[i] = steering.Vantage{Name: fmt.Sprint("vantage-", random.Uint32()), Region: "eu"}
		}
		revision := twoCDNs(vantages, &steering.Probe{
			Name: "p", Type: steering.ProbeHTTP, Every: s.every, Timeout: s.timeout, Rise: 2, Fall: 2, Quorum: 2,
		})
		layout, err := steering.NewLayout(revision, oneRegion{})
		if err != nil {
			t.Fatal(err)
		}
		first := revision.Services[0].Endpoints[0]
		moved := make(chan time.Time, 1)
		began := time.Now()
		o.broke = began.Add(time.Minute + time.Duration(random.Int64N(int64(s.every))))
		loop, err := publish.New(publish.Config{Layout: layout, Publish: func(next *steering.Snapshot) {
			d := next.Decide(steering.Query{Client: netip.MustParseAddr("192.0.2.1")})
			if c, any := d.First(); any && c.Endpoint != first && time.Now().After(o.broke) {
				select {
				case moved <- time.Now():
				default:
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		defer end()
		scheduler, err := New(Config{Seed: seed, Sink: func(ctx context.Context, batch []steering.Measurement) { loop.Observe(ctx, batch) }})
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan [2]time.Time, 1) // of the first probe that failed
		scheduler.measure = func(ctx context.Context, a *assignment) []steering.Measurement {
			m := steering.Measurement{
				Subject: a.subject, Vantage: a.vantage.Name, Region: a.vantage.Region, Address: netip.MustParseAddr("192.0.2.80"), Outcome: steering.OutcomeOK,
				Phases: steering.Phases{Connect: 10 * time.Millisecond, TTFB: 20 * time.Millisecond},
			}
			begun, wait := time.Now(), 30*time.Millisecond
			if a.subject == first.Subject() && !begun.Before(o.broke) {
				m.Outcome, m.Detail, wait = outcome, "broken", takes
			}
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
			m.At = time.Now()
			if !m.OK() {
				select {
				case failed <- [2]time.Time{begun, m.At}:
				default:
				}
			}
			return []steering.Measurement{m}
		}
		scheduler.Set(Aim{Vantages: vantages, Targets: Targets(revision), Allow: loopback})
		ended := make(chan struct{}, 2)
		go func() { loop.Run(ctx); ended <- struct{}{} }()
		go func() { scheduler.Run(ctx); ended <- struct{}{} }()
		select {
		case o.moved = <-moved:
		case <-time.After(5 * time.Minute):
			t.Errorf("%s, seed %d: the CDN that is broken is still handed out", s.name, seed)
		}
		if !t.Failed() {
			seen := <-failed
			o.begun, o.ended = seen[0], seen[1]
		}
		end()
		<-ended
		<-ended
	})
	return o
}

// twoCDNs is a service whose clients all have the first endpoint while it is up.
func twoCDNs(vantages []steering.Vantage, p *steering.Probe) *steering.Revision {
	rule := &steering.Rule{
		Name: "all", Score: func(in *steering.Inputs) float64 { return in.Weight }, ScoreText: "weight", Split: steering.SplitSpec{Kind: steering.SplitBest},
	}
	policy := &steering.Policy{
		Name: "live", Rules: []*steering.Rule{rule}, HashV4: 24, HashV6: 56, Degraded: steering.DegradedAvoid,
		OnAllDown: steering.OnAllDown{Mode: steering.AllDownAll}, Switch: steering.Switch{Margin: 0.1, Dwell: time.Minute, Ramp: []float64{0.1, 0.5, 1}, RampStep: time.Minute},
	}
	service := &steering.Service{Key: "live", TTL: 20 * time.Second, Probe: p, Policy: policy}
	for i, provider := range []string{"alpha", "bravo"} {
		service.Endpoints = append(service.Endpoints, &steering.Endpoint{
			ID: "live/" + provider, Service: "live", Provider: provider, Host: provider + ".example.", Weight: float64(2 - i),
		})
	}
	return &steering.Revision{
		Hash: "h", Services: []*steering.Service{service}, Policies: []*steering.Policy{policy}, Regions: []steering.Region{{Name: "eu"}}, Vantages: vantages,
	}
}

// oneRegion is a network map in which everybody is in eu.
type oneRegion struct{}

func (oneRegion) Cells() []steering.Cell {
	return []steering.Cell{{Region: steering.DefaultRegion}, {Region: "eu"}}
}

func (oneRegion) Locate(netip.Addr) (uint32, int) { return 1, 8 }

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
