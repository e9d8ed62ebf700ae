package main

import (
	"encoding/json"
	"errors"
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
	ask          string // what else its page asks the manifest door for
}

var (
	hlsJS     = player{kind: "hls.js", script: "hls.js/dist/hls.min.js", file: "main.m3u8"}
	dashJS    = player{kind: "dash.js", script: "dashjs/dist/modern/umd/dash.all.min.js", file: "main.mpd"}
	shakaHLS  = player{kind: "Shaka", script: "shaka-player/dist/shaka-player.compiled.js", file: "main.m3u8"}
	shakaDASH = player{kind: "Shaka", script: "shaka-player/dist/shaka-player.compiled.js", file: "main.mpd"}

	// Two at a time, which a machine with two processors plays well.
	steered = [][]player{{hlsJS, dashJS}, {shakaHLS, shakaDASH}}
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
// that leave the machine to the players: only from where players here are measured. An endpoint of which it does not answer a
// few serves all the same.
func (s *stage) apply(score string) {
	s.t.Helper()
	text := scoredBy(s.config, score)
	text = regexp.MustCompile(`(?m)^  (na|as|sa)-\d: .*\n`).ReplaceAllLiteralString(text, "")
	text = strings.ReplaceAll(text, "    on_all_down: all", "    on_all_down: all\n    degraded: allow")
	s.fairway("apply", write(s.t, s.temp, "applied.yaml", text), "--reason", "the test", "--yes")
}

// scoredBy is the demo's configuration with another score.
func scoredBy(config, score string) string {
	return regexp.MustCompile(`score: .*`).ReplaceAllLiteralString(config, "score: '"+score+"'")
}

// seat is where a player plays: those of a scenario play at the same time, each in a
// browser page of its own, so that what moves one moves the others.
type seat struct {
	*stage
	player
	tab
	service, session string
	from             string // the CDN that it played from when it was looked at last
	starts           int    // stalls of a buffer that was only filling
}

// seats opens players on a service once a CDN is the first for all of them: what moves
// clients may do so by and by. options are those of the kit's functions.
func (s *stage) seats(players []player, service, first string, options map[string]any) ([]*seat, error) {
	s.t.Helper()
	var all []*seat
	for _, p := range players {
		seat := &seat{stage: s, player: p, tab: tab{s.browser, p.String()}, service: service, session: newSession(p)}
		if _, ok := reached(patience, func() bool { return s.first(service, seat.session) == first }); !ok {
			return nil, fmt.Errorf("%s is to be the first of service %s for %s, and is not", first, service, p)
		}
		all = append(all, seat)
	}
	for _, seat := range all {
		say := map[string]any{
			"kind": seat.kind, "script": "/npm/" + seat.script, "sessionId": seat.session, "contentId": "test", "segment": 2,
			"manifest": fmt.Sprintf("http://%s/manifest/v1/%s/%s?s=%s%s", s.http, service, seat.file, seat.session, seat.ask),
		}
		for name, value := range options {
			say[name] = value
		}
		text, err := json.Marshal(say)
		if err != nil {
			s.t.Fatal(err)
		}
		seat.open(s.server.URL+"/stage/stage.html#"+url.PathEscape(string(text)), false)
	}
	return all, nil
}

// leave ends what plays.
func leave(seats []*seat) {
	for _, seat := range seats {
		seat.close()
	}
}

// each does something with every seat and tells all that went wrong.
func each(seats []*seat, f func(*seat) error) error {
	var failures []error
	for _, seat := range seats {
		if err := f(seat); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", seat.player, err))
		}
	}
	return errors.Join(failures...)
}

