//go:build slow

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fairway/steering/api"
	"fairway/steering/rum"
)

var (
	videoHLS  = player{kind: "video.js", script: "video.js/dist/video.min.js", file: "main.m3u8"}
	videoDASH = player{kind: "video.js", script: "video.js/dist/video.min.js", file: "main.mpd"}

	all = append(slices.Clone(steered), []player{videoHLS, videoDASH})
)

// TestVideoJSSteered: video.js is moved as all others are.
func TestVideoJSSteered(t *testing.T) {
	s := newStage(t)
	s.try(t, func() error { return s.moves([]player{videoHLS, videoDASH}) })
}

// TestCohortsSteered: players are moved as well by steering servers whose answers caches
// may share.
func TestCohortsSteered(t *testing.T) {
	s := newStage(t)
	s.config = strings.ReplaceAll(s.config, "    manifest:\n", "    manifest:\n      steering: shared\n")
	for _, pair := range all {
		t.Run(pair[0].kind, func(t *testing.T) { s.try(t, func() error { return s.moves(pair) }) })
	}
}

// TestClones: a CDN that is configured while players play becomes a pathway of those
// that can make one from a clone, and they play from it. To those that cannot the
// clones are no harm.
func TestClones(t *testing.T) {
	s := newStage(t)
	cloning := func(p player) player { p.ask = "&clones"; return p }
	for _, c := range []struct {
		name    string
		follow  bool
		players []player
	}{
		{"made", true, []player{cloning(hlsJS), cloning(dashJS)}},
		{"without effect", false, []player{cloning(shakaHLS), cloning(videoHLS)}},
	} {
		t.Run(c.name, func(t *testing.T) { s.try(t, func() error { return s.joins(c.players, c.follow) }) })
	}
}

// joins has everybody play while there is no charlie, adds it, and wants it played from
// by those who can.
func (s *stage) joins(players []player, follow bool) error {
	s.mend()
	whole := s.config
	defer func() { s.config = whole }()
	s.config = regexp.MustCompile(`(?m)^ +- \{provider: charlie, .*\n.*\}\n`).ReplaceAllLiteralString(whole, "")
	s.apply(cheapest)
	seats, err := s.seats(players, "vod", "alpha", nil)
	defer leave(seats)
	if err != nil {
		return err
	}
	if err := begin(seats, "alpha", 8); err != nil {
		return err
	}
	s.config = whole
	s.apply(cheapest)
	if follow {
		if err := s.move(seats, "a CDN's arrival"); err != nil {
			return err
		}
		return each(seats, func(s *seat) error {
			if s.from != "charlie" {
				return fmt.Errorf("it plays from %s", s.from)
			}
			return nil
		})
	}
	if _, ok := reached(patience, func() bool { return s.first("vod", seats[0].session) == "charlie" }); !ok {
		return errors.New("charlie is never the first")
	}
	return each(seats, func(s *seat) error {
		told, err := s.polls()
		if err != nil {
			return err
		}
		_, err = s.watch("it has heard of charlie, and plays on from alpha", func(v *playback) bool {
			now, err := s.polls()
			return err == nil && now > told+2 && v.Playing && v.Ahead > 8 && v.cdn() == "alpha"
		})
		return err
	})
}

// polls counts the steering manifests that the page has asked for.
func (s *seat) polls() (n int, err error) {
	err = s.run("performance.getEntriesByType('resource').filter((e) => e.name.includes('/steer/v1/')).length", &n)
	return n, err
}

// TestSegmentsRedirected: where a manifest leads to the redirect door, players that are
// not steered are moved with the next segment, and what becomes of the CDN that they were
// on is nothing to them.
func TestSegmentsRedirected(t *testing.T) {
	s := newStage(t)
	s.config = strings.ReplaceAll(s.config, "    manifest:\n", "    manifest:\n      steering: redirect\n")
	s.try(t, func() error { return s.redirects([]player{dashJS, shakaDASH}) })
}

