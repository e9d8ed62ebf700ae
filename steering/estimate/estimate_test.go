package estimate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"fairway/steering"
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// country is a region with two networks; one vantage stands in the first, and two
// stand nowhere in particular.
func country() (*Book, *steering.Endpoint) {
	e := &steering.Endpoint{ID: "live/alpha", Service: "live", Provider: "alpha"}
	b := New()
	b.Configure(&steering.Revision{
		Regions:  []steering.Region{{Name: "de"}, {Name: "de-big", Within: "de"}, {Name: "de-small", Within: "de"}},
		Vantages: []steering.Vantage{{Name: "fra", Region: "de-big"}, {Name: "ber", Region: "de"}, {Name: "muc", Region: "de"}},
		Services: []*steering.Service{{Key: "live", Endpoints: []*steering.Endpoint{e}}},
	})
	return b, e
}

func probe(e *steering.Endpoint, vantage string, after time.Duration, ms float64, ok bool) *steering.Measurement {
	m := &steering.Measurement{Subject: e.Subject(), Vantage: vantage, At: begin.Add(after), Outcome: steering.OutcomeOK}
	m.Phases.TTFB = time.Duration(ms * float64(time.Millisecond))
	if !ok {
		m.Outcome = steering.OutcomeTimeout
	}
	return m
}

func tell(region string, after time.Duration, n, fails, ms float64) *Players {
	ok, log := n-fails, math.Log(ms)
	return &Players{Endpoint: "live/alpha", Region: region, At: begin.Add(after), Tries: n, Fails: fails, LogMs: ok * log, LogMsSq: ok*log*log + 0.25*(ok-1)}
}

func (b *Book) want(t *testing.T, region string, after time.Duration, ms, within float64) Estimate {
	t.Helper()
	got, known := b.Table(begin.Add(after)).Get("live/alpha", region)
	if !known || math.Abs(got.Ms-ms) > within {
		t.Errorf("%s: %+v (known: %v), want %.1f ms ± %.1f", region, got, known, ms, within)
	}
	return got
}

// A network of which nobody tells has its region's level; one that tells has its own.
func TestNetworksLeanOnTheirRegion(t *testing.T) {
	b, e := country()
	for i := range 30 {
		at := time.Duration(i) * 10 * time.Second
		for _, vantage := range []string{"fra", "ber", "muc"} {
			b.Probe(probe(e, vantage, at, 40, true))
		}
		b.Players(tell("de-big", at, 20, 0, 60))
	}
	region := b.want(t, "de", 5*time.Minute, 44, 6)
	big := b.want(t, "de-big", 5*time.Minute, 60, 4)
	small := b.want(t, "de-small", 5*time.Minute, region.Ms, 0.01)
	if big.Sigma > 0.1 || small.Sigma < 0.2 || !big.Own || small.Own {
		t.Errorf("big %+v, small %+v: who told is sure, and nobody else", big, small)
	}
	if !big.Told || small.Told || region.Told {
		t.Errorf("players told of big only: region %+v, big %+v, small %+v", region, big, small)
	}
	if got, _ := b.Table(begin.Add(90*time.Minute)).Get("live/alpha", "de-big"); got.Told {
		t.Errorf("%+v: players are silent for more than an hour", got)
	}
}

// Where no player tells, a vantage that stands in a network stands for it.
func TestVantageStandsForItsNetwork(t *testing.T) {
	b, e := country()
	for i := range 60 {
		at := time.Duration(i) * 10 * time.Second
		b.Probe(probe(e, "fra", at, 80, true))
		b.Probe(probe(e, "ber", at, 40, true))
		b.Probe(probe(e, "muc", at, 40, true))
	}
	b.want(t, "de-big", 10*time.Minute, 80, 5)
	if got := b.want(t, "de-small", 10*time.Minute, 50, 12); got.Ms > 65 {
		t.Errorf("the small network is taken for the big one: %+v", got)
	}
}

