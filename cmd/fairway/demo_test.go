package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
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

// different counts the CDNs that are the best somewhere.
func different(best map[string]string) int {
	seen := make(map[string]bool)
	for _, cdn := range best {
		seen[cdn] = true
	}
	return len(seen)
}

// leftAt waits until all three doors have left a CDN in a region.
func leftAt(d *doors, within time.Duration, region, cdn string) (time.Duration, bool) {
	client := clientIn[region]
	return reached(max(within, patience), func() bool {
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
	var p *process
	var d *doors
	var temp string
	tries(t, func() error {
		if p != nil {
			p.stop(syscall.SIGINT, patience)
		}
		p, d, temp = startDemo(t)
		if took, _ := reached(patience, func() bool { return different(everywhere(t, d)) >= 2 }); took > promised(6*time.Second) {
			return fmt.Errorf("it took %v until two regions had different best CDNs, want %v", took, promised(6*time.Second))
		}
		return nil
	})
	settled(t, d)

	t.Run("every door tells the same and what it names can be fetched", func(t *testing.T) {
		for region, client := range clientIn {
			tries(t, func() error { return allDoors(d, region, client) })
		}
	})

	// The bound: fall × every + timeout + 1 s, with the demo's figures.
	bound := promised(3*1500*time.Millisecond + time.Second)
	byScore := promised(15 * time.Second) // the figures must show it
	for _, c := range []struct {
		fault  []string
		within time.Duration
	}{
		{[]string{"--blackhole"}, bound},
		{[]string{"--latency", "300ms"}, byScore},
		{[]string{"--error-rate", "1"}, bound},
		{[]string{"--throttle", "60kbps"}, byScore},
	} {
		t.Run("fault "+strings.Join(c.fault, " "), func(t *testing.T) {
			tries(t, func() error { return breakInEU(t, d, temp, c.within, c.fault...) })
		})
	}

	t.Run("the doors agree for thousands of clients", func(t *testing.T) { agree(t, d, 3000) })
	t.Run("so do those for players", func(t *testing.T) { agreeForPlayers(t, d, 100) })
	t.Run("realised shares are the intended ones", func(t *testing.T) { tries(t, func() error { return shares(t, d) }) })
	t.Run("a drain moves only its own clients", func(t *testing.T) { tries(t, func() error { return drainMoves(t, d, temp) }) })
	t.Run("operators", func(t *testing.T) { operators(t, d, temp) })

	if code := p.stop(syscall.SIGINT, patience); code != 0 {
		t.Errorf("Ctrl-C: exit %d", code)
	}
	if _, errs, code := run(t, temp, "demo", "fault", "alpha", "--clear"); code != 1 || !strings.Contains(errs, "no demo runs") {
		t.Errorf("fault without a demo: exit %d, %s", code, errs)
	}
}

// allDoors wants one answer from every door, and that it can be fetched.
func allDoors(d *doors, region string, client netip.Addr) error {
	answer, err := d.decide("live", client)
	if err != nil || answer.Region != region {
		return fmt.Errorf("client %v is in region %q, want %s (%v)", client, answer.Region, region, err)
	}
	first := answer.Endpoints[0]
	if got := d.cname("live.fairway.test.", client); got != first.Host || !strings.Contains(got, first.Provider) {
		return fmt.Errorf("%s: DNS says %s, decide says %s", region, got, first.Host)
	}
	location, err := d.redirect("live", "main.m3u8?a=1&b=%2F", client)
	if err != nil || location != first.URL+"/main.m3u8?a=1&b=%2F" {
		return fmt.Errorf("%s: redirect to %q (%v), want below %s", region, location, err, first.URL)
	}
	r, err := http.Get(location)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK || r.Header.Get("X-CDN") != first.Provider {
		return fmt.Errorf("%s: fetching %s: %s from %q", region, location, r.Status, r.Header.Get("X-CDN"))
	}
	return nil
}

// breakInEU breaks eu's CDN there, wants that all doors leave it in time and that
// other regions stay at it, and mends it until eu is back.
func breakInEU(t *testing.T, d *doors, temp string, within time.Duration, fault ...string) error {
	before := everywhere(t, d)
	command := func(args ...string) {
		if out, errs, code := run(t, temp, append([]string{"demo", "fault", before["eu"]}, args...)...); code != 0 {
			t.Fatalf("fault %v: exit %d\n%s%s", args, code, out, errs)
		}
	}
	command(append([]string{"--region", "eu"}, fault...)...)
	took, left := leftAt(d, within, "eu", before["eu"])
	after := everywhere(t, d)
	command("--clear")
	back, returned := reached(patience, func() bool { return everywhere(t, d)["eu"] == before["eu"] })
	if !returned {
		back += until(t, patience, "eu comes back, or its scores say why not", func() bool {
			return everywhere(t, d)["eu"] == before["eu"] || noBetter(t, temp, before["eu"])
		})
	}
	t.Logf("eu left %s %v after the fault command returned, and came back %v after it was cleared",
		before["eu"], took.Round(10*time.Millisecond), back.Round(10*time.Millisecond))
	if !left || took > within {
		return fmt.Errorf("eu left %s after %v, want %v", before["eu"], took, within)
	}
	for region := range clientIn {
		// A region that had another CDN has no reason to move, but may on a busy machine.
		if region != "eu" && before[region] == before["eu"] && after[region] != before[region] {
			return fmt.Errorf("%s moved from %s to %s with eu's fault", region, before[region], after[region])
		}
	}
	return nil
}

// noBetter tells that by what is measured a CDN is not better for eu by the margin than
// the one that eu has: on a machine that is so busy that a probe takes 90 ms more, the
// 33 ms between the two are too little for a voluntary move.
func noBetter(t *testing.T, temp, cdn string) bool {
	out, errs, code := run(t, temp, "explain", "--service", "live", "--client", clientIn["eu"].String(), "-o", "json")
	var x steering.Explanation
	if err := json.Unmarshal([]byte(out), &x); code != 0 || err != nil {
		t.Fatalf("explain: exit %d, %v\n%s%s", code, err, out, errs)
	}
	challenger := 0.0
	for _, e := range x.Endpoints {
		if e.ID == "live/"+cdn+"/eu" && e.Health.Verdict == steering.Healthy {
			challenger = e.Score
		}
	}
	if has := x.Endpoints[0].Score; challenger == 0 || challenger > 1.05*has {
		return false
	}
	t.Logf("eu stays at %s with a score of %.3f, %s has %.3f", x.Endpoints[0].ID, x.Endpoints[0].Score, cdn, challenger)
	return true
}

// agree asks all doors for random clients. A client that gets different answers is
// asked again for a while: where doors are processes of their own, one may be a
// moment behind.
func agree(t *testing.T, d *doors, clients int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	different := 0
	for range clients {
		service, client := []string{"live", "vod"}[random.IntN(2)], randomClient(random)
		var said string
		_, agreed := reached(patience, func() (same bool) {
			same, said = sameAnswer(t, d, service, client)
			return same
		})
		if !agreed {
			if different++; different < 5 {
				t.Errorf("client %v: %s", client, said)
			}
		}
	}
	if different > 0 {
		t.Errorf("%d of %d clients got different answers", different, clients)
	}
}

// sameAnswer asks every door for one client.
func sameAnswer(t *testing.T, d *doors, service string, client netip.Addr) (same bool, said string) {
	t.Helper()
	answer, err := d.decide(service, client)
	if err != nil {
		t.Fatal(err)
	}
	first, target := answer.Endpoints[0], d.cname(service+".fairway.test.", client)
	location, err := d.redirect(service, "x", client)
	if err != nil {
		t.Fatal(err)
	}
	return target == first.Host && location == first.URL+"/x", fmt.Sprintf("DNS %s, redirect %s, decide %s", target, location, first.ID)
}

// agreeForPlayers asks for random clients, every other one with a session, where
// players ask: all begin with the same CDN, without a session that of DNS, too.
func agreeForPlayers(t *testing.T, d *doors, clients int) {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 8))
	for i := range clients {
		service, client, session := []string{"live", "vod"}[random.IntN(2)], randomClient(random), ""
		if i%2 == 1 {
			session = fmt.Sprintf("viewer-%d", i)
		}
		var said map[string]string
		if _, agreed := reached(patience, func() (same bool) {
			said, same = d.forPlayers(service, client, session)
			return same
		}); !agreed {
			t.Errorf("service %s, client %v, session %q: %v", service, client, session, said)
		}
	}
}

