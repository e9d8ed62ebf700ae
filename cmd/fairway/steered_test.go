package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"fairway/cmd/fairway/demo"
)

// player is what is tested: a player with one of the protocols that it speaks.
type player struct {
	kind, script string
	file         string // of the manifest
}

var (
	hlsJS  = player{"hls.js", "hls.js/dist/hls.min.js", "main.m3u8"}
	dashJS = player{"dash.js", "dashjs/dist/modern/umd/dash.all.min.js", "main.mpd"}
)

func (p player) String() string { return p.kind + " " + strings.TrimPrefix(p.file, "main.") }

// stage is a running demo and a browser in which players play from it.
type stage struct {
	*doors
	t       *testing.T
	demo    *process
	temp    string
	config  string // the demo's own
	browser *browser
	server  *httptest.Server
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, browser: openBrowser(t)}
	s.demo, s.doors, s.temp = startDemo(t)
	found := regexp.MustCompile(`Configuration: (\S+)`).FindStringSubmatch(s.demo.output.String())
	if found == nil {
		t.Fatalf("the demo does not say where its configuration is:\n%s", s.demo.output)
	}
	text, err := os.ReadFile(found[1])
	if err != nil {
		t.Fatal(err)
	}
	s.config = string(text)
	mux := http.NewServeMux()
	mux.Handle("/", demo.Page())
	mux.Handle("/npm/", http.StripPrefix("/npm/", http.FileServer(http.Dir(playersFolder+"/node_modules"))))
	mux.Handle("/stage/", http.StripPrefix("/stage/", http.FileServer(http.Dir("testdata/players"))))
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	return s
}

// Scores that measurements do not change: what moves clients is what a test does, on
// a busy machine too.
const (
	cheapest = "cost"     // charlie, alpha, bravo
	dearest  = "1 - cost" // bravo, alpha, charlie
)

// apply puts the demo's configuration in force with another score, and with probes
// that a busy machine answers in time.
func (s *stage) apply(score string) {
	s.t.Helper()
	text := regexp.MustCompile(`score: .*`).ReplaceAllLiteralString(s.config, "score: "+score)
	text = strings.NewReplacer("every: 1s", "every: 2s", "timeout: 1s", "timeout: 2s").Replace(text)
	s.fairway("apply", write(s.t, s.temp, "applied.yaml", text), "--reason", "the test", "--yes")
}

// play opens a player on a service; options are those of the kit's functions.
func (s *stage) play(p player, service, session string, options map[string]any) {
	s.t.Helper()
	all := map[string]any{
		"kind": p.kind, "script": "/npm/" + p.script, "sessionId": session, "contentId": "test",
		"manifest": fmt.Sprintf("http://%s/manifest/v1/%s/%s?s=%s", s.http, service, p.file, session),
	}
	for name, value := range options {
		all[name] = value
	}
	text, err := json.Marshal(all)
	if err != nil {
		s.t.Fatal(err)
	}
	s.browser.open(s.server.URL+"/stage/stage.html#"+url.PathEscape(string(text)), false)
}

// playback is how a page's player is doing.
type playback struct {
	Now, Time, Lag, Ahead float64 // milliseconds of the page; seconds of media; milliseconds; seconds
	Playing               bool
	Failure, Fatal, Media string
	Stalls                []struct{ At, Ms float64 }
	Requests              []struct {
		At          float64
		URL, Failed string
	}
}

// cdns of the demo, by the addresses in the URLs of their endpoints.
var cdnAt = map[string]string{"127.0.10.1": "alpha", "127.0.20.1": "bravo", "127.0.30.1": "charlie"}

// cdn is where the newest segment came from.
func (p *playback) cdn() string { return cdnOf(p.Media) }

// began is where the first request to a CDN went.
func (p *playback) began() string {
	for i := range p.Requests {
		if cdn := cdnOf(p.Requests[i].URL); cdn != "" {
			return cdn
		}
	}
	return ""
}

func cdnOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return cdnAt[u.Hostname()]
}

// look asks the page.
func (s *stage) look() (playback, error) {
	var p playback
	err := s.browser.run("window.state()", &p)
	switch {
	case err != nil:
		return p, err
	case p.Failure != "":
		return p, fmt.Errorf("the player did not start: %s", p.Failure)
	case p.Fatal != "":
		return p, fmt.Errorf("the player gave up: %s; %+v", p.Fatal, p)
	}
	return p, nil
}

