package health

import (
	"testing"
	"time"

	"fairway/steering"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anything is a measurement that a vantage may send, truthful or not.
func anything(vantage string) *rapid.Generator[steering.Measurement] {
	return rapid.Custom(func(t *rapid.T) steering.Measurement {
		return measurement(vantage,
			rapid.IntRange(0, 3).Draw(t, "address"), rapid.Bool().Draw(t, "ok"),
			at(rapid.Float64Range(-200, 400).Draw(t, "at")))
	})
}

// Invariant 9: two of three vantages are fine and measure in time; the third
// says whatever it likes.
func TestOneLiarOfThree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, revision(probe()))
		for round := range rapid.IntRange(1, 30).Draw(rt, "rounds") {
			now := at(float64(round) * every.Seconds())
			w.measure("ams", 1, true, now)
			w.measure("fra", 1, true, now)
			for _, m := range rapid.SliceOfN(anything("lon"), 0, 10).Draw(rt, "lies") {
				w.judge.Observe(m)
			}
			w.look(now)
			if v := w.in("eu").Verdict; v != steering.Healthy {
				rt.Fatalf("round %d: eu is %v (%s)", round, v, w.in("eu").Evidence)
			}
		}
	})
}

// Invariant 6: once everything is stale, every verdict is unknown; and at no
// time is a region down without a quorum of fresh vantages.
func TestStaleIsNeverDown(t *testing.T) {
	vantages := []string{"ams", "fra", "iad", "lon"}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, revision(probe()))
		now := 0.0
		for range rapid.IntRange(1, 20).Draw(rt, "looks") {
			for range rapid.IntRange(0, 12).Draw(rt, "measurements") {
				w.measure(rapid.SampledFrom(vantages).Draw(rt, "vantage"), rapid.IntRange(0, 2).Draw(rt, "address"),
					rapid.Bool().Draw(rt, "ok"), at(now-rapid.Float64Range(0, 20).Draw(rt, "lag")))
			}
			w.look(at(now))
			for region, h := range w.table.Row(live) {
				if h.Verdict == steering.Down && (h.Vantages < h.Quorum || h.Age(at(now)) > stale) {
					rt.Fatalf("%s is down with %d fresh vantages of %d, newest %v old", region, h.Vantages, h.Quorum, h.Age(at(now)))
				}
			}
			now += rapid.Float64Range(0, 10).Draw(rt, "pause")
		}
		for next := w.judge.NextDeadline(); !next.IsZero(); next = w.judge.NextDeadline() {
			w.look(next)
		}
		for region, h := range w.table.Row(live) {
			if h.Verdict != steering.Unknown {
				rt.Fatalf("%s is %v with nothing fresh", region, h.Verdict)
			}
		}
	})
}

// The same measurements give the same health, whatever the order in which they
// come and in which the vantages are configured.
func TestOrderOfVantagesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var ms []steering.Measurement
		seen := map[steering.Measurement]bool{}
		for range rapid.IntRange(0, 60).Draw(rt, "n") {
			m := measurement(rapid.SampledFrom([]string{"ams", "fra", "iad", "lon"}).Draw(rt, "vantage"),
				rapid.IntRange(0, 2).Draw(rt, "address"), rapid.Bool().Draw(rt, "ok"), at(float64(rapid.IntRange(0, 13).Draw(rt, "at"))))
			key := steering.Measurement{Vantage: m.Vantage, Address: m.Address, At: m.At}
			if !seen[key] {
				seen[key] = true
				ms = append(ms, m)
			}
		}
		one, other := revision(probe()), revision(probe())
		other.Vantages = rapid.Permutation(other.Vantages).Draw(rt, "vantages")
		judge := func(r *steering.Revision, ms []steering.Measurement) map[string]steering.Health {
			j := New()
			j.Configure(r)
			for _, m := range ms {
				j.Observe(m)
			}
			t, _ := j.Judge(at(13))
			return t.Row(live)
		}
		a, b := judge(one, ms), judge(other, rapid.Permutation(ms).Draw(rt, "order"))
		if diff := cmp.Diff(a, b); diff != "" {
			rt.Fatalf("health differs:\n%s", diff)
		}
	})
}

// fleet is 200 endpoints, 50 vantages in 10 regions, 2 addresses each.
func fleet() (*Judge, []steering.Measurement) {
	r := &steering.Revision{}
	p := probe()
	var ms []steering.Measurement
	for v := range 50 {
		region := string(rune('a' + v%10))
		if v < 10 {
			r.Regions = append(r.Regions, steering.Region{Name: region})
		}
		r.Vantages = append(r.Vantages, steering.Vantage{Name: region + string(rune('a'+v/10)), Region: region})
	}
	service := &steering.Service{Key: "live", Probe: p}
	for e := range 200 {
		id := "live/" + string(rune('a'+e%20)) + "/" + string(rune('a'+e/20))
		service.Endpoints = append(service.Endpoints, &steering.Endpoint{ID: id, Host: id})
		for _, v := range r.Vantages {
			for n := range 2 {
				m := measurement(v.Name, n+1, true, start)
				m.Subject = steering.EndpointSubject(id)
				ms = append(ms, m)
			}
		}
	}
	r.Services = []*steering.Service{service}
	j := New()
	j.Configure(r)
	j.Judge(start)
	return j, ms
}

