package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fairway/cmd/fairway/demo"

	"fairway/tools/freeport"
	"github.com/miekg/dns"
)

// startWorld runs emulated CDNs in the test's own process and returns the
// configuration that steers them.
func startWorld(t *testing.T) (config string, d *doors) {
	t.Helper()
	world, d := startBreakable(t)
	return world.ConfigFile(), d
}

// startBreakable is startWorld for tests that break the CDNs.
func startBreakable(t *testing.T) (*demo.World, *doors) {
	t.Helper()
	d := newDoors(t)
	world, err := demo.New(demo.Options{Dir: t.TempDir(), DNS: d.dns, HTTP: d.http, API: d.api})
	if err != nil {
		t.Fatal(err)
	}
	if err := world.Listen(); err != nil {
		t.Fatal(err)
	}
	slower(t, world.ConfigFile(), "3s") // the emulated CDNs may run under the race detector
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { world.Run(ctx) })
	t.Cleanup(func() { cancel(); done.Wait() })
	if d.token, err = readToken(world.TokenFile()); err != nil {
		t.Fatal(err)
	}
	return world, d
}

// slower has the demo's configuration probe so often, and wait as long for answers.
func slower(t *testing.T, config, every string) {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	changed := regexp.MustCompile(`every: \w+, timeout: \w+, (rise: 2, fall: 2, quorum: 2, window:) \w+`).
		ReplaceAll(text, []byte("every: "+every+", timeout: "+every+", $1 15s"))
	if bytes.Equal(changed, text) {
		t.Fatal("the demo's configuration has no probes of endpoints")
	}
	write(t, filepath.Dir(config), filepath.Base(config), string(changed))
}

// TestKill9 kills the node again and again under a steady load: no answer is
// ever wrong, and answers are back within a second of each start, as promised.
func TestKill9(t *testing.T) {
	config, d := startWorld(t)
	// Nothing but a start may be what changes an answer: not how long a busy machine takes.
	slower(t, config, "5s")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(config), filepath.Base(config), scoredBy(string(text), cheapest))
	data, temp := t.TempDir(), t.TempDir()
	again := func() *process {
		return start(t, temp, "run", "--config", config, "--data", data, "--log", "warn")
	}
	p := again()
	d.answering("live.fairway.test.", "live", patience)
	tries(t, func() error { return killUnderLoad(t, d, &p, again) })
}

// settled waits until no region has moved for longer than the dwell, so that what
// moves afterwards was moved by something.
func settled(t *testing.T, d *doors) map[string]string {
	t.Helper()
	best, since := everywhere(t, d), time.Now()
	until(t, 3*patience, "no region moves", func() bool {
		if now := everywhere(t, d); different(now) < 2 || !maps.Equal(now, best) {
			best, since = now, time.Now()
		}
		return time.Since(since) > 8*time.Second
	})
	return best
}

// killUnderLoad kills and starts the node six times while each region's client
// asks for what it got before.
func killUnderLoad(t *testing.T, d *doors, p **process, again func() *process) error {
	const want = "charlie" // the cheapest
	since := time.Now()
	until(t, 3*patience, "all have "+want+", and have had it for three probes", func() bool {
		for _, cdn := range everywhere(t, d) {
			if cdn != want {
				since = time.Now()
			}
		}
		return time.Since(since) > 16*time.Second
	})
	load, stop := context.WithCancel(context.Background())
	var wrong, answers atomic.Int64
	var clients sync.WaitGroup
	for _, client := range clientIn {
		clients.Go(func() { loadDNS(load, d, client, want, &answers, &wrong) })
	}
	late := 0
	for range 6 {
		(*p).kill()
		began := time.Now()
		*p = again()
		d.answering("live.fairway.test.", "live", patience)
		took := time.Since(began)
		t.Logf("answers %v after the start", took.Round(time.Millisecond))
		if took > promised(time.Second) {
			late++
		}
		heard := answers.Load()
		until(t, patience, "answers of this one", func() bool { return answers.Load() > heard+100 })
		time.Sleep(time.Duration(time.Now().UnixNano()%500) * time.Millisecond)
	}
	stop()
	clients.Wait()
	t.Logf("%d answers, %d wrong", answers.Load(), wrong.Load())
	if wrong.Load() > 0 || late > 0 {
		return fmt.Errorf("%d of %d answers were wrong, %d of 6 starts took more than %v\n%s", wrong.Load(), answers.Load(), late, promised(time.Second), (*p).output)
	}
	return nil
}