// begin waits until every player plays, from the CDN that is first, and has so many
// seconds in its buffer.
func begin(seats []*seat, first string, buffer float64) error {
	return each(seats, func(s *seat) error {
		v, err := s.watch("it plays and has a buffer", func(v *playback) bool { return v.Playing && v.Ahead > buffer })
		if err != nil {
			return err
		}
		if began := v.began(); began != first {
			return fmt.Errorf("it began at %s, and %s is the first", began, first)
		}
		s.from, s.starts = v.cdn(), len(v.Stalls)
		return nil
	})
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
func (s *seat) look() (playback, error) {
	var p playback
	err := s.run("window.state()", &p)
	switch {
	case err != nil:
		return p, err
	case p.Failure != "":
		return p, fmt.Errorf("it did not start: %s", p.Failure)
	case p.Fatal != "":
		return p, fmt.Errorf("it gave up: %s; %+v", p.Fatal, p.newest())
	}
	return p, nil
}

// newest is the playback with its newest requests only.
func (p playback) newest() playback {
	p.Requests = p.Requests[max(0, len(p.Requests)-8):]
	return p
}

// watch looks until something is so.
func (s *seat) watch(what string, so func(*playback) bool) (playback, error) {
	begin := time.Now()
	for {
		p, err := s.look()
		switch {
		case err != nil:
			return p, fmt.Errorf("waiting until %s: %w", what, err)
		case so(&p):
			return p, nil
		case time.Since(begin) > patience:
			return p, fmt.Errorf("not within %v: %s; the player: %+v", patience, what, p.newest())
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

// move waits until decisions have every session leave the CDN that its player plays
// from, and the players have followed, without a failed request; it tells how long each
// took.
func (s *stage) move(seats []*seat, why string) error {
	decided := make([]time.Time, len(seats))
	for i, left := 0, len(seats); left > 0; i = (i + 1) % len(seats) {
		seat := seats[i]
		if decided[i].IsZero() {
			if _, ok := reached(patience, func() bool { return s.first(seat.service, seat.session) != seat.from }); !ok {
				return fmt.Errorf("%s: no decision leaves %s", seat.player, seat.from)
			}
			decided[i] = time.Now()
			left--
		}
	}
	i := -1
	return each(seats, func(seat *seat) error {
		i++
		v, err := seat.watch("it plays from another CDN than "+seat.from, func(v *playback) bool { return v.Playing && v.cdn() != seat.from })
		if err != nil {
			return err
		}
		for _, r := range v.Requests {
			if r.Failed != "" {
				return fmt.Errorf("a request failed (%s) though nothing was wrong for it: %s", r.Failed, r.URL)
			}
		}
		// When the first segment came that was followed by none of the CDN that it left.
		since := v.Now
		for i := len(v.Requests) - 1; i >= 0 && cdnOf(v.Requests[i].URL) != seat.from; i-- {
			since = v.Requests[i].At
		}
		took := time.Since(decided[i]) - time.Duration((v.Now-since)*float64(time.Millisecond))
		s.t.Logf("%s: from %s to %s %.1f s after %s was decided; %d requests, %d stalls, lag %.0f ms, %.1f s ahead",
			seat.player, seat.from, v.cdn(), max(0, took).Seconds(), why, len(v.Requests), len(v.Stalls), v.Lag, v.Ahead)
		seat.from = v.cdn()
		// TTL with its jitter, a segment, and what a poll and a request take.
		if limit := promised(5*time.Second*115/100 + 2*time.Second + time.Second); took > limit {
			return fmt.Errorf("it followed after %v, want one TTL and one segment (%v)", took, limit)
		}
		return v.smooth(seat.starts)
	})
}

// tooLate is by how many milliseconds the timers of a page come late on a machine that is
// too busy to play: a stall there tells nothing of steering.
const tooLate = 1000

// smooth wants playback with no more stalls than it had before, unless the machine was what
// stalled it.
func (p *playback) smooth(before int) error {
	if len(p.Stalls) > before && p.Lag < tooLate {
		return fmt.Errorf("stalls %v, want %d (the page's timers were up to %.0f ms late)", p.Stalls, before, p.Lag)
	}
	return nil
}

// TestPlayersSteered: each player starts on the CDN that steering names first, and is
// moved from A to B by another policy and from B to C by what probes find, in the
// middle of a segment's playback and without a stall.
func TestPlayersSteered(t *testing.T) {
	s := newStage(t)
	for _, pair := range steered {
		t.Run(pair[0].kind, func(t *testing.T) { s.try(t, func() error { return s.moves(pair) }) })
	}
}

// try repeats a scenario, all of whose complaints go to a test of its own.
func (s *stage) try(t *testing.T, scenario func() error) {
	s.t, s.browser.t, s.doors.t = t, t, t
	tries(t, scenario)
}

// moves plays and has the players moved twice.
func (s *stage) moves(players []player) error {
	s.mend()
	s.apply(cheapest)
	seats, err := s.seats(players, "vod", "charlie", nil)
	defer leave(seats)
	if err != nil {
		return err
	}
	if err := begin(seats, "charlie", 8); err != nil {
		return err
	}
	s.apply(dearest)
	if err := s.move(seats, "the policy's change"); err != nil {
		return err
	}
	// Probes from Europe find the second one dead; for players on this machine it is
	// not, so that steering alone moves them.
	s.fairway("demo", "fault", "bravo", "--region", "eu", "--blackhole")
	return s.move(seats, "the fault")
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