func (s *stage) redirects(players []player) error {
	s.mend()
	s.apply(cheapest)
	seats, err := s.seats(players, "vod", "charlie", nil)
	defer leave(seats)
	if err != nil {
		return err
	}
	if err := each(seats, func(s *seat) error {
		v, err := s.watch("it plays and has a buffer", func(v *playback) bool { return v.Playing && v.Ahead > 8 })
		s.starts = len(v.Stalls)
		return err
	}); err != nil {
		return err
	}
	s.apply(dearest)
	// Segments come without a session: this machine's clients are led together.
	if _, ok := reached(patience, func() bool { return s.first("vod", "") == "bravo" }); !ok {
		return errors.New("bravo is never the first")
	}
	if err := each(seats, func(s *seat) error {
		v, err := s.look()
		if err != nil {
			return err
		}
		had := len(v.Requests)
		_, err = s.watch("it has asked for what follows", func(v *playback) bool { return len(v.Requests) >= had+6 })
		return err
	}); err != nil {
		return err
	}
	s.fairway("demo", "fault", "charlie", "--blackhole")
	return each(seats, func(s *seat) error {
		v, err := s.look()
		if err != nil {
			return err
		}
		had := v.Time + v.Ahead
		if v, err = s.watch("it plays on", func(v *playback) bool { return v.Time > had && v.Playing }); err != nil {
			return err
		}
		for _, r := range v.Requests {
			if r.Failed != "" {
				return fmt.Errorf("a request failed (%s): %s", r.Failed, r.URL)
			}
		}
		return v.smooth(s.starts)
	})
}

// TestBrokenCDNs: a CDN that breaks for everybody, in every way, costs those who play
// from it nothing.
func TestBrokenCDNs(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		name, score string
		buffer      float64 // seconds
		fault       []string
	}{
		// No player leaves it by itself: probes must see it, and the next poll must come
		// before the buffer is empty.
		{"slow", "throughput < 0.2 ? 0.1 * cost : cost", 20, []string{"--throttle", "60kbps"}},
		{"silent", cheapest, 10, []string{"--blackhole"}},
		{"failing", cheapest, 10, []string{"--error-rate", "1"}},
	} {
		for _, pair := range all {
			t.Run(c.name+" "+pair[0].kind, func(t *testing.T) {
				s.try(t, func() error { return s.breaks(pair, c.score, c.buffer, c.fault) })
			})
		}
	}
}

// breaks has everybody play on demand until there is a buffer of so many seconds,
// breaks their CDN, and wants that nobody notices.
func (s *stage) breaks(players []player, score string, buffer float64, fault []string) error {
	s.mend()
	s.apply(score)
	seats, err := s.seats(players, "vod", "charlie", nil)
	defer leave(seats)
	if err != nil {
		return err
	}
	if err := begin(seats, "charlie", buffer); err != nil {
		return err
	}
	s.fairway(append([]string{"demo", "fault", "charlie"}, fault...)...)
	broken := time.Now()
	if err := each(seats, func(s *seat) error {
		v, err := s.watch("it has left charlie", func(v *playback) bool { return v.cdn() != "charlie" })
		s.t.Logf("%s: left charlie for %s within %.1f s", s.player, v.cdn(), time.Since(broken).Seconds())
		return err
	}); err != nil {
		return err
	}
	return each(seats, func(s *seat) error {
		v, err := s.look()
		if err != nil {
			return err
		}
		// What it had is played, and what it got since.
		had := v.Time + v.Ahead
		if v, err = s.watch("it plays on", func(v *playback) bool { return v.Time > had && v.Playing && v.Ahead > buffer/2 }); err != nil {
			return err
		}
		s.t.Logf("%s: %d stalls, lag %.0f ms", s.player, len(v.Stalls)-s.starts, v.Lag)
		return v.smooth(s.starts)
	})
}