// watch looks until something is so.
func (s *stage) watch(what string, so func(*playback) bool) (playback, error) {
	begin := time.Now()
	for {
		p, err := s.look()
		switch {
		case err != nil:
			return p, fmt.Errorf("waiting until %s: %w", what, err)
		case so(&p):
			return p, nil
		case time.Since(begin) > patience:
			p.Requests = p.Requests[max(0, len(p.Requests)-8):]
			return p, fmt.Errorf("not within %v: %s; the player: %+v", patience, what, p)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// first is the CDN that a session is to play from, by the decision in force.
func (s *stage) first(service, session string) string {
	answer, err := s.decideFor(service, netip.MustParseAddr("127.0.0.1"), session)
	if err != nil || len(answer.Endpoints) == 0 {
		return ""
	}
	return answer.Endpoints[0].Provider
}

// leaves waits until a decision has a session leave a CDN and its player has done so,
// and says for which one, and how long the player took.
func (s *stage) leaves(service, session, cdn string) (to string, took time.Duration, err error) {
	if _, ok := reached(patience, func() bool { return s.first(service, session) != cdn }); !ok {
		return "", 0, fmt.Errorf("no decision leaves %s", cdn)
	}
	decided := time.Now()
	v, err := s.watch("it plays from another CDN than "+cdn, func(v *playback) bool { return v.Playing && v.cdn() != cdn })
	if err != nil {
		return "", 0, err
	}
	// When the first segment came that was followed by none of the CDN that it left.
	since := v.Now
	for i := len(v.Requests) - 1; i >= 0 && cdnOf(v.Requests[i].URL) != cdn; i-- {
		since = v.Requests[i].At
	}
	ago := time.Duration((v.Now - since) * float64(time.Millisecond))
	return v.cdn(), max(0, time.Since(decided)-ago), nil
}

// busy is how late a page's timers may come, in milliseconds, before the page is no
// witness to stalls: its buffers are seconds long, so what stalls it on a machine
// that keeps up is not the machine.
const busy = 1000

// smooth wants playback with no more stalls than it had before.
func (p *playback) smooth(before int) error {
	if len(p.Stalls) > before {
		return fmt.Errorf("stalls %v, want %d (the page's timers were up to %.0f ms late)", p.Stalls, before, p.Lag)
	}
	if p.Lag > busy {
		return fmt.Errorf("the page's timers were %.0f ms late: this machine does not keep up", p.Lag)
	}
	return nil
}

// TestPlayersSteered: each player starts on the CDN that steering names first, and
// is moved from A to B by another policy and from B to C by what probes find, in the
// middle of a segment's playback and without a stall.
func TestPlayersSteered(t *testing.T) {
	s := newStage(t)
	for _, p := range []player{hlsJS, dashJS} {
		t.Run(p.String(), func(t *testing.T) {
			s.t = t
			tries(t, func() error { return s.moves(p) })
		})
	}
}

// moves plays and has the player moved twice.
func (s *stage) moves(p player) error {
	s.mend()
	s.apply(cheapest)
	session := newSession(p)
	const first = "charlie"
	if _, ok := reached(patience, func() bool { return s.first("vod", session) == first }); !ok {
		return fmt.Errorf("%s is the cheapest, and not the first", first)
	}
	s.play(p, "vod", session, map[string]any{"segment": 2})
	v, err := s.watch("it plays", func(v *playback) bool { return v.Playing && v.Ahead > 8 })
	if err != nil {
		return err
	}
	if began := v.began(); began != first {
		return fmt.Errorf("it began at %s, and %s is the first", began, first)
	}
	starts := len(v.Stalls) // of a buffer that was only filling
	s.apply(dearest)
	second, byPolicy, err := s.leaves("vod", session, first)
	if err != nil {
		return err
	}
	// Probes from Europe find the second one dead; for players on this machine it is
	// not, so that steering alone moves them.
	s.fairway("demo", "fault", second, "--region", "eu", "--blackhole")
	third, byFault, err := s.leaves("vod", session, second)
	if err != nil {
		return err
	}
	if v, err = s.look(); err != nil {
		return err
	}
	for _, r := range v.Requests {
		if r.Failed != "" {
			return fmt.Errorf("a request failed (%s) though nothing was wrong for it: %s", r.Failed, r.URL)
		}
	}
	s.t.Logf("%s: from %s to %s %.1f s after the policy's change, to %s %.1f s after the fault was found; %d requests, %d stalls, lag %.0f ms, %.1f s ahead",
		p, first, second, byPolicy.Seconds(), third, byFault.Seconds(), len(v.Requests), len(v.Stalls), v.Lag, v.Ahead)
	if limit := 5*time.Second*115/100 + 2*time.Second + time.Second; byPolicy > limit || byFault > limit {
		return fmt.Errorf("%s followed after %v and %v, want one TTL and one segment (%v)", p, byPolicy, byFault, limit)
	}
	return v.smooth(starts)
}

// newSession is a session id that no test has used.
func newSession(p player) string {
	return fmt.Sprintf("%s-%d", strings.NewReplacer(" ", "-", ".", "").Replace(p.String()), time.Now().UnixNano())
}

// mend takes back what a scenario did to the CDNs.
func (s *stage) mend() {
	s.t.Helper()
	for _, cdn := range cdnAt {
		s.fairway("demo", "fault", cdn, "--clear")
	}
}

// fairway runs a command against the demo.
func (s *stage) fairway(args ...string) {
	s.t.Helper()
	if out, errs, code := run(s.t, s.temp, args...); code != 0 {
		s.t.Fatalf("fairway %v: exit %d\n%s%s", args, code, out, errs)
	}
}
