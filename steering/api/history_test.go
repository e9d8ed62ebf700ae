package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/history"
)

// kept is a Past of three entries.
type kept struct{}

func (kept) Between(from, to time.Time, yield func(*history.Entry) bool) error {
	begin := time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)
	for n := range 3 {
		e := &history.Entry{At: begin.Add(time.Duration(n) * time.Minute)}
		if n == 1 {
			e.Changes = []history.Change{{At: e.At, Subject: "endpoint live/a", Region: "eu", To: steering.Down, Evidence: "2 of 3"}}
		} else {
			e.State = &steering.State{Generation: uint64(n), Services: map[string]steering.GroupRecords{"live": {}}}
		}
		if !e.At.Before(from) && !e.At.After(to) && !yield(e) {
			break
		}
	}
	return nil
}

func (k kept) Sparse(from, to time.Time, _ time.Duration, yield func(*history.Entry) bool) error {
	return k.Between(from, to, yield)
}

func (kept) Explain(_ context.Context, at time.Time, service string, _ steering.Query) (*steering.Explanation, error) {
	if service != "live" {
		return nil, ErrNotFound
	}
	return &steering.Explanation{Service: service, Now: at}, nil
}

func (kept) StateAt(at time.Time) (State, error) {
	if at.Year() < 2026 {
		return State{}, ErrNotFound
	}
	return State{Now: at, State: steering.State{Generation: 9}}, nil
}

func TestHistory(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.History = kept{} })
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"/api/v1/history?from=2026-03-01T19:00:00Z&to=2026-03-01T21:00:00Z", 200, `{"entries":[{"at":"2026-03-01T20:01:00Z","changes":[{`},
		{"/api/v1/history?from=2026-03-01T20:02:00Z&to=2026-03-01T21:00:00Z&states=true", 200, `{"entries":[{"at":"2026-03-01T20:02:00Z","state":{"version":0,"generation":2,`},
		{"/api/v1/history?from=yesterday&to=2026-03-01T21:00:00Z", 400, `from is not a time`},
		{"/api/v1/history/state?at=2026-03-01T20:00:00Z", 200, `"generation":9`},
		{"/api/v1/history/curves?service=live&region=eu&from=2026-03-01T20:00:00Z&to=2026-03-01T20:03:00Z", 200,
			`"rows":[{"subject":"endpoint live/a","verdicts":" x  ","p50_ms":[0,0,0,0]`},
		{"/api/v1/history/curves?service=live&from=2026-03-01T20:00:00Z&to=2026-03-01T20:03:00Z", 400, `a service and a region are needed`},
		{"/api/v1/history/curves?service=live&region=eu&from=2026-03-01T20:00:00Z&to=2025-03-01T20:03:00Z", 400, `there are no curves`},
		{"/api/v1/explain?service=live&client=192.0.2.7&at=2026-03-01T20:00:00Z", 200, `"now":"2026-03-01T20:00:00Z"`},
		{"/api/v1/explain?service=vod&client=192.0.2.7&at=2026-03-01T20:00:00Z", 404, `known services: live`},
		{"/api/v1/explain?service=live&client=192.0.2.7&at=noon", 400, `at is not a time`},
		{"/api/v1/history/state?at=2025-03-01T20:00:00Z", 404, `not found`},
	} {
		w := f.ask(http.MethodGet, c.path, "")
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s, want %d with %s", c.path, w.Code, w.Body, c.status, c.want)
		}
	}
}
