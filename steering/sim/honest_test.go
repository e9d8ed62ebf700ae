package sim

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
)

// still is a world in which nothing happens: two regions of three ASNs, latency only
// by region, demand that never changes.
func still(cdns int) Spec {
	s := Base()
	s.Regions, s.Groups, s.CDNs = 2, 3, cdns
	s.Latency = Latency{BaseMs: []float64{20, 40}, RegionTau: time.Hour, GroupTau: time.Hour}
	s.Demand.Flat = true
	s.Degraded, s.Local, s.Outage, s.Global, s.Flash = Fault{}, Fault{}, Fault{}, Fault{}, Flash{}
	s.Capacity.Of = Range{}
	s.Probes.Sigma, s.Probes.Spikes = 0, 0
	return s
}

// live has a policy live in a world for some hours, after a warm-up.
func live(t *testing.T, w *World, p Policy, length time.Duration) Result {
	t.Helper()
	trial := newTrial(w, p)
	for n := range int((length + 10*time.Minute) / w.Spec.Step) {
		w.Step()
		if err := trial.step(n < int(10*time.Minute/w.Spec.Step)); err != nil {
			t.Fatal(err)
		}
	}
	return trial.score.result(trial)
}

func shippedIn(t *testing.T, w *World, rum bool) *fairway {
	t.Helper()
	f, err := newFairway(w, Candidate{Name: "fairway", Policies: []byte(Shipped), ASN: true, RUM: rum}, new(tables))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s = %v, want %v ± %v", what, got, want, within)
	}
}

// meanMs is the mean of 20 and 40 ms by the demand of the two regions.
func meanMs(w *World) float64 {
	first := 0.0
	for _, x := range w.Weight[:w.A] {
		first += x
	}
	return 20*first + 40*(1-first)
}

// With one CDN there is nothing to steer: everybody costs what the CDN costs.
func TestOneCDN(t *testing.T) {
	shipped := len(newBaselines()) + len(newOracles())
	for i := range shipped + 1 {
		w := NewWorld(still(1), 1, time.Hour)
		var p Policy
		if i == shipped {
			p = shippedIn(t, w, true)
		} else {
			p = append(newBaselines(), newOracles()...)[i]
		}
		r := live(t, w, p, 10*time.Minute)
		near(t, p.Name()+": J", r.J, meanMs(w), 1e-9)
		near(t, p.Name()+": moves", r.Moves, 0, 0)
	}
}

// Of two CDNs, one twice as slow as the other, round robin costs one and a half times
// the best, and whoever measures costs the best.
func TestTwoCDNsOfFixedLatency(t *testing.T) {
	slow := func(w *World) *World {
		for g := range w.G {
			w.Fixed[g*2+1] *= 2
		}
		return w
	}
	for name, factor := range map[string]float64{"B0": 1, "B1": 1.5, "B4": 1, "B5": 1, "B7": 1, "O1": 1, "O2": 1, "O3": 1, "OP": 1, "OG": 1, "OS": 1, "fairway": 1} {
		w := slow(NewWorld(still(2), 1, time.Hour))
		var p Policy
		if name == "fairway" {
			p = shippedIn(t, w, false)
		}
		for _, other := range append(newBaselines(), newOracles()...) {
			if other.Name() == name {
				p = other
			}
		}
		near(t, name+": J", live(t, w, p, 20*time.Minute).J, factor*meanMs(w), 0.01*meanMs(w))
	}
}

// Where a vantage stands in every ASN, what probes could tell is all that there is: the
// bounds for probes and for probes with a survey are the oracle by ASN.
func TestVantagesEverywhereKnowAll(t *testing.T) {
	s := Base()
	s.Regions, s.Groups, s.Vantages = 2, 4, 4
	results, err := Run(Plan{
		Base: s, Scenarios: []string{"S1"}, Seeds: []uint64{5}, Length: 30 * time.Minute, Warm: 10 * time.Minute, Policies: Field(nil, "OP", "OS"),
	})
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[string]float64)
	for _, r := range results {
		by[r.Policy] = r.J
	}
	near(t, "OP", by["OP"], by["O2"], 1e-9)
	near(t, "OS", by["OS"], by["O2"], 1e-9)
}