// TestPlayersReport: the collector hears of both CDNs that a player has played from,
// by CMCD events from those that send them and by the beacon from all.
func TestPlayersReport(t *testing.T) {
	s := newStage(t)
	// The console's address has it.
	s.token = regexp.MustCompile(`#token=(\w+)`).FindStringSubmatch(s.demo.output.String())[1]
	for _, c := range []struct {
		option, path string
		players      []player
	}{
		{"collector", "/cmcd/v2/", []player{hlsJS, dashJS, shakaHLS, shakaDASH}},
		{"reports", "/beacon/v1/", slices.Concat(all...)},
	} {
		for _, p := range c.players {
			t.Run(c.option+" "+p.String(), func(t *testing.T) {
				s.try(t, func() error { return s.reports(p, c.option, c.path) })
			})
		}
	}
}

func (s *stage) reports(p player, option, path string) error {
	s.mend()
	s.apply(cheapest)
	before := s.heard()
	// video.js cannot be told how far behind the edge to play: three segments are its
	// whole buffer there.
	service := "live"
	if p.kind == videoHLS.kind {
		service = "vod"
	}
	seats, err := s.seats([]player{p}, service, "charlie", map[string]any{"behind": 15, option: "http://" + s.http + path + service})
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
	first, second := "charlie", seats[0].from
	// Two reports of each: steering polls alone are not many samples.
	posted := fmt.Sprintf("performance.getEntriesByType('resource').filter((e) => e.name.includes('%s')).map((e) => e.responseStatus)", path)
	var statuses []int
	if _, ok := reached(patience, func() bool {
		err = seats[0].run(posted, &statuses)
		return err != nil || len(statuses) >= 3
	}); !ok || err != nil {
		return fmt.Errorf("%d reports were posted: %v", len(statuses), err)
	}
	for _, status := range statuses {
		// A beacon is sent without CORS: what it was answered with is not for the page
		// (Fetch §3.1, an opaque response). What was heard, below, tells of it.
		opaque := option == "reports" && status == 0
		if status != http.StatusNoContent && !opaque {
			return fmt.Errorf("a report was answered with %d, want 204", status)
		}
	}
	var now map[string]int
	if _, ok := reached(patience, func() bool {
		now = s.heard()
		return now[first] > before[first] && now[second] > before[second]
	}); !ok {
		return fmt.Errorf("requests that were heard of %s and %s: before %v, now %v", first, second, before, now)
	}
	s.t.Logf("%s: %d reports; requests heard of: before %v, now %v", p, len(statuses), before, now)
	return nil
}

// TestReportsMovePlayers: a CDN that is slow for players, and well for every probe, is
// left for what they report: CMCD events of real players, as from many homes, become
// figures, the figures a score, the score a generation, and the players are told of it
// at their next poll.
func TestReportsMovePlayers(t *testing.T) {
	s := newStage(t)
	s.token = regexp.MustCompile(`#token=(\w+)`).FindStringSubmatch(s.demo.output.String())[1]
	// By its default a policy would not go back, for ten minutes, to what a try has left.
	s.config = strings.ReplaceAll(s.config, "switch: {margin: 5%", "switch: {failback: 1s, margin: 5%")
	many := &crowd{door: s.http}
	home := httptest.NewServer(many)
	t.Cleanup(home.Close)
	tries(t, func() error { return s.tells(many, home.URL) })
}

