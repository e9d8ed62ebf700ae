package main

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fairway/steering/plan"
)

// TestPlanComesTrue plans a change on a running node, applies it, and asks the
// same networks over DNS before and after: what the plan said has happened, all
// together and for each way from one endpoint to another.
//
// By the queries a plan counts just the networks that are asked again, so chance has
// no part in it, and it must be right to a point of the clients. Without them it
// counts other networks: there it must be right as far as two samples can agree.
func TestPlanComesTrue(t *testing.T) {
	config, d := startWorld(t)
	temp := t.TempDir()
	to := []string{"--api", d.api, "--token-file", filepath.Join(filepath.Dir(config), "token")}
	text, _ := os.ReadFile(config)
	// Fixed weights: what is compared must not depend on how busy this machine is.
	steady := edited(t, string(text), "split: best", "split: {weights: {alpha: 70, bravo: 30}}",
		"on_all_down: all", "on_all_down: all\n    degraded: allow", "fall: 2", "fall: 20")
	write(t, filepath.Dir(config), filepath.Base(config), steady)
	data := t.TempDir()

	// planned plans a text as the changed configuration.
	planned := func(text string, exit int, more ...string) *plan.Plan {
		t.Helper()
		changed := write(t, t.TempDir(), "fairway.yaml", text)
		out, errs, code := run(t, temp, append(append([]string{"plan", changed, "-o", "json", "--detailed-exitcode"}, more...), to...)...)
		var made plan.Plan
		if err := json.Unmarshal([]byte(out), &made); err != nil || code != exit {
			t.Fatalf("plan: exit %d, want %d: %v\n%s%s", code, exit, err, out, errs)
		}
		return &made
	}
	settled := func(text string) {
		t.Helper()
		quiet := 0
		until(t, 3*patience, "the node has settled", func() bool {
			time.Sleep(300 * time.Millisecond)
			if planned(text, 0).MovedAnyway == 0 {
				quiet++
			} else {
				quiet = 0
			}
			return quiet >= 5
		})
	}
	for _, c := range []struct {
		name   string
		change func(text string) string
	}{
		{"other weights, and a third CDN", func(text string) string {
			return edited(t, text, "{alpha: 70, bravo: 30}", "{alpha: 40, bravo: 35, charlie: 25}")
		}},
		{"an endpoint leaves the service", func(text string) string {
			begin := strings.Index(text, "      - {provider: bravo, pool: eu") // the first: live's
			end := strings.Index(text[begin+1:], "      - {provider")
			return text[:begin] + text[begin+1+end:]
		}},
	} {
		// A node that has just begun has no sample, and keeps all of the first 10,000
		// queries; of more it would draw a part.
		p := start(t, temp, "run", "--config", config, "--data", data)
		d.answering("live.fairway.test.", "live", patience)
		settled(steady)
		changed := c.change(steady)
		blind := planned(changed, 2)
		networks := networksFor(9000)
		before := d.everyone(networks)
		// Now the node has a sample of just those who will be asked again.
		informed := planned(changed, 2)
		inEurope, unasked := rowIn(t, informed, "live", "eu"), rowIn(t, blind, "live", "eu")
		if inEurope.Basis != plan.ByQueries || unasked.Basis == plan.ByQueries {
			t.Errorf("%s: planned by %s, and by %s before the first query; want by the queries only then", c.name, inEurope.Basis, unasked.Basis)
		}
		steady = changed
		loads := strings.Count(p.output.String(), "configuration loaded")
		write(t, filepath.Dir(config), filepath.Base(config), steady)
		p.cmd.Process.Signal(syscall.SIGHUP)
		until(t, patience, "the change is in force", func() bool { return strings.Count(p.output.String(), "configuration loaded") > loads })
		settled(steady)
		after := d.everyone(networks)

		check := func(what string, planned, really, tolerance float64) {
			t.Helper()
			t.Logf("%s: %s, planned %.2f %%, really %.2f %%, tolerance %.2f", c.name, what, 100*planned, 100*really, 100*tolerance)
			if math.Abs(planned-really) > tolerance {
				t.Errorf("%s: %s, %.2f %% were planned to move, %.2f %% did", c.name, what, 100*planned, 100*really)
			}
		}
		const point = 0.01
		all, _ := moved(networks, before, after, 0)
		really, ways := moved(networks, before, after, inEU)
		if really < 0.1 {
			t.Errorf("%s: %.2f %% moved in eu: too few to tell anything", c.name, 100*really)
		}
		check("of all", informed.Moved, all, point)
		check("in eu", inEurope.Moved, really, point)
		check("in eu without a query", unasked.Moved, really, chance(really, len(networks)*3/4, unasked.Asked))
		planned := make(map[way]float64)
		for _, m := range inEurope.Moves {
			planned[way{m.From, m.To}] = m.Share
		}
		for w := range planned {
			ways[w] += 0 // nobody may have gone there
		}
		for w := range ways {
			check("in eu from "+w.from+" to "+w.to, planned[w], ways[w], point)
		}
		p.stop(syscall.SIGTERM, patience)
	}
}

// everyone asks for live over DNS, for many networks at once.
func (d *doors) everyone(networks []netip.Addr) []string {
	d.t.Helper()
	answers := make([]string, len(networks))
	var askers sync.WaitGroup
	const parallel = 8
	for n := range parallel {
		askers.Go(func() {
			for i := n; i < len(networks); i += parallel {
				for range 5 { // a busy machine drops datagrams
					if answers[i] = d.cname("live.fairway.test.", networks[i]); answers[i] != "" {
						break
					}
				}
			}
		})
	}
	askers.Wait()
	for i, answer := range answers {
		if answer == "" {
			d.t.Fatalf("no answer for %v", networks[i])
		}
	}
	return answers
}

