package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/tools/freeport"
)

// TestMain removes the program that the tests built.
func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is a running fairway.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	output *lockedBuffer
	exited chan struct{}
}

// lockedBuffer collects what a process says while tests read it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// binary is fairway as users build it, without the race detector even when the
// tests have it: what whole-program tests time is the program, not the detector.
// The detector watches the same wiring in TestWiringUnderRace.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "fairway-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "fairway")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build fairway: %v\n%s", err, out)
	}
	return path, nil
})

// command is fairway with arguments; temp is where it looks for the demo.
func command(t *testing.T, temp string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, "FAIRWAY_API=", "FAIRWAY_TOKEN_FILE=")
	return cmd
}

// start runs fairway until the test ends or stop is called.
func start(t *testing.T, temp string, args ...string) *process {
	t.Helper()
	return startCommand(t, command(t, temp, args...))
}

// startCommand is start with a command that is ready.
func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, output: &lockedBuffer{}, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.cmd.Wait(); close(p.exited) }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(cmd.Args, " "), p.output)
		}
	})
	return p
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

// stop sends a signal and waits for the end; it returns the exit code.
func (p *process) stop(signal syscall.Signal, within time.Duration) int {
	p.t.Helper()
	p.cmd.Process.Signal(signal)
	select {
	case <-p.exited:
	case <-time.After(within):
		p.t.Fatalf("still running %v after %v\n%s", within, signal, p.output)
	}
	return p.cmd.ProcessState.ExitCode()
}

// run runs fairway to its end and returns what it said and its exit code.
func run(t *testing.T, temp string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := command(t, temp, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	timer := time.AfterFunc(5*patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// doors is where a node answers, with what a test asks it.
type doors struct {
	t              *testing.T
	dns, http, api string // host:port
	token          string
}

func newDoors(t *testing.T) *doors {
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1")) }
	return &doors{t: t, dns: address(), http: address(), api: address()}
}

// ask sends one question with the client's prefix as ECS.
func (d *doors) ask(name string, qtype uint16, client netip.Addr) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	if client.IsValid() {
		family, bits := uint16(1), 24
		if client.Is6() {
			family, bits = 2, 56
		}
		prefix := netip.PrefixFrom(client, bits).Masked().Addr()
		o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232}}
		o.Option = append(o.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(bits), Address: prefix.AsSlice()})
		m.Extra = append(m.Extra, o)
	}
	c := dns.Client{Timeout: oneAnswer}
	r, _, err := c.Exchange(m, d.dns)
	return r, err
}

// cname is the CNAME target that the DNS door gives a client, "" when there is
// none.
func (d *doors) cname(name string, client netip.Addr) string {
	r, err := d.ask(name, dns.TypeA, client)
	if err != nil {
		return ""
	}
	for _, rr := range r.Answer {
		if c, ok := rr.(*dns.CNAME); ok {
			return strings.TrimSuffix(c.Target, ".")
		}
	}
	return ""
}

// stale tells whether the DNS door says of its answer that it may be stale: RFC 8914
// §4.4, Stale Answer, with the words for a node that hears of no news.
func (d *doors) stale(name string, client netip.Addr) bool {
	r, err := d.ask(name, dns.TypeA, client)
	if err != nil || r.IsEdns0() == nil {
		return false
	}
	return slices.ContainsFunc(r.IsEdns0().Option, func(o dns.EDNS0) bool {
		e, is := o.(*dns.EDNS0_EDE)
		return is && e.InfoCode == dns.ExtendedErrorCodeStaleAnswer && e.ExtraText == "the last known decision"
	})
}

// decided is the body of /decide/v1.
type decided struct {
	Service    string `json:"service"`
	Region     string `json:"region"`
	Generation uint64 `json:"generation"`
	TTL        int    `json:"ttl"`
	Endpoints  []struct {
		ID       string  `json:"id"`
		Provider string  `json:"provider"`
		Pool     string  `json:"pool"`
		Host     string  `json:"host"`
		URL      string  `json:"url"`
		Pathway  string  `json:"pathway"`
		Weight   float64 `json:"weight"`
		Reason   string  `json:"reason"`
	} `json:"endpoints"`
}

