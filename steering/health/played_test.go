package health

import (
	"testing"
	"time"

	"fairway/steering"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// TestPlayersChangeNoVerdict: whatever players tell, everything but what they told
// is as it would have been without them.
func TestPlayersChangeNoVerdict(t *testing.T) {
	vantages := []string{"ams", "fra", "iad", "lon"}
	told := rapid.Custom(func(t *rapid.T) steering.PlayedTable {
		table := make(steering.PlayedTable)
		for range rapid.IntRange(0, 4).Draw(t, "entries") {
			at := steering.PlayedKey{
				Endpoint: rapid.SampledFrom([]string{"live/alpha", "live/other"}).Draw(t, "endpoint"),
				Region:   rapid.SampledFrom([]string{"as", "eu", "na", "office", steering.DefaultRegion, "nowhere"}).Draw(t, "region"),
			}
			table[at] = steering.Played{
				PlayTime: time.Hour, Rebuffering: rapid.Float64Range(0, 1).Draw(t, "rebuffering"), Availability: rapid.Float64Range(0, 1).Draw(t, "availability"),
				Sessions: rapid.IntRange(0, 1e6).Draw(t, "sessions"),
			}
		}
		return table
	})
	rapid.Check(t, func(rt *rapid.T) {
		heard, deaf := newWorld(t, revision(probe())), newWorld(t, revision(probe()))
		now := 0.0
		for range rapid.IntRange(1, 20).Draw(rt, "looks") {
			for range rapid.IntRange(0, 12).Draw(rt, "measurements") {
				m := measurement(rapid.SampledFrom(vantages).Draw(rt, "vantage"), rapid.IntRange(0, 2).Draw(rt, "address"),
					rapid.Bool().Draw(rt, "ok"), at(now-rapid.Float64Range(0, 20).Draw(rt, "lag")))
				heard.judge.Observe(m)
				deaf.judge.Observe(m)
			}
			if rapid.Bool().Draw(rt, "players") {
				heard.judge.SetPlayed(told.Draw(rt, "told"))
			}
			heard.look(at(now))
			deaf.look(at(now))
			for region, want := range deaf.table.Row(live) {
				got := heard.table.Get(live, region)
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(steering.Health{}, "Players")); diff != "" {
					rt.Fatalf("%s, without and with players:\n%s", region, diff)
				}
			}
			now += rapid.Float64Range(0, 10).Draw(rt, "pause")
		}
		if diff := cmp.Diff(deaf.log, heard.log); diff != "" {
			rt.Fatalf("changes without and with players:\n%s", diff)
		}
	})
}

// TestPlayersAreByRegion: regions that the same vantages measure have players of
// their own.
func TestPlayersAreByRegion(t *testing.T) {
	w := newWorld(t, revision(probe()))
	w.rounds(0, map[string][]string{"ams": {"ooo"}, "fra": {"ooo"}, "iad": {"ooo"}, "lon": {"ooo"}})
	bad := steering.Played{PlayTime: time.Hour, Rebuffering: 0.2}
	w.judge.SetPlayed(steering.PlayedTable{{Endpoint: "live/alpha", Region: "as"}: bad})
	w.look(at(12))
	if h := w.in("as"); h.Players != bad || h.Verdict != steering.Healthy {
		t.Errorf("as: %+v", h)
	}
	if h := w.in(steering.DefaultRegion); h.Players != (steering.Played{}) || h.Verdict != steering.Healthy {
		t.Errorf("default, measured by the same vantages: %+v", h)
	}
	w.judge.SetPlayed(nil)
	w.look(at(13))
	if h := w.in("as"); h.Players != (steering.Played{}) {
		t.Errorf("as, when nobody tells any more: %+v", h)
	}
}