// A single report of few players moves an estimate little.
func TestFewPlayersAreShrunk(t *testing.T) {
	b, e := country()
	for i := range 30 {
		for _, vantage := range []string{"fra", "ber", "muc"} {
			b.Probe(probe(e, vantage, time.Duration(i)*10*time.Second, 40, true))
		}
	}
	b.Players(tell("de-small", 5*time.Minute, 1, 0, 70))
	got, _ := b.Table(begin.Add(5*time.Minute)).Get("live/alpha", "de-small")
	if got.Ms < 41 || got.Ms > 55 {
		t.Errorf("one player of 70 ms makes it %.1f ms; want something between the region's 40 and that", got.Ms)
	}
}

// A spike moves nothing; a jump is followed with its second observation.
func TestJumps(t *testing.T) {
	b, _ := country()
	for i := range 30 {
		b.Players(tell("de-big", time.Duration(i)*10*time.Second, 20, 0, 40))
	}
	b.Players(tell("de-big", 300*time.Second, 20, 0, 160))
	b.want(t, "de-big", 300*time.Second, 40, 2)
	b.Players(tell("de-big", 310*time.Second, 20, 0, 160))
	b.want(t, "de-big", 310*time.Second, 155, 20)
	b.Players(tell("de-big", 320*time.Second, 20, 0, 40))
	b.Players(tell("de-big", 330*time.Second, 20, 0, 40))
	b.want(t, "de-big", 330*time.Second, 42, 8)
}

// A network of which nobody tells is taken for the mean of those that tell, whatever the
// region has been through: hours, and faults that all meet or some.
func TestWhatNobodyTellsIsTheMean(t *testing.T) {
	b, e := country()
	own := map[string]float64{"fra": 30, "ber": 40, "muc": 60}
	at := time.Duration(0)
	see := func(rounds int, change func(round int, vantage string) float64) {
		for i := range rounds {
			at += 10 * time.Second
			for _, vantage := range []string{"fra", "ber", "muc"} {
				b.Probe(probe(e, vantage, at, own[vantage]*change(i, vantage), true))
			}
		}
	}
	mean := math.Cbrt(30 * 40 * 60)
	see(60, func(int, string) float64 { return 1 })
	b.want(t, "de-small", at, mean, 0.02*mean)
	see(180, func(round int, _ string) float64 { return 1 + 0.5*float64(round)/180 }) // the evening comes
	b.want(t, "de-small", at, 1.5*mean, 0.03*mean)
	for range 3 {
		see(60, func(_ int, vantage string) float64 {
			if vantage == "muc" {
				return 1.5
			}
			return 4
		})
		see(60, func(int, string) float64 { return 3 })
		b.want(t, "de-small", at, 3*mean, 0.06*mean)
		see(60, func(int, string) float64 { return 1 })
		b.want(t, "de-small", at, mean, 0.02*mean)
	}
}

// A single failed probe says nothing; an outage is plain after a few; and it is
// forgotten when it is over.
func TestFailures(t *testing.T) {
	b, e := country()
	for i := range 30 {
		b.Probe(probe(e, "fra", time.Duration(i)*10*time.Second, 40, true))
		b.Probe(probe(e, "ber", time.Duration(i)*10*time.Second, 40, true))
	}
	b.Probe(probe(e, "fra", 300*time.Second, 0, false))
	if got := b.want(t, "de", 300*time.Second, 40, 2); got.Errors != 0 {
		t.Errorf("one failure makes a rate of %v", got.Errors)
	}
	for i := range 6 {
		b.Probe(probe(e, "fra", 301*time.Second+time.Duration(i)*time.Second, 0, false))
	}
	if got := b.want(t, "de", 310*time.Second, 40, 2); got.Errors != 0 {
		t.Errorf("one vantage alone makes a rate of %v", got.Errors)
	}
	for i := range 6 {
		b.Probe(probe(e, "ber", 301*time.Second+time.Duration(i)*time.Second, 0, false))
	}
	if got := b.want(t, "de", 310*time.Second, 40, 2); got.Errors < 0.2 {
		t.Errorf("seven failures make a rate of %v only", got.Errors)
	}
	for i := range 60 {
		b.Probe(probe(e, "fra", 320*time.Second+time.Duration(i)*10*time.Second, 40, true))
		b.Probe(probe(e, "ber", 320*time.Second+time.Duration(i)*10*time.Second, 40, true))
	}
	if got := b.want(t, "de", 15*time.Minute, 40, 2); got.Errors > 0.001 {
		t.Errorf("ten minutes later the rate is still %v", got.Errors)
	}
}

