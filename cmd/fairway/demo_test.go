package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// provider says which CDN a name or URL of the demo belongs to.
func provider(t *testing.T, d *doors, service string, client netip.Addr) (string, decided) {
	t.Helper()
	answer, err := d.decide(service, client)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Endpoints[0].Provider, answer
}

// everywhere is the CDN of each region by each door; the doors must agree.
func everywhere(t *testing.T, d *doors) map[string]string {
	t.Helper()
	best := make(map[string]string)
	for region, client := range clientIn {
		best[region], _ = provider(t, d, "live", client)
	}
	return best
}

// leftAt waits until all three doors have left a CDN in a region.
func leftAt(t *testing.T, d *doors, region, cdn string, within time.Duration) time.Duration {
	t.Helper()
	client := clientIn[region]
	return until(t, within, fmt.Sprintf("all doors leave %s in %s", cdn, region), func() bool {
		answer, err := d.decide("live", client)
		if err != nil || answer.Endpoints[0].Provider == cdn {
			return false
		}
		location, err := d.redirect("live", "main.m3u8", client)
		return err == nil && strings.HasPrefix(location, answer.Endpoints[0].URL+"/") &&
			!strings.Contains(d.cname("live.fairway.test.", client), cdn)
	})
}

// TestDemo is the main job from outside: probes, health, policy, doors, on real
// sockets, with CDNs that break and mend.
func TestDemo(t *testing.T) {
	p, d, temp := startDemo(t)
	fault := func(args ...string) {
		t.Helper()
		if out, errs, code := run(t, temp, append([]string{"demo", "fault"}, args...)...); code != 0 {
			t.Fatalf("fault %v: exit %d\n%s%s", args, code, out, errs)
		}
	}

	var best map[string]string
	until(t, 6*time.Second, "two regions have different best CDNs", func() bool {
		best = everywhere(t, d)
		seen := make(map[string]bool)
		for _, cdn := range best {
			seen[cdn] = true
		}
		return len(seen) >= 2
	})
	time.Sleep(6 * time.Second) // the demo's dwell: what follows is decided by faults
	best = everywhere(t, d)

	t.Run("every door tells the same and what it names can be fetched", func(t *testing.T) {
		for region, client := range clientIn {
			answer, err := d.decide("live", client)
			if err != nil || answer.Region != region {
				t.Fatalf("client %v is in region %q, want %s (%v)", client, answer.Region, region, err)
			}
			first := answer.Endpoints[0]
			if got := d.cname("live.fairway.test.", client); got != first.Host || !strings.Contains(got, first.Provider) {
				t.Errorf("%s: DNS says %s, decide says %s", region, got, first.Host)
			}
			location, err := d.redirect("live", "main.m3u8?a=1&b=%2F", client)
			if err != nil || location != first.URL+"/main.m3u8?a=1&b=%2F" {
				t.Errorf("%s: redirect to %q (%v), want below %s", region, location, err, first.URL)
			}
			r, err := http.Get(location)
			if err != nil || r.StatusCode != 200 || r.Header.Get("X-CDN") != first.Provider {
				t.Errorf("%s: fetching %s: %v %v", region, location, r, err)
			}
			if err == nil {
				r.Body.Close()
			}
		}
	})

	// The bound: fall × every + timeout + 1 s, with the demo's figures.
	const bound = 2*time.Second + time.Second + time.Second
	for _, c := range []struct {
		fault  []string
		within time.Duration
	}{
		{[]string{"--blackhole"}, bound},
		{[]string{"--latency", "300ms"}, 15 * time.Second}, // by score: the figures must show it, the dwell must be over
		{[]string{"--error-rate", "1"}, bound},
		{[]string{"--throttle", "60kbps"}, 15 * time.Second},
	} {
		t.Run("fault "+strings.Join(c.fault, " "), func(t *testing.T) {
			before := everywhere(t, d)
			fault(append([]string{before["eu"], "--region", "eu"}, c.fault...)...)
			took := leftAt(t, d, "eu", before["eu"], c.within)
			t.Logf("eu left %s %v after the fault command returned", before["eu"], took.Round(10*time.Millisecond))
			after := everywhere(t, d)
			for region := range clientIn {
				if region != "eu" && after[region] != before[region] {
					t.Errorf("%s moved from %s to %s with eu's fault", region, before[region], after[region])
				}
			}
			fault(before["eu"], "--clear")
			back := until(t, 60*time.Second, "eu comes back", func() bool { return everywhere(t, d)["eu"] == before["eu"] })
			t.Logf("eu came back %v after the fault was cleared", back.Round(10*time.Millisecond))
			time.Sleep(7 * time.Second) // the ramp's last step and the dwell
		})
	}

	t.Run("the doors agree for thousands of clients", func(t *testing.T) { agree(t, d, 3000) })
	t.Run("realised shares are the intended ones", func(t *testing.T) { shares(t, d, temp) })
	t.Run("operators", func(t *testing.T) { operators(t, d, temp, best) })

	if code := p.stop(syscall.SIGINT, 10*time.Second); code != 0 {
		t.Errorf("Ctrl-C: exit %d", code)
	}
	if _, errs, code := run(t, temp, "demo", "fault", "alpha", "--clear"); code != 1 || !strings.Contains(errs, "no demo runs") {
		t.Errorf("fault without a demo: exit %d, %s", code, errs)
	}
}

