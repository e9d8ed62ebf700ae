package steering_test

import (
	"encoding/json"
	"testing"
	"time"

	"fairway/steering"
)

func TestHealthTableWith(t *testing.T) {
	row := func(v steering.Verdict) map[string]steering.Health {
		return map[string]steering.Health{"eu": {Verdict: v}}
	}
	var empty steering.HealthTable
	if empty.Get("a", "eu").Verdict != steering.Unknown || empty.Subjects() != 0 || empty.Row("a") != nil {
		t.Error("an empty table knows something")
	}
	kept := row(steering.Healthy)
	first := empty.With(map[steering.Subject]map[string]steering.Health{"a": kept, "b": row(steering.Down), "c": row(steering.Down)})
	second := first.With(map[steering.Subject]map[string]steering.Health{"b": row(steering.Degraded), "c": nil, "d": row(steering.Down), "e": nil})

	for _, row := range []struct {
		name  string
		table steering.HealthTable
		want  map[steering.Subject]steering.Verdict
	}{
		{"empty", empty, map[steering.Subject]steering.Verdict{}},
		{"first", first, map[steering.Subject]steering.Verdict{"a": steering.Healthy, "b": steering.Down, "c": steering.Down}},
		{"second", second, map[steering.Subject]steering.Verdict{"a": steering.Healthy, "b": steering.Degraded, "d": steering.Down}},
	} {
		if row.table.Subjects() != len(row.want) {
			t.Errorf("%s: %d subjects, want %d", row.name, row.table.Subjects(), len(row.want))
		}
		for subject, health := range row.table.All {
			if want, there := row.want[subject]; !there || health["eu"].Verdict != want {
				t.Errorf("%s: %s is %v, want %v", row.name, subject, health["eu"].Verdict, want)
			}
		}
		if got := row.table.Get("a", "na").Verdict; got != steering.Unknown {
			t.Errorf("%s: a in a region without health is %v", row.name, got)
		}
	}
	for range first.All {
		break // must not panic
	}
}

func TestVerdictText(t *testing.T) {
	for v, want := range map[steering.Verdict]string{
		steering.Unknown: `"unknown"`, steering.Healthy: `"healthy"`, steering.Degraded: `"degraded"`, steering.Down: `"down"`,
	} {
		data, err := json.Marshal(v)
		if err != nil || string(data) != want {
			t.Errorf("%v is written as %s, %v; want %s", v, data, err, want)
		}
		var back steering.Verdict = 99
		if err := json.Unmarshal(data, &back); err != nil || back != v {
			t.Errorf("%s is read as %v, %v", data, back, err)
		}
	}
	var v steering.Verdict
	if err := v.UnmarshalText([]byte("Down")); err == nil {
		t.Error("an unknown word was read")
	}
}

func TestHealthAge(t *testing.T) {
	for _, row := range []struct {
		newest time.Time
		want   time.Duration
	}{
		{time.Time{}, 0},
		{noon.Add(-time.Minute), time.Minute},
		{noon.Add(time.Second), 0}, // a vantage's clock is ahead
	} {
		if got := (steering.Health{Newest: row.newest}).Age(noon); got != row.want {
			t.Errorf("age of %v is %v, want %v", row.newest, got, row.want)
		}
	}
}

// Only what was up turns down; silence in between changes nothing.
func TestFollow(t *testing.T) {
	for name, x := range map[string]struct {
		path   []steering.Verdict
		turned bool
	}{
		"first verdict":             {[]steering.Verdict{steering.Down}, false},
		"first, after none":         {[]steering.Verdict{steering.Unknown, steering.Unknown, steering.Down, steering.Down}, false},
		"from healthy":              {[]steering.Verdict{steering.Healthy, steering.Down}, true},
		"from degraded":             {[]steering.Verdict{steering.Unknown, steering.Degraded, steering.Down, steering.Down}, true},
		"from healthy, by silence":  {[]steering.Verdict{steering.Healthy, steering.Unknown, steering.Unknown, steering.Down}, true},
		"down, silent, down again":  {[]steering.Verdict{steering.Healthy, steering.Down, steering.Unknown, steering.Down}, false},
		"down, healthy, down again": {[]steering.Verdict{steering.Down, steering.Unknown, steering.Healthy, steering.Down}, true},
	} {
		now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
		var h steering.Health
		for _, v := range x.path {
			next := steering.Health{Verdict: v, Since: now}
			if v == h.Verdict && !h.Since.IsZero() {
				next.Since = h.Since
			}
			next.Follow(&h)
			h = next
		}
		if got := h.TurnedDown(now.Add(time.Second), time.Minute); got != x.turned {
			t.Errorf("%s: turned down %v, want %v", name, got, x.turned)
		}
		if h.TurnedDown(now.Add(time.Minute), time.Minute) {
			t.Errorf("%s: turned down within a minute, a minute ago", name)
		}
	}
}