// chance is by how much two samples, of n and of m networks, may differ in a share:
// three standard deviations.
func chance(share float64, n, m int) float64 {
	return 3 * math.Sqrt(share*(1-share)*(1/float64(n)+1/float64(m)))
}

// way is from where to where a client moves: the ids of two endpoints.
type way struct{ from, to string }

// moved is the share of networks, all or those below one /8, whose answers
// differ, and how much of that goes which way.
func moved(networks []netip.Addr, before, after []string, in byte) (all float64, ways map[way]float64) {
	n, ways := 0.0, make(map[way]float64)
	for i, a := range networks {
		if in == 0 || a.As4()[0] == in {
			n++
			if before[i] != after[i] {
				all++
				ways[way{liveAt(before[i]), liveAt(after[i])}]++
			}
		}
	}
	for w := range ways {
		ways[w] /= n
	}
	return all / n, ways
}

// liveAt is the endpoint of service live that has a host name of the demo:
// POOL.CDN.ZONE.
func liveAt(host string) string {
	pool, rest, _ := strings.Cut(host, ".")
	cdn, _, _ := strings.Cut(rest, ".")
	return "live/" + cdn + "/" + pool
}

func rowIn(t *testing.T, p *plan.Plan, service, region string) plan.Row {
	t.Helper()
	for _, r := range p.Rows {
		if r.Service == service && r.Region == region {
			return r
		}
	}
	t.Fatalf("no row for %s in %s", service, region)
	return plan.Row{}
}

func edited(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in the configuration", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// inEU is the first octet of networks that are all in region eu: 53.0.0.0/8 is
// one German holder's.
const inEU = 53

// networksFor are client networks, most of them in Germany and the others in
// North America.
func networksFor(n int) []netip.Addr {
	r := rand.New(rand.NewPCG(11, 12))
	var list []netip.Addr
	seen := make(map[netip.Addr]bool)
	for len(list) < n {
		a := netip.AddrFrom4([4]byte{8, byte(r.UintN(128)), byte(r.UintN(256)), 0})
		if len(list)%4 != 0 {
			a = netip.AddrFrom4([4]byte{inEU, byte(r.UintN(256)), byte(r.UintN(256)), 0})
		}
		if !seen[a] {
			seen[a] = true
			list = append(list, a)
		}
	}
	return list
}

// TestPlanCommands: files, forms and exit codes, on one demo.
func TestPlanCommands(t *testing.T) {
	config, d := startWorld(t)
	temp := t.TempDir()
	to := []string{"--api", d.api, "--token-file", filepath.Join(filepath.Dir(config), "token")}
	start(t, temp, "run", "--config", config, "--data", t.TempDir(), "--log", "warn")
	d.answering("live.fairway.test.", "live", patience)
	d.cname("live.fairway.test.", clientIn["eu"])
	text, _ := os.ReadFile(config)
	changed := write(t, temp, "changed.yaml", edited(t, string(text), "split: best", "split: {within: 50%}"))
	bad := write(t, temp, "bad.yaml", edited(t, string(text), "split: best", "split: bset"))
	saved, picture, recorded := filepath.Join(temp, "saved.jsonl"), filepath.Join(temp, "plan.svg"), filepath.Join(temp, "recorded.jsonl")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{append([]string{"plan", changed, "--svg", picture, "--gb-month", "1_000_000"}, to...), 0, "split.kind: best → within"},
		{append([]string{"plan", changed, "--detailed-exitcode"}, to...), 2, "1 rule changed"},
		{append([]string{"plan", config, "--detailed-exitcode"}, to...), 0, "no change"},
		{append([]string{"plan", bad, "--detailed-exitcode"}, to...), 1, `"bset"`},
		{append([]string{"plan", "--save", saved}, to...), 0, "saved"},
		{[]string{"plan", changed, "--state", saved, "--detailed-exitcode"}, 2, "1 rule changed"},
		{[]string{"plan", changed, "--api", "127.0.0.1:9", "--detailed-exitcode"}, 1, "no Fairway node answers"},
		{[]string{"plan"}, 2, "--save"},
		{[]string{"plan", "--detailed-exitcode"}, 1, "--save"},
		{[]string{"plan", changed, "--state", changed}, 1, "entry 1"},
		{append([]string{"record", "--out", recorded, "--for", "4s", "--every", "500ms"}, to...), 0, "moments"},
		{[]string{"replay", recorded, "--config", changed}, 0, "as recorded"},
		{[]string{"replay", recorded, "-o", "json", "--config", changed, "--config", config}, 0, `"switches"`},
		{[]string{"replay", recorded, "--config", bad}, 1, `"bset"`},
		{[]string{"replay", recorded}, 2, "--config"},
		{[]string{"plan", changed, "--state", recorded}, 0, "1 rule changed"},
	} {
		out, errs, code := run(t, temp, c.args...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("fairway %v: exit %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
	if data, err := os.ReadFile(picture); err != nil || !strings.HasPrefix(string(data), "<svg ") {
		t.Errorf("the picture: %v", err)
	}
	for _, file := range []string{saved, recorded} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s holds a configuration and is %v: %v", file, info.Mode(), err)
		}
	}
}
