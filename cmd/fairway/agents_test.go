package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/api/client"
	"fairway/steering/vantage"
)

// surroundings is what vantages on this machine see: CDNs and references, which tell
// the vantages apart by their source address, and can be cut off from one.
type surroundings struct {
	mu     sync.Mutex
	cut    map[string]bool
	asked  map[string]int // requests to CDNs, by source
	listen []net.Listener
}

func newSurroundings(t *testing.T, servers int) *surroundings {
	s := &surroundings{cut: make(map[string]bool), asked: make(map[string]int)}
	for i := range servers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.listen = append(s.listen, l)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			from, _, _ := net.SplitHostPort(r.RemoteAddr)
			s.mu.Lock()
			cut := s.cut[from]
			if i < 2 {
				s.asked[from]++
			}
			s.mu.Unlock()
			if cut {
				<-r.Context().Done() // a black hole
				panic(http.ErrAbortHandler)
			}
		})}
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
	}
	return s
}

func (s *surroundings) set(from string, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut[from] = cut
}

func (s *surroundings) requests(from string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[from]
}

func (s *surroundings) port(i int) int { return s.listen[i].Addr().(*net.TCPAddr).Port }

// relay passes connections on until it is cut.
type relay struct {
	l  net.Listener
	to string

	mu   sync.Mutex
	cut  bool
	open map[net.Conn]bool
}

func newRelay(t *testing.T, to string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, to: to, open: make(map[net.Conn]bool)}
	t.Cleanup(func() { l.Close(); r.set(true) })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go r.pass(in)
		}
	}()
	return r
}

func (r *relay) pass(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer out.Close()
	r.mu.Lock()
	if r.cut {
		r.mu.Unlock()
		return
	}
	r.open[in], r.open[out] = true, true
	r.mu.Unlock()
	ended := make(chan struct{}, 2)
	go func() { io.Copy(out, in); ended <- struct{}{} }()
	go func() { io.Copy(in, out); ended <- struct{}{} }()
	<-ended
	r.mu.Lock()
	delete(r.open, in)
	delete(r.open, out)
	r.mu.Unlock()
}

func (r *relay) set(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	for c := range r.open {
		if cut {
			c.Close()
		}
	}
}

