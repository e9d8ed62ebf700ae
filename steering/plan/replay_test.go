package plan_test

import (
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/plan"
)

// recorded is ten minutes, one moment a second; bravo is down in west from the
// third to the fourth.
func recorded(t *testing.T) plan.Recording {
	layout := compiled(t)
	rec := plan.Recording{Layout: layout}
	for second := range 600 {
		health := maps(settledState(t, layout).Health)
		for subject, row := range measured(layout).All {
			health[subject] = row
		}
		if second >= 180 && second < 240 {
			row := health["endpoint live/bravo"]
			h := row["west"]
			h.Verdict = 3 // down
			row["west"] = h
			health["endpoint live/bravo"] = row
		}
		rec.Moments = append(rec.Moments, plan.Moment{At: now.Add(time.Duration(second) * time.Second), Health: steering.HealthTable{}.With(health)})
	}
	return rec
}

func TestReplay(t *testing.T) {
	rec := recorded(t)
	rec.Traffic = append(queries("live", 21, 300, 1), queries("live", 20, 100, 1)...)
	best, err := plan.Replay(rec.Layout, rec)
	if err != nil {
		t.Fatal(err)
	}
	west := runRow(t, best, "live", "west")
	near(t, "weight of west", west.Weight, 0.75, 1e-9)
	if west.Switches != 2 || runRow(t, best, "live", "east").Switches != 0 {
		t.Errorf("%d switches in west, want 2: away from bravo and back", west.Switches)
	}
	near(t, "moved", west.Moved, 2, 0.001)
	// Gone for 60 s of 600, and back in steps of 10 % and 100 % after the dwell.
	if s := west.Shares[0]; s.Endpoint != "live/bravo" || s.Share < 0.7 || s.Share > 0.9 {
		t.Errorf("shares %+v, want bravo at 70 to 90 %%", west.Shares)
	}
	near(t, "p50", west.P50Ms, 30*west.Shares[0].Share+60*west.Shares[1].Share, 1e-6)
	near(t, "price", west.Price, 0.008*west.Shares[0].Share+0.004*west.Shares[1].Share, 1e-9)

	within, err := plan.Replay(compiled(t, "split: best", "split: {within: 20%}"), rec)
	if err != nil {
		t.Fatal(err)
	}
	if got := runRow(t, within, "live", "west"); got.Moved >= west.Moved || got.Price >= west.Price || got.P50Ms <= west.P50Ms {
		t.Errorf("shared with alpha: moves %v at %v per GB and %v ms; bravo alone: %v at %v and %v ms",
			got.Moved, got.Price, got.P50Ms, west.Moved, west.Price, west.P50Ms)
	}
}

func TestReplayNeedsARecording(t *testing.T) {
	if _, err := plan.Replay(compiled(t), plan.Recording{Layout: compiled(t)}); err == nil {
		t.Error("replayed nothing")
	}
}

func runRow(t *testing.T, r *plan.Run, service, region string) plan.RunRow {
	t.Helper()
	for _, row := range r.Rows {
		if row.Service == service && row.Region == region {
			return row
		}
	}
	t.Fatalf("no row for %s in %s", service, region)
	return plan.RunRow{}
}