// agree asks all doors for random clients. A client is asked again when the
// generation changed in between: where doors are processes of their own, one may
// be a moment behind.
func agree(t *testing.T, d *doors, clients int) {
	random := rand.New(rand.NewPCG(1, 2))
	asked, different := 0, 0
	for asked < clients {
		service := []string{"live", "vod"}[random.IntN(2)]
		client := randomClient(random)
		answer, err := d.decide(service, client)
		if err != nil {
			t.Fatal(err)
		}
		target := d.cname(service+".fairway.test.", client)
		location, err := d.redirect(service, "x", client)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := d.decide(service, client); err != nil || again.Generation != answer.Generation {
			continue
		}
		asked++
		first := answer.Endpoints[0]
		if target != first.Host || location != first.URL+"/x" {
			time.Sleep(500 * time.Millisecond)
			if again, err := d.decide(service, client); err != nil || again.Generation != answer.Generation {
				asked--
				continue
			}
			if different++; different < 5 {
				t.Errorf("client %v: DNS %s, redirect %s, decide %s", client, target, location, first.ID)
			}
		}
	}
	if different > 0 {
		t.Errorf("%d of %d clients got different answers", different, asked)
	}
}

// randomClient is IPv4 three times out of four.
func randomClient(r *rand.Rand) netip.Addr {
	if r.IntN(4) > 0 {
		return netip.AddrFrom4([4]byte{byte(1 + r.IntN(222)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
	}
	var b [16]byte
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	b[0] = 0x20 | b[0]&0x0f
	return netip.AddrFrom16(b)
}

// operators plays the commands against the running demo.
func operators(t *testing.T, d *doors, temp string, best map[string]string) {
	cdn := everywhere(t, d)["eu"]
	out, errs, code := run(t, temp, "explain", "--service", "live", "--client", clientIn["eu"].String())
	for _, want := range []string{"region eu", "MATCHED", "fairway.yaml:", "locality", "live/" + cdn + "/eu", "dns ", "redirect", "CNAME", "302 http://", "p50", "AGE"} {
		if !strings.Contains(strings.ToLower(out), strings.ToLower(want)) {
			t.Errorf("explain lacks %q (exit %d):\n%s%s", want, code, out, errs)
		}
	}
	if out, _, code := run(t, temp, "status"); code != 0 || !strings.Contains(out, "vod") || !strings.Contains(out, "healthy") {
		t.Errorf("status: exit %d\n%s", code, out)
	}
	if _, errs, code := run(t, temp, "drain", cdn); code != 2 && code != 1 || !strings.Contains(errs, "reason") {
		t.Errorf("drain without a reason: exit %d, %s", code, errs)
	}
	if _, errs, code := run(t, temp, "drain", "akamai", "--reason", "x", "--for", "1h"); code != 1 || !strings.Contains(errs, "alpha") {
		t.Errorf("drain of an unknown provider: exit %d, %s", code, errs)
	}
	out, errs, code = run(t, temp, "drain", cdn, "--region", "eu", "--reason", "ticket 4711", "--for", "1h", "-o", "json")
	if code != 0 || !strings.Contains(out, `"ticket 4711"`) {
		t.Fatalf("drain: exit %d\n%s%s", code, out, errs)
	}
	if now := everywhere(t, d); now["eu"] == cdn {
		t.Errorf("eu is still at %s right after the drain", cdn)
	}
	if out, _, _ := run(t, temp, "overrides"); !strings.Contains(out, "ticket 4711") {
		t.Errorf("overrides:\n%s", out)
	}
	if out, errs, code := run(t, temp, "undrain", cdn, "--region", "eu"); code != 0 {
		t.Errorf("undrain: exit %d\n%s%s", code, out, errs)
	}
	if _, errs, code := run(t, temp, "undrain", cdn); code != 1 || !strings.Contains(errs, "no override") {
		t.Errorf("undrain of nothing: exit %d, %s", code, errs)
	}
	until(t, time.Minute, "eu comes back after the drain", func() bool { return everywhere(t, d)["eu"] == cdn })
	if r, err := d.ask("fairway.test.", dns.TypeSOA, netip.Addr{}); err != nil || len(r.Answer) != 1 {
		t.Errorf("SOA: %v %v", r, err)
	}
}

// networkIn is an IPv6 allocation per region of the demo, wide enough for any
// number of client prefixes.
var networkIn = map[string]netip.Prefix{
	"na": netip.MustParsePrefix("2001:4860::/32"),
	"eu": netip.MustParsePrefix("2003:c0::/32"),
	"as": netip.MustParsePrefix("2400:4050::/32"),
	"sa": netip.MustParsePrefix("2804:14c::/40"),
}

// shares asks DNS for 10,000 clients per region: what they get is what the split
// says, within 2 points; and after a drain only its own clients moved.
func shares(t *testing.T, d *doors, temp string) {
	const clients = 10_000
	target := make(map[netip.Addr]string)
	random := rand.New(rand.NewPCG(3, 4))
	compared := 0
	for region, network := range networkIn {
		before, err := d.decide("vod", network.Addr())
		if err != nil || before.Region != region {
			t.Fatalf("%v is in region %q, want %s (%v)", network, before.Region, region, err)
		}
		got := make(map[string]float64)
		for range clients {
			client := within(random, network)
			target[client] = d.cname("vod.fairway.test.", client)
			got[target[client]] += 1. / clients
		}
		after, err := d.decide("vod", network.Addr())
		if err != nil || weights(after) != weights(before) {
			t.Logf("%s: the split changed while it was asked; not compared", region)
			continue
		}
		compared++
		for _, e := range before.Endpoints {
			if diff := got[e.Host] - e.Weight; diff > 0.02 || diff < -0.02 {
				t.Errorf("%s: %s got %.2f %% of the clients, want %.2f %%", region, e.Host, 100*got[e.Host], 100*e.Weight)
			}
		}
	}
	if compared < 2 {
		t.Errorf("only %d regions held still while they were asked", compared)
	}
	drained, before := secondOf(t, d)
	if drained == "" {
		t.Fatal("vod is not split in eu")
	}
	if out, errs, code := run(t, temp, "drain", drained, "--reason", "shares", "--for", "1h"); code != 0 {
		t.Fatalf("drain: exit %d\n%s%s", code, out, errs)
	}
	moved, kept := 0, 0
	for client, had := range target {
		if !networkIn["eu"].Contains(client) {
			continue
		}
		now := d.cname("vod.fairway.test.", client)
		switch lost := hostOf(before, drained); {
		case had == lost && now == lost:
			t.Fatalf("%v still gets %s", client, lost)
		case had == lost:
			moved++
		case now != had:
			t.Fatalf("%v moved from %s to %s, and only %s was drained", client, had, now, lost)
		default:
			kept++
		}
	}
	if moved < clients/10 {
		t.Errorf("%d clients moved: the drained endpoint had hardly any", moved)
	}
	t.Logf("drained %s: %d clients moved, %d kept theirs", drained, moved, kept)
	run(t, temp, "undrain", drained)
}

// secondOf is the runner-up of vod's split in eu: without it the best stays the
// best, so that nobody else has a reason to move.
func secondOf(t *testing.T, d *doors) (string, decided) {
	t.Helper()
	answer, err := d.decide("vod", networkIn["eu"].Addr())
	if err != nil {
		t.Fatal(err)
	}
	score := func(reason string) (s float64) {
		fmt.Sscanf(reason[strings.Index(reason, "score ")+6:], "%f", &s)
		return s
	}
	worst, at := 2.0, ""
	split := 0
	for _, e := range answer.Endpoints {
		if e.Weight > 0 {
			split++
			if s := score(e.Reason); s < worst {
				worst, at = s, e.ID
			}
		}
	}
	if split < 2 {
		return "", answer
	}
	return at, answer
}

func hostOf(answer decided, id string) string {
	for _, e := range answer.Endpoints {
		if e.ID == id {
			return e.Host
		}
	}
	return ""
}

func weights(answer decided) string {
	byID := make(map[string]float64)
	for _, e := range answer.Endpoints {
		byID[e.ID] = e.Weight
	}
	return fmt.Sprint(byID)
}

// within is a random address of a network.
func within(r *rand.Rand, network netip.Prefix) netip.Addr {
	b := network.Addr().As16()
	for i := network.Bits() / 8; i < 16; i++ {
		b[i] = byte(r.IntN(256))
	}
	return netip.AddrFrom16(b)
}