// TestAgents: vantages elsewhere that know control's address, their name and their
// token, and nothing else. One is cut off from control and loses nothing; one whose
// own network is cut says so and has no say; one that lies takes nothing down; one with
// a wrong clock is heard as if it were right; and none can speak for another.
func TestAgents(t *testing.T) {
	folder, temp, d := t.TempDir(), t.TempDir(), newDoors(t)
	world := newSurroundings(t, 5) // two CDNs and three references
	source := map[string]string{"ams": "127.0.1.1", "fra": "127.0.1.2", "lon": "127.0.1.3", "tyo": "127.0.1.4"}
	declared, tokens := "", []string(nil)
	for _, name := range []string{"ams", "fra", "lon", "tyo"} {
		out, errs, code := run(t, temp, "token", name, "--scopes", "measure", "--vantages", name, "--out", filepath.Join(folder, name+".token"))
		line := regexp.MustCompile(`(?m)^ +(` + name + `: \{.*\})$`).FindStringSubmatch(out)
		if code != 0 || line == nil {
			t.Fatalf("exit %d: %s%s", code, out, errs)
		}
		region := "eu"
		if name == "tyo" {
			region = "as"
		}
		declared += fmt.Sprintf("  %s: {region: %s, bind: %s}\n", name, region, source[name])
		tokens = append(tokens, line[1])
	}
	config := func(every string) string {
		return fmt.Sprintf(`
listen: {dns: ["%s"], http: ["%s"], api: ["%s"]}
api:
  token_file: token
  tokens: {%s}
vantages:
%sregions: {eu: {continents: [EU]}, as: {continents: [AS]}}
providers: {alpha: {}, bravo: {}}
probing: {allow: [127.0.0.0/8]}
references: {targets: ["http://127.0.0.1:%d/", "http://127.0.0.1:%d/", "http://127.0.0.1:%d/"], every: 1s, timeout: 2s}
probes: {up: {type: http, path: /probe, every: %s, timeout: 2s, stale_after: 30s}}
services:
  live:
    hostnames: [live.video.test]
    probe: up
    endpoints:
      - {provider: alpha, addresses: [127.0.0.1], url: "http://127.0.0.1:%d/live"}
      - {provider: bravo, addresses: [127.0.0.1], url: "http://127.0.0.1:%d/live"}
`, d.dns, d.http, d.api, strings.Join(tokens, ", "), declared, world.port(2), world.port(3), world.port(4), every, world.port(0), world.port(1))
	}
	path := write(t, folder, "fairway.yaml", config("500ms"))
	control := start(t, temp, "run", "--config", path, "--data", filepath.Join(folder, "data"), "--role", "control")
	way := newRelay(t, d.api)
	begin := func(name string) *process {
		return start(t, temp, "run", "--role", "probe", "--control", "http://"+way.l.Addr().String(), "--vantage", name,
			"--control-token-file", filepath.Join(folder, name+".token"), "--data", filepath.Join(folder, name))
	}
	begin("ams")
	begin("fra")
	lying := begin("lon")
	farAway(t, agentOptions{
		control: []string{"http://" + d.api}, vantages: []string{"tyo"}, tokenFile: filepath.Join(folder, "tyo.token"), data: filepath.Join(folder, "tyo"),
		now: func() time.Time { return time.Now().Add(-30 * time.Minute) },
	})

	until(t, patience, "control has made its token", func() bool { _, err := readToken(filepath.Join(folder, "token")); return err == nil })
	token, _ := readToken(filepath.Join(folder, "token"))
	node, err := client.New("http://"+d.api, token)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	verdicts := func(region string, want steering.Verdict) bool {
		state, err := node.State(ctx)
		if err != nil {
			return false
		}
		rows := 0
		for _, row := range state.State.Health.All {
			rows++
			if row[region].Verdict != want {
				return false
			}
		}
		return rows == 2
	}
	status := func(name string) (one api.VantageStatus) {
		s, err := node.Status(ctx)
		if err != nil {
			return one
		}
		for _, v := range s.Vantages {
			if v.Name == name {
				one = v
			}
		}
		return one
	}
	// A verdict of down would be in the history of them.
	neverDown := func(what string) {
		t.Helper()
		if strings.Contains(control.output.String(), "to=down") {
			t.Fatalf("%s: a verdict turned down\n%s", what, control.output)
		}
	}
	until(t, patience, "all is well everywhere", func() bool {
		return verdicts("eu", steering.Healthy) && verdicts("as", steering.Healthy) && status("lon").Agent != nil &&
			d.counted("ams") > 0 && d.counted("fra") > 0 && d.counted("lon") > 0
	})

	// A clock that is half an hour slow: it is measured, and times are right all the same,
	// or the only vantage of its region would have no fresh view.
	tyo := status("tyo")
	if off := tyo.Agent.ClockOffsetSeconds; off < 1790 || off > 1810 || tyo.LastSeenAgeSeconds > patience.Seconds() || tyo.LastSeen.After(time.Now().Add(10*time.Second)) {
		t.Errorf("its clock is %.3f s off, it was seen %.0f s ago", off, tyo.LastSeenAgeSeconds)
	}

	// Cut off from control: what is measured meanwhile arrives later, and counts once.
	before := d.counted("ams")
	way.set(true)
	cut := world.requests(source["ams"])
	until(t, patience, "it goes on measuring while it is cut off", func() bool { return world.requests(source["ams"]) > cut+20 })
	made := world.requests(source["ams"])
	way.set(false)
	until(t, patience, "what it kept arrives", func() bool { return d.counted("ams") >= made-cut+before })
	counted := d.counted("ams")
	if asked := world.requests(source["ams"]); counted > asked {
		t.Errorf("%d measurements of %d requests: some count twice", counted, asked)
	}
	until(t, patience, "it says that nothing is lost", func() bool {
		a := status("ams").Agent
		return a != nil && a.Dropped == 0 && a.Gaps == 0 && verdicts("eu", steering.Healthy)
	})
	neverDown("cut off from control")

	// Its own network is cut, with CDNs and references: it says so, and has no say.
	world.set(source["fra"], true)
	world.set(source["tyo"], true)
	until(t, patience, "both say that they are ill", func() bool {
		fra, tyo := status("fra").Condition, status("tyo").Condition
		return fra != nil && fra.Ill && tyo != nil && tyo.Ill
	})
	until(t, patience, "what only the ill one sees is unknown", func() bool { return verdicts("as", steering.Unknown) })
	until(t, patience, "one ill vantage of three changes no verdict", func() bool { return verdicts("eu", steering.Healthy) })
	until(t, patience, "the status says who is ill", func() bool {
		out, _, code := run(t, temp, "status", "--api", "http://"+d.api, "--token-file", filepath.Join(folder, "token"))
		return code == 0 && strings.Contains(out, "vantage fra says that it is ill: 3 of 3 references fail") && strings.Contains(out, "VANTAGE fra IS DOWN AS A WHOLE: it says that it is ill")
	})
	until(t, patience, "each endpoint's evidence says who is ill", func() bool {
		x, err := node.Explain(ctx, "live", steering.Query{Client: netip.MustParseAddr("5.9.1.2")})
		if err != nil {
			return false
		}
		for _, e := range x.Endpoints {
			if !strings.Contains(fmt.Sprintf("%+v", e), "vantage fra says that it is ill: 3 of 3 references fail") {
				return false
			}
		}
		return true
	})
	if page := d.scrape(); !strings.Contains(page, `fairway_vantage_ill{vantage="fra"} 1`) || !strings.Contains(page, `fairway_vantage_ill{vantage="ams"} 0`) {
		t.Error("the metrics do not say who is ill")
	}
	neverDown("two vantages cut off")
	world.set(source["fra"], false)
	world.set(source["tyo"], false)
	until(t, patience, "all is well again", func() bool {
		return !status("fra").Condition.Ill && verdicts("eu", steering.Healthy) && verdicts("as", steering.Healthy)
	})

	// One of three lies, with its own token: nothing turns down. And it can lie in its own
	// name only.
	lying.kill()
	secret, err := readToken(filepath.Join(folder, "lon.token"))
	if err != nil {
		t.Fatal(err)
	}
	liar, err := client.New("http://"+d.api, secret)
	if err != nil {
		t.Fatal(err)
	}
	lie := func(as string, sequence uint64, at time.Time) error {
		var batch []steering.Measurement
		for _, provider := range []string{"alpha", "bravo"} {
			batch = append(batch, steering.Measurement{
				Subject: steering.EndpointSubject("live/" + provider), Vantage: as, Region: "eu", Address: netip.MustParseAddr("127.0.0.1"), At: at, Outcome: steering.OutcomeTimeout, Detail: "a lie",
			})
		}
		_, err := liar.Report(ctx, vantage.Sender{Vantage: as, Boot: "liar", Sequence: sequence, Sent: time.Now()}, batch)
		return err
	}
	lies := status("lon").Agent.Batches
	for i := range 20 {
		if err := lie("lon", uint64(i+1), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var refused *api.Error
	if err := lie("fra", 1, time.Now()); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("it speaks for another: %v", err)
	}
	if _, err := liar.Status(ctx); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("it reads the status: %v", err)
	}
	heard := status("lon").Agent
	if heard.Batches < lies+20 || status("fra").Agent.Agents != 1 {
		t.Errorf("%d batches of lies were heard, before %d", heard.Batches, lies)
	}
	until(t, patience, "the lies are judged", func() bool {
		x, err := node.Explain(ctx, "live", steering.Query{Client: netip.MustParseAddr("5.9.1.2")})
		return err == nil && strings.Contains(x.Endpoints[0].Health.Evidence, "a lie")
	})
	if !verdicts("eu", steering.Healthy) {
		t.Error("one lying vantage of three changes a verdict")
	}
	neverDown("one of three lies")

	// A change of the configuration reaches agents without a restart.
	write(t, folder, "fairway.yaml", config("20s"))
	until(t, patience, "they measure at the new pace", func() bool {
		was := world.requests(source["ams"])
		time.Sleep(1200 * time.Millisecond)
		return world.requests(source["ams"]) == was
	})
}

// farAway runs an agent in this process until the test ends.
func farAway(t *testing.T, o agentOptions) {
	o.log = slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- runAgent(ctx, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// counted is how many measurements of a vantage the metrics count.
func (d *doors) counted(name string) int {
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)^fairway_probes_total\{.*vantage="`+name+`".*\} (\S+)$`).FindAllStringSubmatch(d.scrape(), -1) {
		n, _ := strconv.ParseFloat(m[1], 64)
		sum += int(n)
	}
	return sum
}