// A survey that is exact leaves for the ASNs without a vantage what is not the
// vantages': with one of them, that is its very latency.
func TestSurveyOfTheLastASN(t *testing.T) {
	s := still(2)
	s.Vantages = 2 // of three ASNs
	s.Latency.GroupSigma = 0.25
	w := NewWorld(s, 3, time.Hour)
	for r := range w.R {
		known := w.vantages[2*r : 2*r+2]
		for c := range w.C {
			fixed := 0.0
			for _, g := range known {
				fixed += math.Log(w.Fixed[g*w.C+c]) / 2
			}
			for g := r * w.A; g < (r+1)*w.A; g++ {
				if g != known[0] && g != known[1] {
					near(t, "latency", math.Exp(surveyed(w, r, c, known, fixed)(g)), w.Fixed[g*w.C+c], 1e-9)
				}
			}
		}
	}
}

// A CDN that carries exactly what it can is slower by the slope above the knee, and
// sheds nothing; one that is asked for twice as much sheds a quarter.
func TestCapacityOfExactlyDemand(t *testing.T) {
	for _, row := range []struct{ of, slower, shed float64 }{{1, 1.8, 0}, {0.5, 3.4, 0.25}, {1.25, 1, 0}} {
		s := still(1)
		s.Capacity.Of = Range{row.of, row.of}
		w := NewWorld(s, 1, time.Hour)
		r := live(t, w, &roundRobin{name: "B1"}, 10*time.Minute)
		near(t, "latency", r.Ms, row.slower*meanMs(w), 1e-6)
		near(t, "errors", r.Errors, row.shed, 1e-9)
	}
}

// Two CDNs that could carry exactly all demand together, short of the knee: the
// faster one is filled and not overfilled, by the oracle and by the shipped policy.
func TestFilledToTheKnee(t *testing.T) {
	for _, oracle := range []bool{true, false} {
		s := still(2)
		s.Capacity.Of = Range{0.75, 0.75} // the knee is at 60 % of the demand
		w := NewWorld(s, 1, time.Hour)
		for g := range w.G {
			w.Fixed[g*2+1] *= 1.2
		}
		var p Policy = &oracle2
		if !oracle {
			p = shippedIn(t, w, false)
		}
		trial := newTrial(w, p)
		for range 180 {
			w.Step()
			if err := trial.step(false); err != nil {
				t.Fatal(err)
			}
		}
		for rc, load := range trial.load {
			want := []float64{0.6, 0.4}[rc%2] * w.Peak[rc/2]
			near(t, p.Name()+": load", load, want, 0.03*w.Peak[rc/2])
		}
	}
}

var oracle2 = oracle{name: "O2"}