// forPlayers is the pathway that each door begins with.
func (d *doors) forPlayers(service string, client netip.Addr, session string) (said map[string]string, same bool) {
	answer, err := d.decideFor(service, client, session)
	if err != nil || len(answer.Endpoints) == 0 {
		return map[string]string{"decide": fmt.Sprint(err)}, false
	}
	first := answer.Endpoints[0]
	said = map[string]string{"decide": first.Pathway}
	get := func(path, header string) (location, body string) {
		q, _ := http.NewRequest(http.MethodGet, "http://"+d.http+path, nil)
		q.Header.Set("X-Forwarded-For", client.String())
		q.Header.Set("Fairway-Session", header)
		r, err := direct.Do(q)
		if err != nil {
			return "", err.Error()
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		return r.Header.Get("Location"), string(text)
	}
	quoted := func(text, before string) string {
		_, text, _ = strings.Cut(text, before)
		text, _, _ = strings.Cut(text, `"`)
		return text
	}
	if location, _ := get("/r/"+service+"/x", session); location == first.URL+"/x" {
		said["redirect"] = first.Pathway
	} else {
		said["redirect"] = location
	}
	for _, protocol := range []string{"hls", "dash"} {
		_, body := get("/steer/v1/"+service+"/"+protocol+"?s="+session, "")
		said["steer "+protocol] = quoted(body, `"PATHWAY-PRIORITY":["`)
	}
	_, playlist := get("/manifest/v1/"+service+"/main.m3u8?s="+session, "")
	said["main.m3u8"] = quoted(playlist, `,PATHWAY-ID="`)
	_, mpd := get("/manifest/v1/"+service+"/main.mpd?s="+session, "")
	said["main.mpd"] = quoted(mpd, `defaultServiceLocation="`)
	if session == "" && d.cname(service+".fairway.test.", client) == first.Host {
		said["DNS"] = first.Pathway
	} else if session == "" {
		said["DNS"] = "another"
	}
	for _, pathway := range said {
		if pathway != first.Pathway {
			return said, false
		}
	}
	return said, true
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
func operators(t *testing.T, d *doors, temp string) {
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
	until(t, 3*patience, "eu comes back after the drain, or its scores say why not", func() bool {
		return everywhere(t, d)["eu"] == cdn || noBetter(t, temp, cdn)
	})
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

const askedPerRegion = 10_000

// shares asks DNS for 10,000 clients per region: what they get is what the split
// says, within 2 points.
func shares(t *testing.T, d *doors) error {
	random := rand.New(rand.NewPCG(3, 4))
	compared := 0
	for region, network := range networkIn {
		before, err := d.decide("vod", network.Addr())
		if err != nil || before.Region != region {
			t.Fatalf("%v is in region %q, want %s (%v)", network, before.Region, region, err)
		}
		got := make(map[string]float64)
		for range askedPerRegion {
			got[d.cname("vod.fairway.test.", within(random, network))] += 1. / askedPerRegion
		}
		after, err := d.decide("vod", network.Addr())
		if err != nil || weights(after) != weights(before) {
			continue // the split changed while it was asked
		}
		compared++
		for _, e := range before.Endpoints {
			if diff := got[e.Host] - e.Weight; diff > 0.02 || diff < -0.02 {
				return fmt.Errorf("%s: %s got %.2f %% of the clients, want %.2f %%", region, e.Host, 100*got[e.Host], 100*e.Weight)
			}
		}
	}
	if compared < 2 {
		return fmt.Errorf("only %d regions held still while they were asked", compared)
	}
	return nil
}

// drainMoves drains one of the endpoints that share eu: its clients move, and
// nobody else does.
func drainMoves(t *testing.T, d *doors, temp string) error {
	drained, before := secondOf(t, d)
	if drained == "" {
		return fmt.Errorf("vod is not split in eu: %+v", before)
	}
	random := rand.New(rand.NewPCG(5, 6))
	had := make(map[netip.Addr]string)
	for range askedPerRegion {
		client := within(random, networkIn["eu"])
		had[client] = d.cname("vod.fairway.test.", client)
	}
	if out, errs, code := run(t, temp, "drain", drained, "--reason", "shares", "--for", "1h"); code != 0 {
		t.Fatalf("drain: exit %d\n%s%s", code, out, errs)
	}
	defer run(t, temp, "undrain", drained)
	lost, moved, others := hostOf(before, drained), 0, 0
	for client, had := range had {
		switch now := d.cname("vod.fairway.test.", client); {
		case now == lost:
			t.Fatalf("%v still gets %s", client, lost)
		case had == lost:
			moved++
		case now != had:
			others++
		}
	}
	t.Logf("drained %s: %d of %d clients moved", drained, moved, len(had))
	if others > 0 || moved < len(had)/10 {
		return fmt.Errorf("%d clients moved that were not at %s, and %d that were", others, drained, moved)
	}
	return nil
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
