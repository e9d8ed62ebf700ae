package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairway/steering"
)

func TestStatus(t *testing.T) {
	f := newFixture(t, nil)
	w := f.ask("GET", "/api/v1/status", "")
	var got Status
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := Status{
		Version: "test", Roles: []string{"control"}, Now: epoch.Add(3 * time.Second),
		Generation: 7, Published: epoch, AgeSeconds: 3, Revision: "abc123", Geo: Geo{Cells: 2},
		Regions: []string{"eu", "default"},
		Services: []ServiceStatus{{
			Key: "live", Hostnames: []string{"live.test."}, Labels: map[string]string{"team": "sports"}, Policy: "p",
			Endpoints: []EndpointStatus{
				{ID: "live/alpha/eu", Provider: "alpha", Pool: "eu", Host: "alpha.test.", URL: "https://alpha.test"},
				{ID: "live/bravo/eu", Provider: "bravo", Pool: "eu", Host: "bravo.test.", URL: "https://bravo.test"},
			},
			Regions: []RegionStatus{
				{
					Region: "default", Rule: "default", Best: "live/alpha/eu", TTLSeconds: 30,
					Reason: steering.StaticSplit(f.node.world.Snapshot.Layout.Services[0].Service).Reason,
					Splits: []ShareStatus{
						{Endpoint: "live/alpha/eu", Weight: 0.5, Reason: f.node.world.Snapshot.Split(0, 0).Reason},
						{Endpoint: "live/bravo/eu", Weight: 0.5, Reason: f.node.world.Snapshot.Split(0, 0).Reason},
					},
				},
				{
					Region: "eu", Rule: "default", Best: "live/bravo/eu", TTLSeconds: 20, Reason: steering.Reason{Code: "best"},
					Splits: []ShareStatus{
						{Endpoint: "live/bravo/eu", Weight: 1, Score: 0.8, Reason: steering.Reason{Code: "best"}, Verdict: steering.Healthy,
							P50Ms: 12.5, P95Ms: 40, Availability: 0.75, Samples: 12, AgeSeconds: 4},
						{Endpoint: "live/alpha/eu", Reason: steering.Reason{Code: "down"}, Verdict: steering.Down, Samples: 9, AgeSeconds: 3,
							Evidence: "2 of 2 vantages: timeout"},
					},
					Holds: []steering.Hold{{By: steering.HoldDwell, Until: epoch.Add(time.Minute)}},
				},
			},
		}},
		Pools: []PoolStatus{{Name: "eu", Fallback: "us", Origins: []OriginStatus{
			{URL: "https://o1.test", Verdict: steering.Degraded, Regions: map[string]steering.Verdict{"eu": steering.Healthy, "default": steering.Down}},
			{URL: "https://o2.test"},
		}}},
		Vantages: []VantageStatus{
			{Name: "fra", Region: "eu", LastSeen: epoch.Add(time.Second), LastSeenAgeSeconds: 2},
			{Name: "nyc", Region: "default"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", w.Header())
	}
}

// The console and the command line walk these lists without asking whether
// they are there.
func TestStatusBeforeTheFirstSnapshotHasLists(t *testing.T) {
	f := newFixture(t, nil)
	f.node.world = World{Now: epoch}
	w := f.ask("GET", "/api/v1/status", "")
	for _, list := range []string{`"regions":[]`, `"services":[]`, `"pools":[]`, `"vantages":[]`, `"generation":0`} {
		if !strings.Contains(w.Body.String(), list) {
			t.Errorf("no %s in %s", list, w.Body)
		}
	}
	wantError(t, f.ask("POST", "/api/v1/overrides", drainAlpha), http.StatusBadRequest, "knows no providers yet")
}

func TestTogether(t *testing.T) {
	type row = map[string]steering.Health
	of := func(v steering.Verdict) steering.Health { return steering.Health{Verdict: v} }
	for _, c := range []struct {
		row  row
		want steering.Verdict
	}{
		{nil, steering.Unknown},
		{row{"a": of(steering.Unknown)}, steering.Unknown},
		{row{"a": of(steering.Down), "b": of(steering.Unknown)}, steering.Down},
		{row{"a": of(steering.Healthy), "b": of(steering.Healthy)}, steering.Healthy},
		{row{"a": of(steering.Healthy), "b": of(steering.Down), "c": of(steering.Unknown)}, steering.Degraded},
	} {
		if got := together(c.row); got != c.want {
			t.Errorf("together(%v) = %v, want %v", c.row, got, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	f := newFixture(t, nil)
	for client, region := range map[string]string{"1.2.3.4": "eu", "200.1.1.1": "default", "2001:db8::7": "default"} {
		w := f.ask("GET", "/api/v1/explain?service=live&client="+client, "")
		var got steering.Explanation
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Cell.Region != region || got.Generation != 7 || got.Client != client {
			t.Errorf("%s: %d %s", client, w.Code, w.Body)
		}
	}
	for query, want := range map[string]struct {
		status int
		words  []string
	}{
		"":                                  {400, []string{"service=", "known services: live"}},
		"?client=1.2.3.4":                   {400, []string{"no service", "known services: live"}},
		"?service=live":                     {400, []string{"client="}},
		"?service=live&client=1.2.3":        {400, []string{`"1.2.3"`, "192.0.2.7"}},
		"?service=live&client=1.2.3.0/24":   {400, nil},
		"?service=live&client=fe80::1%eth0": {400, nil},
		"?service=lve&client=1.2.3.4":       {404, []string{`"lve"`, "known services: live"}},
	} {
		w := f.ask("GET", "/api/v1/explain"+strings.ReplaceAll(query, "%eth0", "%25eth0"), "")
		if w.Code != want.status {
			t.Errorf("%s:", query)
		}
		wantError(t, w, want.status, want.words...)
	}
}