// loadDNS asks for one client until the context ends and counts answers that
// name another CDN than the one that is best there.
func loadDNS(ctx context.Context, d *doors, client netip.Addr, want string, answers, wrong *atomic.Int64) {
	c := dns.Client{Timeout: 200 * time.Millisecond}
	for ctx.Err() == nil {
		m := new(dns.Msg)
		m.SetQuestion("live.fairway.test.", dns.TypeA)
		o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232}}
		o.Option = append(o.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24,
			Address: netip.PrefixFrom(client, 24).Masked().Addr().AsSlice()})
		m.Extra = append(m.Extra, o)
		if r, _, err := c.ExchangeContext(ctx, m, d.dns); err == nil {
			answers.Add(1)
			if r.Rcode != dns.RcodeSuccess || len(r.Answer) == 0 || !strings.Contains(r.Answer[0].String(), want) {
				wrong.Add(1)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// TestBrokenConfiguration: what broke on disk stops neither a running node nor
// a restart, and is said loudly.
func TestBrokenConfiguration(t *testing.T) {
	config, d := startWorld(t)
	data, temp := t.TempDir(), t.TempDir()
	token := filepath.Join(filepath.Dir(config), "token")
	p := start(t, temp, "run", "--config", config, "--data", data)
	d.answering("live.fairway.test.", "live", patience)
	good, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(good), "policies:", "polices:", 1)
	if broken == string(good) {
		t.Fatal("the demo's configuration has no policies")
	}
	write(t, filepath.Dir(config), filepath.Base(config), broken)
	until(t, patience, "the reload is refused", func() bool { return strings.Contains(p.output.String(), "reload refused") })
	if !strings.Contains(p.output.String(), `did you mean "policies"`) {
		t.Errorf("the finding is not told:\n%s", p.output)
	}
	if d.cname("live.fairway.test.", clientIn["eu"]) == "" {
		t.Error("no answer after a refused reload")
	}
	if !strings.Contains(d.scrape(), "fairway_config_last_reload_successful 0") {
		t.Error("the refused reload is not in the metrics")
	}
	p.kill()

	p = start(t, temp, "run", "--config", config, "--data", data)
	d.answering("live.fairway.test.", "live", patience)
	out, errs, code := run(t, temp, "status", "--api", d.api, "--token-file", token)
	if code != 0 || !strings.Contains(out, "REFUSED") {
		t.Errorf("status does not say that the last good configuration serves (exit %d):\n%s%s", code, out, errs)
	}
	write(t, filepath.Dir(config), filepath.Base(config), string(good))
	until(t, patience, "the mended file is taken up", func() bool { return strings.Contains(p.output.String(), "configuration loaded") })
	if out, _, _ := run(t, temp, "status", "--api", d.api, "--token-file", token); strings.Contains(out, "REFUSED") {
		t.Errorf("status still complains:\n%s", out)
	}
	if code := p.stop(syscall.SIGTERM, patience); code != 0 {
		t.Errorf("SIGTERM: exit %d", code)
	}
}

// TestReload: SIGHUP takes up a change, answers follow, and what an operator
// ordered survives restarts.
func TestReload(t *testing.T) {
	config, d := startWorld(t)
	data, temp := t.TempDir(), t.TempDir()
	token := filepath.Join(filepath.Dir(config), "token")
	p := start(t, temp, "run", "--config", config, "--data", data)
	d.answering("live.fairway.test.", "live", patience)
	text, _ := os.ReadFile(config)
	changed := strings.Replace(string(text), "live.fairway.test", "live2.fairway.test", 1)
	changed = strings.Replace(changed, "zones:\n  - name: fairway.test\n", "zones:\n  - name: fairway.test\n    file: more.zone\n", 1)
	write(t, filepath.Dir(config), "more.zone", "more A 192.0.2.1\n")
	write(t, filepath.Dir(config), filepath.Base(config), changed)
	p.cmd.Process.Signal(syscall.SIGHUP)
	until(t, patience, "the new hostname is served", func() bool { return d.cname("live2.fairway.test.", clientIn["eu"]) != "" })
	if got := d.cname("live.fairway.test.", clientIn["eu"]); got != "" {
		t.Errorf("the old hostname still gives %s", got)
	}
	write(t, filepath.Dir(config), "more.zone", "more A 192.0.2.2\n") // nobody tells the node
	until(t, patience, "the changed zone file is served", func() bool {
		reply, err := d.ask("more.fairway.test.", dns.TypeA, clientIn["eu"])
		return err == nil && len(reply.Answer) == 1 && reply.Answer[0].(*dns.A).A.String() == "192.0.2.2"
	})
	best := everywhere(t, d)["eu"]
	if out, errs, code := run(t, temp, "drain", best, "--reason", "test", "--for", "1h", "--api", d.api, "--token-file", token); code != 0 {
		t.Fatalf("drain: exit %d\n%s%s", code, out, errs)
	}
	p.kill()
	start(t, temp, "run", "--config", config, "--data", data)
	d.answering("live2.fairway.test.", "live", patience)
	if got := everywhere(t, d)["eu"]; got == best {
		t.Errorf("the drain of %s did not survive kill -9", best)
	}
}

// TestRoles runs each role in its own process over one data folder, as the
// systemd units do.
func TestRoles(t *testing.T) {
	config, d := startWorld(t)
	data, temp := t.TempDir(), t.TempDir()
	roleArgs := func(role string, more ...string) []string {
		return append([]string{"run", "--config", config, "--data", data, "--role", role}, more...)
	}
	other := func() string { return fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1")) }
	start(t, temp, roleArgs("control")...)
	start(t, temp, roleArgs("dns", "--api", other())...)
	start(t, temp, roleArgs("http", "--api", other())...)
	start(t, temp, roleArgs("probe", "--api", other())...)
	d.answering("live.fairway.test.", "live", patience)
	until(t, 2*patience, "the decisions reach both doors", func() bool {
		for _, client := range clientIn {
			answer, err := d.decide("live", client)
			if err != nil || d.cname("live.fairway.test.", client) != answer.Endpoints[0].Host {
				return false
			}
		}
		return different(everywhere(t, d)) >= 2
	})
	agree(t, d, 200)
}

// TestMetrics: promtool accepts the page, and the figures are there.
func TestMetrics(t *testing.T) {
	config, d := startWorld(t)
	start(t, t.TempDir(), "run", "--config", config, "--data", t.TempDir())
	d.answering("live.fairway.test.", "live", patience)
	figures := []string{
		"fairway_dns_queries_total", "fairway_decisions_total", "fairway_probes_total", "fairway_probe_phase_seconds_bucket",
		"fairway_health", "fairway_snapshot_generation", "fairway_snapshot_age_seconds", "fairway_config_last_reload_successful 1",
	}
	var page, missing string
	_, ok := reached(patience, func() bool {
		page, missing = d.scrape(), ""
		for _, want := range figures {
			if !strings.Contains(page, want) {
				missing += " " + want
			}
		}
		return missing == ""
	})
	if !ok {
		t.Errorf("not in the metrics:%s", missing)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed: run make test, or apt-get install prometheus")
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(page)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 200, "/api/v1/status": 401} {
		r, err := direct.Get("http://" + d.api + path)
		if err != nil || r.StatusCode != want {
			t.Errorf("GET %s: %v %v, want %d", path, r, err, want)
		} else {
			r.Body.Close()
		}
	}
}

// TestDrainsOnSIGTERM: not ready at once, answering until the end.
func TestDrainsOnSIGTERM(t *testing.T) {
	config, d := startWorld(t)
	text, _ := os.ReadFile(config)
	write(t, filepath.Dir(config), filepath.Base(config), strings.Replace(string(text), "drain: 0s", "drain: 10s", 1))
	p := start(t, t.TempDir(), "run", "--config", config, "--data", t.TempDir())
	d.answering("live.fairway.test.", "live", patience)
	p.cmd.Process.Signal(syscall.SIGTERM)
	until(t, 9*time.Second, "not ready any more", func() bool {
		r, err := direct.Get("http://" + d.api + "/readyz")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusServiceUnavailable
	})
	if d.cname("live.fairway.test.", clientIn["eu"]) == "" {
		t.Error("no DNS answer while draining")
	}
	select {
	case <-p.exited:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit %d", code)
		}
	case <-time.After(patience):
		t.Fatal("still running")
	}
}

// TestCheckCommand: exit codes and forms of output.
func TestCheckCommand(t *testing.T) {
	temp := t.TempDir()
	starter, _, code := run(t, temp, "init", "live.cdn-one.example", "live.cdn-two.example")
	if code != 0 {
		t.Fatalf("init: exit %d", code)
	}
	good := write(t, temp, "good.yaml", starter)
	bad := write(t, temp, "bad.yaml", strings.Replace(starter, "policies:", "polices:", 1))
	// 2 endpoints, one vantage, every 5 s, 64 KiB at most; twelve a minute each.
	dear := write(t, temp, "dear.yaml", starter+"\nprobing: {budget: {probes_per_minute: 20, mbps: 0.1}}\n")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"check", good}, 0, "ok"},
		{[]string{"check", bad}, 1, `did you mean "policies"`},
		{[]string{"check", good, bad}, 1, "would be refused"},
		{[]string{"check", good}, 0, "24 probes a minute (0.2 Mbit/s at most)"},
		{[]string{"check", dear}, 0, "24 probes a minute are more than probing.budget.probes_per_minute, 20: raise every, or the budget"},
		{[]string{"check", dear}, 0, "more than probing.budget.mbps, 0.1: they will wait"},
		{[]string{"check", "--strict", dear}, 1, "refused by --strict"},
		{[]string{"check", filepath.Join(temp, "missing.yaml")}, 1, "missing.yaml"},
		{[]string{"check"}, 2, ""},
		{[]string{"check", "--nope"}, 2, ""},
		{[]string{"check", "-o", "xml", good}, 2, ""},
	} {
		out, errs, code := run(t, temp, c.args...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("fairway %v: exit %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
	out, _, _ := run(t, temp, "check", "-o", "json", bad)
	var results []checkResult
	if err := json.Unmarshal([]byte(out), &results); err != nil || len(results) != 1 || results[0].Errors == 0 || results[0].Findings[0].Place.Line == 0 {
		t.Errorf("check -o json: %v\n%s", err, out)
	}
}

// TestWiringUnderRace runs a whole node in the test's own process, so that the
// race detector sees every part work together: reload, drain, and the end.
func TestWiringUnderRace(t *testing.T) {
	config, d := startWorld(t)
	slower(t, config, "10s") // the node's probes are under it, too
	n, err := newNode(nodeOptions{path: config, data: t.TempDir(), roles: roles{true, true, true, true}, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	reload, ended := make(chan os.Signal, 1), make(chan error, 1)
	go func() { ended <- n.Run(ctx, signals{reload: reload}) }()
	d.answering("live.fairway.test.", "live", patience)
	agree(t, d, 100)
	reload <- syscall.SIGHUP
	if out, errs, code := run(t, t.TempDir(), "drain", "alpha", "--reason", "r", "--for", "1m", "--api", d.api, "--token-file", filepath.Join(filepath.Dir(config), "token")); code != 0 {
		t.Errorf("drain: exit %d\n%s%s", code, out, errs)
	}
	if _, errs, code := run(t, t.TempDir(), "explain", "--service", "vod", "--client", "8.8.8.8", "--api", d.api, "--token-file", filepath.Join(filepath.Dir(config), "token")); code != 0 {
		t.Errorf("explain: exit %d\n%s", code, errs)
	}
	a := newApplier(t, config, d)
	a.fairway(0, "apply", a.withTTL(7), "--canary", "50%", "--watch", "1h", "--revert-if", "availability < 0.01", "--detach", "--yes")
	agree(t, d, 50)
	d.scrape()
	a.fairway(0, "canary", "promote")
	a.fairway(0, "rollback")
	a.fairway(0, "status")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
