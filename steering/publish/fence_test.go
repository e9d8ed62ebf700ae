package publish

import (
	"testing"
	"time"

	"fairway/steering"
)

// fence keeps an endpoint from the clients of a region.
func fence(code steering.ReasonCode, region string) *steering.Fence {
	return &steering.Fence{Code: code, Text: "a test", Bars: func(c *steering.Cell) bool { return c.Region == region }}
}

// TestNothingLiftsAFence: neither fail-open nor a force nor static weights nor
// the last split hand out what a fence bars, and it is no candidate for those
// whom all others have failed.
func TestNothingLiftsAFence(t *testing.T) {
	down := map[string]steering.Verdict{"a": steering.Healthy, "b": steering.Down, "c": steering.Down}
	force := []steering.Override{{ID: "f", Kind: steering.Force, Provider: "a", Expires: noon.Add(time.Hour)}}
	drained := []steering.Override{
		{ID: "b", Kind: steering.Drain, Provider: "b", Expires: noon.Add(time.Hour)},
		{ID: "c", Kind: steering.Drain, Provider: "c", Expires: noon.Add(time.Hour)},
	}
	for name, c := range map[string]struct {
		verdicts  map[string]steering.Verdict
		overrides []steering.Override
		mode      steering.OnAllDown
	}{
		"on_all_down: all":      {verdicts: down, mode: steering.OnAllDown{Mode: steering.AllDownAll}},
		"on_all_down: last":     {verdicts: down, mode: steering.OnAllDown{Mode: steering.AllDownLast}},
		"on_all_down: fallback": {verdicts: down, mode: steering.OnAllDown{Mode: steering.AllDownFallback, Pool: "one"}},
		"all else is drained":   {verdicts: down, overrides: drained},
		"forced":                {verdicts: down, overrides: force},
		"nothing is measured":   {},
	} {
		for _, code := range []steering.ReasonCode{steering.ReasonGeofenced, steering.ReasonBlocked} {
			w := newWorld()
			w.endpoint("a").Fences = []*steering.Fence{fence(code, "eu")}
			w.service.Policy.OnAllDown = c.mode
			l := w.layout(t)
			state := steering.State{Version: steering.StateVersion, Services: map[string]steering.GroupRecords{"live": {
				// What was decided before the fence was put up.
				"eu/all": {TTL: time.Second, Candidates: []steering.CandidateRecord{{Endpoint: "live/a/one", Weight: 1}}, Memory: steering.Memory{Measured: true}},
			}}}
			view, err := Still(World{Layout: l, Health: verdicts(w, c.verdicts), Overrides: c.overrides, Now: noon, State: &state})
			if err != nil {
				t.Fatal(err)
			}
			d := view.Snapshot.Decide(steering.Query{Client: euClient})
			for _, candidate := range d.AppendRanked(nil) {
				if candidate.Endpoint.Provider == "a" {
					t.Errorf("%s: %s %s is a candidate with weight %v", name, code, candidate.Endpoint.ID, candidate.Weight)
				}
			}
			elsewhere := view.Snapshot.Decide(steering.Query{Client: naClient})
			if elsewhere.Split.Weight("live/a/one") == 0 && c.verdicts != nil {
				t.Errorf("%s: outside the fence the endpoint has no clients: %v", name, elsewhere.Split.Candidates)
			}
			x, err := view.Explain("live", steering.Query{Client: euClient})
			if err != nil {
				t.Fatal(err)
			}
			last := x.Endpoints[len(x.Endpoints)-1]
			if last.ID != "live/a/one" || last.Reason.Code != code || last.Reason.Detail != "a test" {
				t.Errorf("%s: explain says %s: %v", name, last.ID, last.Reason)
			}
		}
	}
}

// TestBlockedEverywhere: where the law forbids every endpoint nothing is handed
// out, also before anything was decided, and the decision says why.
func TestBlockedEverywhere(t *testing.T) {
	w := newWorld()
	for _, e := range w.service.Endpoints {
		e.Fences = []*steering.Fence{fence(steering.ReasonBlocked, "eu")}
	}
	l := w.layout(t)
	view, err := Still(World{Layout: l, Health: verdicts(w, map[string]steering.Verdict{"a": steering.Healthy}), Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	d := view.Snapshot.Decide(steering.Query{Client: euClient})
	if _, any := d.First(); any || d.Split.Trouble != steering.TroubleBlocked || d.Split.Reason.Code != steering.ReasonBlocked {
		t.Errorf("blocked clients get %v: %v, %q", d.Split.Picks(), d.Split.Reason, d.Split.Trouble)
	}
	fresh, _, err := steering.Restore(l, steering.State{Version: steering.StateVersion})
	if err != nil {
		t.Fatal(err)
	}
	d = fresh.Decide(steering.Query{Client: euClient})
	if _, any := d.First(); any {
		t.Errorf("before any decision, blocked clients get %v", d.Split.Picks())
	}
}