// A vantage that tells ten times the latency of the others moves its own figure.
func TestOneVantageMovesLittle(t *testing.T) {
	b, e := country()
	for i := range 120 {
		for _, vantage := range []string{"fra", "ber", "muc"} {
			ms := 40.0
			if vantage == "fra" && i >= 60 {
				ms = 400
			}
			b.Probe(probe(e, vantage, time.Duration(i)*10*time.Second, ms, true))
		}
	}
	b.want(t, "de", 20*time.Minute, 46, 6) // two at 40 ms, one that counts as far off as places are
}

// What probes cannot see players tell, and a network that fails alone is told apart.
func TestGrayFailures(t *testing.T) {
	b, e := country()
	for i := range 30 {
		at := time.Duration(i) * 10 * time.Second
		b.Probe(probe(e, "fra", at, 40, true))
		b.Players(tell("de-big", at, 20, 0, 40))
		b.Players(tell("de-small", at, 20, 10, 40))
	}
	small, big := b.want(t, "de-small", 5*time.Minute, 40, 2), b.want(t, "de-big", 5*time.Minute, 40, 2)
	if small.Errors < 0.35 || big.Errors > 0.1 {
		t.Errorf("failures: small %v, big %v; half of the small network's fail", small.Errors, big.Errors)
	}
}

// With noise as it is assumed, estimates are as wrong as they say.
func TestSigmaIsHonest(t *testing.T) {
	b, _ := country()
	chance := rand.New(rand.NewPCG(1, 2))
	inside, all := 0, 0
	for i := range 2000 {
		at := time.Duration(i) * 10 * time.Second
		p := tell("de-big", at, 12, 0, 1)
		p.LogMs = 12 * (math.Log(50) + 0.5/math.Sqrt(12)*chance.NormFloat64())
		p.LogMsSq = p.LogMs*p.LogMs/12 + 0.25*11
		b.Players(p)
		if i < 100 {
			continue
		}
		got, _ := b.Table(begin.Add(at)).Get("live/alpha", "de-big")
		all++
		if math.Abs(math.Log(got.Ms/50)) < 2*got.Sigma {
			inside++
		}
	}
	if share := float64(inside) / float64(all); share < 0.95 {
		t.Errorf("%.1f %% of the estimates are within two of their standard deviations", 100*share)
	}
}

// surveyed is the country with an operator who says what fetches usually take there.
func surveyed(whole, small time.Duration) (*Book, *steering.Endpoint) {
	b, e := country()
	terms := map[string]steering.Terms{"de": {Latency: whole}}
	if small > 0 {
		terms["de-small"] = steering.Terms{Latency: small}
	}
	e.Account = &steering.Provider{Name: "alpha", Regions: terms}
	b.Configure(&steering.Revision{
		Regions:  []steering.Region{{Name: "de"}, {Name: "de-big", Within: "de"}, {Name: "de-small", Within: "de"}},
		Vantages: []steering.Vantage{{Name: "fra", Region: "de-big"}, {Name: "ber", Region: "de"}, {Name: "muc", Region: "de"}},
		Services: []*steering.Service{{Key: "live", Endpoints: []*steering.Endpoint{e}}},
	})
	return b, e
}

