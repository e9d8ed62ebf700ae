package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/cmd/fairway/demo"
	"fairway/steering"
	"fairway/steering/api"

	"fairway/tools/freeport"
	"github.com/miekg/dns"
)

// applier plays the commands about revisions against a running node. What it
// applies differs in the TTL of the steered names, which every answer shows.
type applier struct {
	*testing.T
	*doors
	config, temp string
	text         string // of the configuration on disk at first
}

func newApplier(t *testing.T, config string, d *doors) *applier {
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	return &applier{T: t, doors: d, config: config, temp: t.TempDir(), text: string(text)}
}

// withTTL is a file with another TTL than the 5 seconds on disk.
func (a *applier) withTTL(ttl int) string {
	return a.edited(fmt.Sprint("ttl", ttl), "ttl: 5s", fmt.Sprintf("ttl: %ds", ttl))
}

// edited is a file in which something stands in place of something else.
func (a *applier) edited(name, before, after string) string {
	a.Helper()
	if !strings.Contains(a.text, before) {
		a.Fatalf("the demo's configuration has no %q", before)
	}
	return write(a.T, a.temp, name+".yaml", strings.ReplaceAll(a.text, before, after))
}

// onDisk writes the node's own file.
func (a *applier) onDisk(ttl int) {
	write(a.T, filepath.Dir(a.config), filepath.Base(a.config), strings.ReplaceAll(a.text, "ttl: 5s", fmt.Sprintf("ttl: %ds", ttl)))
}