func TestObserveDoesNotAllocate(t *testing.T) {
	j, ms := fleet()
	now := start
	round := func() {
		for i := range ms {
			ms[i].At = now
			j.Observe(ms[i])
		}
		now = now.Add(time.Second)
	}
	round()
	if allocs := testing.AllocsPerRun(3, round); allocs > 1 {
		t.Errorf("a round of %d measurements allocates %v times", len(ms), allocs)
	}
}

func BenchmarkObserve(b *testing.B) {
	j, ms := fleet()
	now := start
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m := &ms[i%len(ms)]
		if i%len(ms) == 0 {
			now = now.Add(5 * time.Second)
			b.StopTimer()
			j.Judge(now)
			b.StartTimer()
		}
		m.At = now
		j.Observe(*m)
	}
}

// BenchmarkJudge is one look per second at the whole fleet, a fifth of which
// has been measured in that second.
func BenchmarkJudge(b *testing.B) {
	j, ms := fleet()
	now := start
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Second)
		b.StopTimer()
		for k := i % 5; k < len(ms); k += 5 {
			ms[k].At = now
			j.Observe(ms[k])
		}
		b.StartTimer()
		j.Judge(now)
	}
}

// TestNobodyAloneTakesDown: three vantages measure the endpoints of three providers, two
// of them truthfully and in time. Whatever the third one says, be it lies, failures of
// everything because it is cut off, or nothing, and whatever players are made to tell at
// the same time, no verdict turns down or degraded.
func TestNobodyAloneTakesDown(t *testing.T) {
	providers := []string{"alpha", "bravo", "charlie"}
	r := revision(probe())
	r.Services[0].Endpoints = nil
	for _, p := range providers {
		r.Services[0].Endpoints = append(r.Services[0].Endpoints, &steering.Endpoint{ID: "live/" + p, Service: "live", Provider: p, Host: p + ".example."})
	}
	forged := rapid.Custom(func(t *rapid.T) steering.Played {
		return steering.Played{
			PlayTime: time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "play time")), Rebuffering: rapid.Float64Range(0, 1).Draw(t, "rebuffering"),
			Availability: rapid.Float64Range(0, 1).Draw(t, "availability"), TTFB: time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "ttfb")),
			Throughput: rapid.Float64Range(0, 1e9).Draw(t, "throughput"), Sessions: rapid.IntRange(0, 1e6).Draw(t, "sessions"), Confidence: 1,
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, r)
		liar := rapid.SampledFrom([]string{"ams", "fra", "lon"}).Draw(rt, "the third")
		cut := rapid.IntRange(0, 30).Draw(rt, "cut off from round")
		silent := rapid.IntRange(0, 30).Draw(rt, "silent from round")
		for round := range rapid.IntRange(1, 30).Draw(rt, "rounds") {
			now := at(float64(round) * every.Seconds())
			for _, p := range providers {
				say := func(vantage string, n int, ok bool, at time.Time) {
					m := measurement(vantage, n, ok, at)
					m.Subject = steering.EndpointSubject("live/" + p)
					w.judge.Observe(m)
				}
				for _, v := range []string{"ams", "fra", "lon"} {
					switch {
					case v != liar:
						say(v, 1, true, now)
						say(v, 2, true, now)
					case round >= silent:
					case round >= cut:
						say(v, 1, false, now)
						say(v, 2, false, now)
						say(v, 0, false, now)
					default:
						for _, m := range rapid.SliceOfN(anything(v), 0, 6).Draw(rt, "lies") {
							m.Subject = steering.EndpointSubject("live/" + p)
							w.judge.Observe(m)
						}
					}
				}
			}
			if rapid.Bool().Draw(rt, "players are forged") {
				told := make(steering.PlayedTable)
				for _, p := range providers {
					for _, region := range []string{"eu", "na", "as"} {
						told[steering.PlayedKey{Endpoint: "live/" + p, Region: region}] = forged.Draw(rt, "told")
					}
				}
				w.judge.SetPlayed(told)
			}
			w.look(now)
			for _, p := range providers {
				if h := w.table.Get(steering.EndpointSubject("live/"+p), "eu"); h.Verdict != steering.Healthy {
					rt.Fatalf("round %d: %s in eu is %v (%s)", round, p, h.Verdict, h.Evidence)
				}
			}
		}
	})
}