// Vantages that all stand far away say little of a country of which a survey is known,
// and what changes for all of them is the country's.
func TestSurvey(t *testing.T) {
	b, e := surveyed(40*time.Millisecond, 0)
	at := time.Duration(0)
	see := func(rounds int, ms float64) {
		for range rounds {
			at += 10 * time.Second
			for _, vantage := range []string{"fra", "ber", "muc"} {
				b.Probe(probe(e, vantage, at, ms, true))
			}
		}
	}
	see(30, 60)
	if got, _ := b.Table(begin.Add(at)).Get("live/alpha", "de-small"); got.Ms > 50 {
		t.Errorf("a vantage's distance is taken for the country's: %+v", got)
	}
	b.want(t, "de-big", at, 60, 3)
	before, _ := b.Table(begin.Add(at)).Get("live/alpha", "de-small")
	see(12, 120)
	b.want(t, "de-small", at, 2*before.Ms, 0.25*before.Ms)
	b.want(t, "de-big", at, 120, 12)
}

// Where the network that a vantage stands in is far away, and has much of the traffic,
// the others are nearer than the survey of them all.
func TestSurveyLeavesTheRestToTheOthers(t *testing.T) {
	b, e := surveyed(40*time.Millisecond, 0)
	b.Weigh(map[string]float64{"de": 10, "de-big": 6, "de-small": 4})
	for i := range 60 {
		at := time.Duration(i) * 10 * time.Second
		b.Probe(probe(e, "fra", at, 50, true))
		b.Probe(probe(e, "ber", at, 40, true))
		b.Probe(probe(e, "muc", at, 40, true))
	}
	b.want(t, "de-big", 10*time.Minute, 50, 2)
	b.want(t, "de-small", 10*time.Minute, 25, 5) // 0.6 × 50 + 0.4 × 25 = 40
}

// A survey of a part tells how far the part is from the whole.
func TestSurveyOfAPart(t *testing.T) {
	b, e := surveyed(40*time.Millisecond, 80*time.Millisecond)
	for i := range 30 {
		for _, vantage := range []string{"fra", "ber", "muc"} {
			b.Probe(probe(e, vantage, time.Duration(i)*10*time.Second, 40, true))
		}
	}
	b.want(t, "de", 5*time.Minute, 40, 2)
	b.want(t, "de-small", 5*time.Minute, 80, 4)
}

// What a revision no longer names is forgotten, the rest is kept.
func TestConfigureKeepsWhatStays(t *testing.T) {
	b, e := country()
	b.Probe(probe(e, "fra", 0, 40, true))
	b.Players(tell("de-big", 0, 20, 0, 40))
	b.Configure(&steering.Revision{
		Regions:  []steering.Region{{Name: "de"}},
		Vantages: []steering.Vantage{{Name: "fra", Region: "de"}},
		Services: []*steering.Service{{Key: "live", Endpoints: []*steering.Endpoint{e}}},
	})
	b.want(t, "de", time.Second, 40, 5)
	if _, known := b.Table(begin).Get("live/alpha", "de-big"); known {
		t.Error("a region that is gone has an estimate")
	}
	b.Configure(&steering.Revision{Regions: []steering.Region{{Name: "de"}}})
	if _, known := b.Table(begin).Get("live/alpha", "de"); known {
		t.Error("an endpoint that is gone has an estimate")
	}
}

// What cannot be is not taken in.
func TestPlayersAreChecked(t *testing.T) {
	b, _ := country()
	for _, p := range []*Players{
		tell("fr", 0, 20, 0, 40), tell("de", 0, 0, 0, 40), tell("de", 0, 2, 3, 40), tell("de", 0, 2, -1, 40),
		{Endpoint: "live/alpha", Region: "de", Tries: math.NaN()},
		{Endpoint: "live/alpha", Region: "de", At: begin, Tries: 5, LogMs: math.Inf(1)},
		{Endpoint: "live/nobody", Region: "de", At: begin, Tries: 5, LogMs: 5},
	} {
		b.Players(p)
	}
	if got, known := b.Table(begin).Get("live/alpha", "de"); known {
		t.Errorf("%+v from nothing", got)
	}
	if b.Changed() {
		t.Error("changed by nothing")
	}
}