var direct = &http.Client{
	Timeout:       oneAnswer,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 16},
}

func (d *doors) decide(service string, client netip.Addr) (decided, error) {
	return d.decideFor(service, client, "")
}

// decideFor is decide for a viewer with a session; "" = none.
func (d *doors) decideFor(service string, client netip.Addr, session string) (decided, error) {
	var answer decided
	r, err := direct.Get(fmt.Sprintf("http://%s/decide/v1/%s?client=%s&session=%s", d.http, service, client, session))
	if err != nil {
		return answer, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("decide: HTTP %d", r.StatusCode)
	}
	return answer, json.NewDecoder(r.Body).Decode(&answer)
}

// redirect is the Location that the HTTP door gives a client.
func (d *doors) redirect(service, path string, client netip.Addr) (string, error) {
	q, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/r/%s/%s", d.http, service, path), nil)
	q.Header.Set("X-Forwarded-For", client.String())
	r, err := direct.Do(q)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	io.Copy(io.Discard, r.Body)
	if r.StatusCode != http.StatusFound {
		return "", fmt.Errorf("redirect: HTTP %d", r.StatusCode)
	}
	return r.Header.Get("Location"), nil
}

// until waits for something to become true. What waits for no promise of
// Fairway's own waits for patience, so that a busy machine passes as well.
func until(t *testing.T, within time.Duration, what string, true_ func() bool) time.Duration {
	t.Helper()
	took, ok := reached(within, true_)
	if !ok {
		t.Fatalf("not within %v: %s", within, what)
	}
	return took
}

const (
	patience = time.Minute
	// oneAnswer is how long one question may take: longer than a busy machine is away,
	// and short enough for one that is lost to be asked again.
	oneAnswer = 20 * time.Second
)

// promised is what a test holds a promise in seconds to. Machines that run tests for
// every change are slow and busy, and prove that it comes to pass, at most so many times
// later; the slow tests have the machine to themselves, and prove the promise.
func promised(d time.Duration) time.Duration { return slack * d }

// reached waits for something to become true and says how long it took.
func reached(within time.Duration, true_ func() bool) (took time.Duration, ok bool) {
	begin := time.Now()
	for {
		if true_() {
			return time.Since(begin), true
		}
		if time.Since(begin) > within {
			return within, false
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// tries repeats what a busy machine can spoil: a promise in seconds, or figures
// that no probe may disturb meanwhile. One whole success is the proof; when there
// is none, the last failure is told.
func tries(t *testing.T, f func() error) {
	t.Helper()
	const most = 6
	for n := 1; ; n++ {
		err := f()
		if err == nil {
			return
		}
		if n == most {
			t.Fatal(err)
		}
		t.Logf("try %d of %d: %v", n, most, err)
	}
}

// answering waits until both doors answer for a service.
func (d *doors) answering(name, service string, within time.Duration) time.Duration {
	d.t.Helper()
	return until(d.t, within, "both doors answer", func() bool {
		if d.cname(name, clientIn["eu"]) == "" {
			return false
		}
		_, err := d.decide(service, clientIn["eu"])
		return err == nil
	})
}

// clientIn is one client per region of the demo, by the embedded country data.
var clientIn = map[string]netip.Addr{
	"na": netip.MustParseAddr("8.8.8.8"),
	"eu": netip.MustParseAddr("5.9.1.2"),
	"as": netip.MustParseAddr("133.11.1.2"),  // University of Tokyo
	"sa": netip.MustParseAddr("200.160.2.3"), // NIC.br
}

// startDemo runs `fairway demo` on free ports and waits for its first answer.
func startDemo(t *testing.T) (*process, *doors, string) {
	t.Helper()
	temp, d := t.TempDir(), newDoors(t)
	p := start(t, temp, "demo", "--dns", d.dns, "--http", d.http, "--api", d.api, "--log", "info")
	d.answering("live.fairway.test.", "live", patience)
	return p, d, temp
}

// scrape reads the metrics page.
func (d *doors) scrape() string {
	r, err := direct.Get("http://" + d.api + "/metrics")
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	return string(text)
}

// write makes a file in a folder and returns its path.
func write(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