// fairway runs a command against the node and wants an exit code.
func (a *applier) fairway(want int, args ...string) string {
	a.Helper()
	out, errs, code := run(a.T, a.temp, append(args, "--api", a.api, "--token-file", filepath.Join(filepath.Dir(a.config), "token"))...)
	if code != want {
		a.Fatalf("fairway %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, errs)
	}
	return out + errs
}

// says runs a command and wants words in what it says.
func (a *applier) says(want int, words []string, args ...string) {
	a.Helper()
	out := a.fairway(want, args...)
	for _, word := range words {
		if !strings.Contains(out, word) {
			a.Errorf("fairway %s does not say %q:\n%s", strings.Join(args, " "), word, out)
		}
	}
}

// revisions is what the node keeps and has in force.
func (a *applier) revisions() (list api.RevisionList) {
	a.Helper()
	if err := json.Unmarshal([]byte(a.fairway(0, "revisions", "-o", "json")), &list); err != nil {
		a.Fatal(err)
	}
	return list
}

// ttl is that of a steered name for a client, 0 for no answer.
func (a *applier) ttl(client netip.Addr) int {
	r, err := a.ask("live.fairway.test.", dns.TypeA, client)
	if err != nil || len(r.Answer) == 0 {
		return 0
	}
	return int(r.Answer[0].Header().Ttl)
}

// controlled waits until the control node's API answers.
func (a *applier) controlled() {
	a.Helper()
	until(a.T, patience, "control answers", func() bool {
		r, err := direct.Get("http://" + a.api + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

func (a *applier) wantTTL(when string, want int) {
	a.Helper()
	if got := a.ttl(clientIn["eu"]); got != want {
		a.Errorf("%s: TTL %d, want %d", when, got, want)
	}
}

func (a *applier) eventuallyTTL(when string, want int) {
	a.Helper()
	until(a.T, patience, fmt.Sprintf("%s: TTL %d", when, want), func() bool { return a.ttl(clientIn["eu"]) == want })
}

// TestApply is the life of applied revisions beside the files on disk.
func TestApply(t *testing.T) {
	config, d := startWorld(t)
	a, data := newApplier(t, config, d), t.TempDir()
	node := func() *process {
		t.Helper()
		p := start(t, a.temp, "run", "--config", config, "--data", data)
		d.answering("live.fairway.test.", "live", patience)
		return p
	}
	p := node()
	a.wantTTL("from disk", 5)

	broken := a.edited("broken", "policies:", "polices:")
	line := 1 + strings.Count(a.text[:strings.Index(a.text, "\npolicies:")+1], "\n")
	a.says(1, []string{fmt.Sprintf("%s:%d:1: ", broken, line), `did you mean "policies"`, "nothing changed"}, "apply", broken, "--yes")
	var refused api.Error
	if out := a.fairway(1, "apply", broken, "--yes", "-o", "json"); json.Unmarshal([]byte(out), &refused) != nil || len(refused.Findings) < 1 || refused.Findings[0].Place.Line == 0 {
		t.Errorf("apply -o json of a broken file:\n%s", out)
	}
	if list := a.revisions(); len(list.Revisions) != 1 || list.Rollout.InForce.Number != 1 || list.Rollout.Source != api.SourceFile {
		t.Errorf("after a refused apply: %+v", list)
	}
	a.wantTTL("after a refused apply", 5)

	a.says(0, []string{"-    ttl: 5s", "+    ttl: 7s", "revision 2"}, "apply", a.withTTL(7), "--yes", "--author", "ann", "--reason", "ticket 4711")
	a.wantTTL("applied", 7)
	a.says(0, []string{"revision 2, applied by ann", "ticket 4711"}, "status")
	a.says(0, []string{"unchanged"}, "apply", a.withTTL(7), "--yes")
	a.says(1, []string{"made for revision 1", "by ann", "ticket 4711"}, "apply", a.withTTL(8), "--yes", "--expect", "1")
	a.wantTTL("after a conflict", 7)
	a.says(2, []string{"--yes"}, "apply", a.withTTL(8), "-o", "json")
	a.says(2, []string{"nobody is there", "--yes"}, "apply", a.withTTL(8)) // standard input is /dev/null

	p.kill()
	p = node()
	a.wantTTL("after kill -9", 7)
	a.says(0, []string{"revision 2, applied by ann"}, "status")
	p.cmd.Process.Signal(syscall.SIGHUP)
	until(t, patience, "SIGHUP is answered", func() bool { return strings.Contains(p.output.String(), "the files on disk do not serve") })
	a.wantTTL("after SIGHUP with the same files on disk", 7)

	a.fairway(0, "apply", a.withTTL(8), "--yes", "--expect", "2")
	a.says(0, []string{"-    ttl: 7s", "+    ttl: 8s"}, "diff", "2", "3")
	a.says(0, []string{"no difference"}, "diff", "3", a.withTTL(8))
	a.says(1, []string{"revision 99"}, "diff", "2", "99")
	a.says(0, []string{"revision 4"}, "rollback", "--reason", "oops")
	a.wantTTL("rolled back", 7)
	a.fairway(0, "rollback", "3")
	a.wantTTL("forth again", 8)
	a.says(0, []string{"(the files of 2) oops", "in force"}, "revisions")
	a.fairway(1, "rollback", "77")
	a.fairway(2, "rollback", "x")

	a.onDisk(9)
	a.eventuallyTTL("the files on disk changed", 9)
	until(t, patience, "it is said loudly", func() bool { return strings.Contains(p.output.String(), "the files on disk have changed") })
	until(t, patience, "status tells it too", func() bool { return strings.Contains(a.fairway(0, "status"), "from the files on disk") })
	a.fairway(0, "rollback")
	a.wantTTL("rolled back over changed files", 8)
	p.kill()
	a.onDisk(11)
	node()
	a.wantTTL("files changed while the node was down", 11)
	a.says(0, []string{"from the files on disk"}, "status")
}

// TestBrokenFilesBesideAnAppliedRevision: files that broke on disk stop neither
// an apply nor a restart.
func TestBrokenFilesBesideAnAppliedRevision(t *testing.T) {
	config, d := startWorld(t)
	a, data := newApplier(t, config, d), t.TempDir()
	p := start(t, a.temp, "run", "--config", config, "--data", data)
	d.answering("live.fairway.test.", "live", patience)
	write(t, filepath.Dir(config), filepath.Base(config), "polices: {}\n")
	until(t, patience, "the reload is refused", func() bool { return strings.Contains(p.output.String(), "reload refused") })
	a.says(0, []string{"REFUSED"}, "status")
	a.fairway(0, "apply", a.withTTL(7), "--yes")
	a.wantTTL("applied over broken files", 7)
	if out := a.fairway(0, "status"); strings.Contains(out, "REFUSED") || !strings.Contains(out, "revision 2, applied") {
		t.Errorf("status after the apply:\n%s", out)
	}
	p.kill()
	start(t, a.temp, "run", "--config", config, "--data", data)
	d.answering("live.fairway.test.", "live", patience)
	a.wantTTL("after a restart", 7)
}

// TestCanary: the share shows at both doors over real sockets, in every role's
// own process, through a restart, until it is promoted.
func TestCanary(t *testing.T) {
	config, d := startWorld(t)
	a, data := newApplier(t, config, d), t.TempDir()
	other := func() string { return fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1")) }
	role := func(name string, more ...string) *process {
		return start(t, a.temp, append([]string{"run", "--config", config, "--data", data, "--role", name}, more...)...)
	}
	control := role("control")
	a.controlled()
	role("dns", "--api", other())
	role("http", "--api", other())
	role("probe", "--api", other())
	d.answering("live.fairway.test.", "live", patience)

	random := rand.New(rand.NewPCG(5, 6))
	clients := make([]netip.Addr, 1500)
	for i := range clients {
		clients[i] = randomClient(random)
	}
	// share counts the clients that get the new TTL by DNS, and wants that a part
	// of them gets it by HTTP as well.
	share := func(count int) (float64, error) {
		got := 0
		for i, client := range clients[:count] {
			ttl := a.ttl(client)
			if ttl != 5 && ttl != 7 {
				return 0, fmt.Errorf("%v: TTL %d", client, ttl)
			}
			if i < 100 {
				if answer, err := d.decide("live", client); err != nil || answer.TTL != ttl {
					return 0, fmt.Errorf("%v: TTL %d by DNS, %d by HTTP (%v)", client, ttl, answer.TTL, err)
				}
			}
			if ttl == 7 {
				got++
			}
		}
		return float64(got) / float64(count), nil
	}
	// shows waits until a share of the clients sees the new TTL: the doors are
	// processes of their own and follow in their own time.
	shows := func(when string, count int, low, high float64) {
		t.Helper()
		last := "nothing was asked"
		_, ok := reached(patience, func() bool {
			got, err := share(count)
			last = fmt.Sprintf("%.2f %% of the clients (%v)", 100*got, err)
			return err == nil && got >= low && got <= high
		})
		if !ok {
			t.Errorf("%s: seen by %s, want %g to %g", when, last, low, high)
		}
	}
	a.says(0, []string{"on trial for 5.0 %"}, "apply", a.withTTL(7), "--canary", "5%", "--yes")
	shows("a canary of 5 %", len(clients), 0.03, 0.07)
	a.says(1, []string{"on trial", "abort"}, "apply", a.withTTL(8), "--yes")
	a.says(0, []string{"CANARY: revision 2"}, "status")

	control.kill()
	role("control")
	until(t, patience, "control is back", func() bool {
		_, _, code := run(t, a.temp, "status", "--api", d.api, "--token-file", filepath.Join(filepath.Dir(config), "token"))
		return code == 0
	})
	a.fairway(0, "apply", a.withTTL(7), "--canary", "0.5", "--yes")
	shows("a canary of 50 %", len(clients), 0.45, 0.55)
	a.fairway(0, "canary", "abort", "--reason", "enough")
	shows("after the abort", 100, 0, 0)
	a.fairway(0, "apply", a.withTTL(7), "--canary", "5%", "--yes")
	a.fairway(0, "canary", "promote")
	shows("after the promotion", 100, 1, 1)
	a.fairway(1, "canary", "promote")
	if list := a.revisions(); list.Rollout.Source != api.SourceApplied || list.Rollout.Canary != nil || list.Rollout.InForce.Parent != 1 {
		t.Errorf("after the promotion: %+v", list.Rollout)
	}
}

// whole tells that no split with a CDN in it shows the CDN down, or with more failures than
// a busy machine has.
func (a *applier) whole(cdn string) bool {
	a.Helper()
	var status api.Status
	if err := json.Unmarshal([]byte(a.fairway(0, "status", "-o", "json")), &status); err != nil {
		a.Fatal(err)
	}
	for _, service := range status.Services {
		for _, region := range service.Regions {
			for _, s := range region.Splits {
				if strings.Contains(s.Endpoint, cdn) && (s.Verdict == steering.Down || s.Availability < 0.8) {
					return false
				}
			}
		}
	}
	return true
}

// TestAutomaticRevert: a revision that leaves clients with one CDN is taken back
// when that CDN breaks, also when the node is killed in the middle of the watch.
func TestAutomaticRevert(t *testing.T) {
	world, d := startBreakable(t)
	a, data := newApplier(t, world.ConfigFile(), d), t.TempDir()
	node := func() *process {
		p := start(t, a.temp, "run", "--config", a.config, "--data", data)
		d.answering("live.fairway.test.", "live", patience)
		return p
	}
	p := node()
	until(t, patience, "measured", func() bool { return strings.Contains(a.fairway(0, "status"), "healthy") })
	const rule = "score: 0.5 * latency + 0.2 * availability + 0.3 * throughput\n"
	bravoOnly := a.edited("bravo-only", rule, "allow: {providers: [bravo]}\n        "+rule)
	watch := []string{"--watch", "10m", "--revert-if", "availability < 0.5", "--yes"}

	// The whole revision, with the command waiting for the end.
	done := make(chan string, 1)
	go func() {
		out, errs, code := run(t, a.temp, append([]string{"apply", bravoOnly, "--api", d.api, "--token-file", world.TokenFile()}, watch...)...)
		done <- fmt.Sprintf("exit %d\n%s%s", code, out, errs)
	}()
	onBravo := func() bool { return strings.Contains(d.cname("live.fairway.test.", clientIn["eu"]), "bravo") }
	until(t, patience, "only bravo is left", func() bool {
		answer, err := d.decide("live", clientIn["eu"])
		return err == nil && onBravo() && !strings.Contains(fmt.Sprint(answer.Endpoints), "alpha")
	})
	breakBravo := func(broken bool) {
		t.Helper()
		if err := world.SetFault(demo.Fault{CDN: "bravo", Blackhole: broken, Clear: !broken}); err != nil {
			t.Fatal(err)
		}
	}
	breakBravo(true)
	began := time.Now()
	var said string
	select {
	case said = <-done:
	case <-time.After(2 * patience):
		t.Fatalf("not reverted; the node said:\n%s", p.output)
	}
	t.Logf("reverted %v after the fault", time.Since(began).Round(100*time.Millisecond))
	for _, want := range []string{"exit 1", "HOLDS, 1 of 3", "REVERTED", "availability < 0.5 held 3 times", "revision 3"} {
		if !strings.Contains(said, want) {
			t.Errorf("the command does not say %q:\n%s", want, said)
		}
	}
	if !strings.Contains(p.output.String(), "REVERTING") {
		t.Error("the log does not say it")
	}
	until(t, patience, "clients are led away from bravo", func() bool { return !onBravo() && d.cname("live.fairway.test.", clientIn["eu"]) != "" })
	a.says(0, []string{"REVERTED by fairway", "(the files of 1) reverted by itself"}, "revisions")

	// A canary, with the node killed in between.
	breakBravo(false)
	until(t, 3*patience, "bravo is whole again, and its failures leave the window", func() bool { return a.whole("bravo") })
	a.says(0, []string{"on trial for 30 %"}, append([]string{"apply", bravoOnly, "--canary", "30%", "--detach"}, watch...)...)
	p.kill()
	p = node()
	a.says(0, []string{"CANARY", "WATCHED"}, "status")
	breakBravo(true)
	until(t, 2*patience, "the canary is taken back after kill -9", func() bool { return a.revisions().Rollout.Canary == nil })
	if ended := a.revisions().Rollout.Ended; ended == nil || ended.How != "reverted" || ended.By != "fairway" {
		t.Errorf("ended %+v", ended)
	}
	p.kill()
	node()
	if list := a.revisions(); list.Rollout.Canary != nil || list.Rollout.InForce.Number != 3 {
		t.Errorf("after one more restart: %+v", list.Rollout)
	}
}