// What the simulator takes for shares is what the door hands out: asked over the
// network for many clients of every ASN, a real DNS door gives each the endpoint that
// Decide gives, and together they have the shares that the simulator read.
func TestDecideIsWhatTheDoorAnswers(t *testing.T) {
	s := Base()
	s.Regions, s.Groups = 3, 4
	s.Capacity.Of = Range{0.3, 0.5} // tight, so that shares are fractions
	s.Demand.Flat = true
	w := NewWorld(s, 3, time.Hour)
	f := shippedIn(t, w, true)
	trial := newTrial(w, f)
	for range 120 {
		w.Step()
		if err := trial.step(true); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := f.loop.View().Snapshot
	current, _ := steering.NewCurrent(snapshot)
	server, err := dnsserver.New(dnsserver.Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() { stop(); <-ended }()
	address := server.Addrs()[0]

	fractions := 0
	for g := range w.G {
		got := make([]float64, w.C)
		const clients = 4
		for n := range clients {
			client := w.Client(g).As4()
			client[3] = byte(n) // one /24 an ASN: vary what is hashed below
			decision := f.decide(w.Client(g))
			first, _ := decision.First()
			if answer := askDoor(t, address, client[:]); answer != first.Endpoint.Addresses[0].String() {
				t.Fatalf("ASN %d: the door answers %s, Decide says %s", g, answer, first.Endpoint.ID)
			}
		}
		split := f.decide(w.Client(g)).Split
		sessions := 4000
		for n := range sessions {
			d := snapshot.Decide(steering.Query{Client: w.Client(g), Session: string(rune('a'+n%26)) + string(rune(n)), Door: steering.DoorRedirect})
			c, _ := d.First()
			got[f.index[c.Endpoint]] += 1 / float64(sessions)
		}
		for c := range w.C {
			near(t, "share in the simulator", trial.want[g*w.C+c], split.Weight(f.layout.Revision.Services[0].Endpoints[c].ID), 1e-9)
			near(t, "share of sessions", got[c], trial.want[g*w.C+c], 0.04)
		}
		if len(split.Picks()) > 1 {
			fractions++
		}
	}
	if fractions == 0 {
		t.Error("no ASN is divided: the test asks too little")
	}
}

// askDoor asks for the steered name on behalf of a client, by its subnet (RFC 7871).
func askDoor(t *testing.T, address string, client net.IP) string {
	t.Helper()
	m := new(dns.Msg).SetQuestion("live.sim.example.", dns.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: client.Mask(net.CIDRMask(24, 32))}}
	r, _, err := (&dns.Client{Timeout: 30 * time.Second}).Exchange(m, address)
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range r.Answer {
		if a, ok := rr.(*dns.A); ok {
			return a.A.String()
		}
	}
	t.Fatalf("no address in\n%v", r)
	return ""
}

// The same plan gives the same bytes, however many worlds are lived through at once,
// and whatever others take part.
func TestSameSeedSameBytes(t *testing.T) {
	s := Base()
	s.Regions, s.Groups = 2, 4
	run := func(workers int, only ...string) []byte {
		results, err := Run(Plan{
			Base: s, Scenarios: []string{"S3", "S7"}, Seeds: []uint64{1, 2}, Length: 10 * time.Minute, Warm: 10 * time.Minute,
			Policies: Field(Ships(), only...), Workers: workers,
		})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		WriteCSV(&b, results)
		return b.Bytes()
	}
	one, four := run(1), run(4)
	if !bytes.Equal(one, four) {
		t.Errorf("two runs differ:\n%s\n%s", one, four)
	}
	for _, line := range bytes.Split(run(2, "fairway+rum"), []byte("\n")) {
		if !bytes.Contains(one, line) {
			t.Errorf("%s is otherwise when others take part", line)
		}
	}
}

// The sums that a report draws are those of so many samples: the same means and
// spreads of the logarithms, the same share of errors.
func TestReportsAreSumsOfSamples(t *testing.T) {
	const rounds, n, ms, errors, sigma = 80000, 12, 35.0, 0.1, 0.5
	var sums, samples [4][]float64
	chance := source(7).stream("sums")
	direct := rand.New(rand.NewPCG(7, 8))
	for range rounds {
		r := chance.report(n, ms, errors, sigma)
		keep(&sums, float64(r.N-r.Errors), float64(r.Errors), r.LogMs, r.LogMsSq)
		ok, fails, log, squares := 0.0, 0.0, 0.0, 0.0
		for range n {
			if direct.Float64() < errors {
				fails++
				continue
			}
			x := math.Log(ms) + sigma*direct.NormFloat64()
			ok, log, squares = ok+1, log+x, squares+x*x
		}
		keep(&samples, ok, fails, log, squares)
	}
	for i, what := range []string{"errors", "mean of the logarithms", "their spread", "spread of the means"} {
		a, b := moments(sums[i]), moments(samples[i])
		near(t, what, a[0], b[0], 0.01)
		near(t, what+": deviation", a[1], b[1], 0.01)
	}
}

// keep notes what follows from the sums.
func keep(into *[4][]float64, ok, fails, log, squares float64) {
	if ok < 2 {
		return
	}
	mean := log / ok
	variance := (squares - log*log/ok) / (ok - 1)
	for i, x := range []float64{fails / (ok + fails), mean, math.Sqrt(max(0, variance)), (mean - math.Log(35)) * math.Sqrt(ok)} {
		into[i] = append(into[i], x)
	}
}

func moments(list []float64) [2]float64 {
	mean, square := 0.0, 0.0
	for _, x := range list {
		mean += x / float64(len(list))
		square += x * x / float64(len(list))
	}
	return [2]float64{mean, math.Sqrt(max(0, square-mean*mean))}
}

// Nobody is better than the oracle whose viewers follow at once, and nobody who moves
// viewers as slowly as O2 is better than that.
func TestOraclesAreTheEnd(t *testing.T) {
	s := Base()
	s.Regions, s.Groups = 3, 5
	results, err := Run(Plan{
		Base: s, Scenarios: []string{"S2", "S4"}, Seeds: []uint64{4}, Length: time.Hour, Warm: 10 * time.Minute, Policies: Field(Ships()),
	})
	if err != nil {
		t.Fatal(err)
	}
	best := make(map[string]float64)
	key := func(r Result) string { return r.Scenario + string(rune('0'+r.Seed)) }
	for _, r := range results {
		if r.Policy == Instant {
			best[key(r)] = r.J
		}
	}
	for _, r := range results {
		if r.J < best[key(r)]*(1-0.002) {
			t.Errorf("%s, seed %d: %s costs %.3f, less than O3's %.3f", r.Scenario, r.Seed, r.Policy, r.J, best[key(r)])
		}
	}
}
