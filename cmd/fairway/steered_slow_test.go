//go:build slow

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"fairway/steering/api"
)

var (
	shakaHLS   = player{"Shaka", "shaka-player/dist/shaka-player.compiled.js", "main.m3u8"}
	shakaDASH  = player{"Shaka", "shaka-player/dist/shaka-player.compiled.js", "main.mpd"}
	videoHLS   = player{"video.js", "video.js/dist/video.min.js", "main.m3u8"}
	videoDASH  = player{"video.js", "video.js/dist/video.min.js", "main.mpd"}
	allPlayers = []player{hlsJS, dashJS, shakaHLS, shakaDASH, videoHLS, videoDASH}
)

// TestAllPlayers: every player of the kit, in every way that a CDN is left.
func TestAllPlayers(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		name    string
		players []player
		leave   func(*stage, player) error
	}{
		{"steered", []player{shakaHLS, shakaDASH, videoHLS, videoDASH}, (*stage).moves},
		{"slow CDN", allPlayers, (*stage).throttled},
		{"silent CDN", allPlayers, func(s *stage, p player) error { return s.dies(p, "--blackhole") }},
		{"failing CDN", allPlayers, func(s *stage, p player) error { return s.dies(p, "--error-rate", "1") }},
	} {
		for _, p := range c.players {
			t.Run(c.name+" "+p.String(), func(t *testing.T) {
				s.t, s.browser.t, s.doors.t = t, t, t
				tries(t, func() error { return c.leave(s, p) })
			})
		}
	}
}

// throttled has the player's CDN sink to 60 kbit/s, which no player leaves by itself:
// probes must see it, and the next poll must come before the buffer is empty.
func (s *stage) throttled(p player) error {
	return s.breaks(p, "0.3 * cost + 0.7 * throughput", 20, "--throttle", "60kbps")
}

// dies has the player's CDN die.
func (s *stage) dies(p player, fault ...string) error { return s.breaks(p, cheapest, 10, fault...) }

// breaks plays on demand until there is a buffer of so many seconds, breaks the
// player's CDN for everybody, and wants that nobody notices.
func (s *stage) breaks(p player, score string, buffer float64, fault ...string) error {
	s.mend()
	s.apply(score)
	session := newSession(p)
	if _, ok := reached(patience, func() bool { return s.first("vod", session) == "charlie" }); !ok {
		return errors.New("charlie is the best, and not the first")
	}
	s.play(p, "vod", session, map[string]any{"segment": 2})
	v, err := s.watch("it plays and has a buffer", func(v *playback) bool { return v.Playing && v.Ahead > buffer })
	if err != nil {
		return err
	}
	cdn, starts := v.cdn(), len(v.Stalls)
	s.fairway(append([]string{"demo", "fault", cdn}, fault...)...)
	broken := time.Now()
	if v, err = s.watch("it has left "+cdn, func(v *playback) bool { return v.cdn() != cdn }); err != nil {
		return err
	}
	left, had := time.Since(broken), v.Time+v.Ahead
	// What it had is played, and what it got since.
	v, err = s.watch("it plays on", func(v *playback) bool { return v.Time > had && v.Playing && v.Ahead > buffer/2 })
	if err != nil {
		return err
	}
	s.t.Logf("%s, %v: left %s for %s after %.1f s; %d stalls, lag %.0f ms", p, fault, cdn, v.cdn(), left.Seconds(), len(v.Stalls)-starts, v.Lag)
	return v.smooth(starts)
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
		{"reports", "/beacon/v1/", allPlayers},
	} {
		for _, p := range c.players {
			t.Run(c.option+" "+p.String(), func(t *testing.T) {
				s.t, s.browser.t, s.doors.t = t, t, t
				tries(t, func() error { return s.reports(p, c.option, c.path) })
			})
		}
	}
}

func (s *stage) reports(p player, option, path string) error {
	s.mend()
	s.apply(cheapest)
	session := newSession(p)
	before := s.heard()
	s.play(p, "live", session, map[string]any{"segment": 2, "behind": 15, option: "http://" + s.http + path + "live"})
	v, err := s.watch("it plays", func(v *playback) bool { return v.Playing && v.Ahead > 8 && v.cdn() != "" })
	if err != nil {
		return err
	}
	first := v.cdn()
	s.apply(dearest)
	second, _, err := s.leaves("live", session, first)
	if err != nil {
		return err
	}
	// Two reports of each: steering polls alone are not many samples.
	posted := fmt.Sprintf("performance.getEntriesByType('resource').filter((e) => e.name.includes('%s')).map((e) => e.responseStatus)", path)
	var statuses []int
	if _, ok := reached(patience, func() bool {
		err = s.browser.run(posted, &statuses)
		return err != nil || len(statuses) >= 3
	}); !ok || err != nil {
		return fmt.Errorf("%d reports were posted: %v", len(statuses), err)
	}
	for _, status := range statuses {
		if status != http.StatusNoContent {
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

// heard is how many samples of each CDN there are from this machine's players.
func (s *stage) heard() map[string]int {
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
	sum := make(map[string]int)
	for _, row := range body.Rows {
		if row.Whole && row.Region == "here" {
			sum[strings.Split(row.Endpoint, "/")[1]] += row.Samples
		}
	}
	return sum
}