func (s *stage) tells(many *crowd, collector string) error {
	s.mend()
	s.apply(byReports)
	const first = "charlie" // the cheapest
	if err := s.praise("alpha", "bravo"); err != nil {
		return err
	}
	if _, ok := reached(patience/4, func() bool { return s.first("live", "anybody") == first }); !ok {
		if err := s.praise(first); err != nil { // of which a try before told that it is slow
			return err
		}
	}
	seats, err := s.seats([]player{hlsJS, dashJS}, "live", first, map[string]any{"behind": 15, "collector": collector + "/cmcd/v2/live"})
	defer leave(seats)
	if err != nil {
		return err
	}
	if err := begin(seats, first, 8); err != nil {
		return err
	}
	many.homes.Store(homes)
	defer many.homes.Store(0)
	// For this machine's players, not for the probes, which have addresses of Europe.
	s.fairway("demo", "fault", first, "--region", "local", "--latency", "1s")
	if err := s.move(seats, "what they had reported"); err != nil {
		return fmt.Errorf("%w; players told: %+v", err, s.rows())
	}
	for _, row := range s.rows() {
		cdn := strings.Split(row.Endpoint, "/")[1]
		s.t.Logf("%s: %d sessions, %d networks, %d samples, TTFB %.0f ms", row.Endpoint, row.Sessions, row.Networks, row.Samples, row.TTFBMs[0])
		if cdn == first && (!row.Enough || row.TTFBMs[1] < slow) {
			return fmt.Errorf("it was not the reports that moved them: %+v", row)
		}
	}
	return nil
}

// A score that stands still but for what players report: the cheapest of the CDNs that are
// not slow for them.
const (
	slow      = 400 // milliseconds
	byReports = "(player_ttfb_ms > 400.0 ? 0.0 : 0.5) + 0.5 * cost"
)

// praise has viewers of many homes report that CDNs are fast: where nobody tells anything
// of a CDN, it counts as slow as those of which somebody does.
func (s *stage) praise(cdns ...string) error {
	for n := range homes {
		var entries []map[string]any
		for _, cdn := range cdns {
			entries = append(entries, map[string]any{"endpoint": "live/" + cdn + "/eu", "requests": 20, "ttfb_ms": 20})
		}
		body, err := json.Marshal(map[string]any{"session": fmt.Sprintf("content-%d", n), "reports": entries})
		if err != nil {
			return err
		}
		q, err := http.NewRequest(http.MethodPost, "http://"+s.http+"/beacon/v1/live", bytes.NewReader(body))
		if err != nil {
			return err
		}
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("X-Forwarded-For", fmt.Sprintf("127.200.%d.1", n))
		answer, err := direct.Do(q)
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusNoContent {
			return fmt.Errorf("a beacon is answered %s", answer.Status)
		}
	}
	return nil
}

// crowd passes on what a player reports, as often as if it were played in so many homes
// more.
type crowd struct {
	door  string
	homes atomic.Int32
}

const homes = 40

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "content-type")
	body, err := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || err != nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	status := http.StatusBadGateway
	for n := range c.homes.Load() + 1 {
		there := regexp.MustCompile(`sid="[^"]*`).ReplaceAll(body, fmt.Appendf(nil, "${0}-%d", n))
		q, err := http.NewRequest(http.MethodPost, "http://"+c.door+r.URL.Path, bytes.NewReader(there))
		if err != nil {
			continue
		}
		q.Header.Set("Content-Type", r.Header.Get("Content-Type"))
		q.Header.Set("X-Forwarded-For", fmt.Sprintf("127.200.%d.1", n))
		if answer, err := direct.Do(q); err == nil {
			answer.Body.Close()
			status = answer.StatusCode
		}
	}
	w.WriteHeader(status)
}

// heard is how many samples of each CDN there are from this machine's players.
func (s *stage) heard() map[string]int {
	sum := make(map[string]int)
	for _, row := range s.rows() {
		sum[strings.Split(row.Endpoint, "/")[1]] += row.Samples
	}
	return sum
}

// rows is what this machine's players are known to have told.
func (s *stage) rows() (rows []rum.Row) {
	q, err := http.NewRequest(http.MethodGet, "http://"+s.api+"/api/v1/players", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+s.token)
	r, err := direct.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	var body api.Players
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.t.Fatal(err)
	}
	for _, row := range body.Rows {
		if row.Whole && row.Region == "here" {
			rows = append(rows, row)
		}
	}
	return rows
}
