package health

import (
	"testing"
	"time"

	"fairway/steering"

	"github.com/google/go-cmp/cmp"
)

// last is a verdict from before a restart.
func last(v steering.Verdict, newest time.Time) steering.Health {
	return steering.Health{
		Verdict: v, Since: at(-500), Samples: 36, Availability: 0.5, P50: 40 * time.Millisecond,
		Newest: newest, Vantages: 3, Quorum: 2, Evidence: "as it was",
	}
}

func TestRestoredVerdictStands(t *testing.T) {
	for _, restoreFirst := range []bool{true, false} {
		j := New()
		w := &world{t: t, judge: j}
		restored := steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{
			live:             {"eu": last(steering.Down, at(-2)), "mars": last(steering.Down, at(-2))},
			"endpoint other": {"eu": last(steering.Down, at(-2))},
		})
		if restoreFirst {
			j.Restore(restored)
		}
		j.Configure(revision(probe()))
		if !restoreFirst {
			j.Restore(restored)
		}
		w.look(at(0))
		if diff := cmp.Diff(last(steering.Down, at(-2)), w.in("eu")); diff != "" {
			t.Errorf("restored (-want +got):\n%s", diff)
		}
		w.want("na", steering.Unknown)
		if len(w.log) != 0 || w.table.Subjects() != 1 {
			t.Errorf("%d changes, %d subjects after a restart, want none and 1", len(w.log), w.table.Subjects())
		}
		if next := w.judge.NextDeadline(); next.Before(at(-2).Add(stale)) || next.After(at(-1).Add(stale)) {
			t.Errorf("deadline %v, want when the restored verdict is stale", next)
		}
		w.look(at(-2).Add(stale))
		w.want("eu", steering.Down)
		w.look(w.judge.NextDeadline())
		w.want("eu", steering.Unknown)
		if h := w.in("eu"); h.Newest != at(-2) {
			t.Errorf("newest %v, want the restored one", h.Newest)
		}
	}
}

func TestRestoredVerdictIsReplacedByAQuorum(t *testing.T) {
	w := &world{t: t, judge: New()}
	w.judge.Configure(revision(probe()))
	w.judge.Restore(steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{live: {"eu": last(steering.Down, at(-2))}}))
	w.rounds(0, map[string][]string{"ams": {"o"}})
	w.want("eu", steering.Down) // one vantage is not enough
	w.rounds(1, map[string][]string{"fra": {"F"}})
	w.want("eu", steering.Down) // and one failure decides nothing
	w.rounds(2, map[string][]string{"lon": {"o"}})
	w.want("eu", steering.Healthy)
	if h := w.in("eu"); h.Since != at(2) || h.Samples != 3 {
		t.Errorf("since %v with %d samples, want %v and 3", h.Since, h.Samples, at(2))
	}
}

func TestRestoreRefusesTheFutureAndTheStale(t *testing.T) {
	for _, newest := range []time.Time{{}, at(-18), at(100)} {
		w := &world{t: t, judge: New()}
		w.judge.Configure(revision(probe()))
		w.judge.Restore(steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{live: {"eu": last(steering.Down, newest)}}))
		w.look(at(0))
		w.want("eu", steering.Unknown)
	}
}

func TestRestoreAfterMeasurementsChangesNothing(t *testing.T) {
	w := newWorld(t, revision(probe()))
	w.rounds(0, map[string][]string{"iad": {"o"}})
	w.judge.Restore(steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{live: {"na": last(steering.Down, at(0))}}))
	w.look(at(1))
	w.want("na", steering.Healthy)
}

func TestReconfigure(t *testing.T) {
	down := func(t *testing.T) *world {
		w := newWorld(t, revision(probe()))
		bad := []string{"oFF"}
		w.rounds(0, map[string][]string{"ams": bad, "fra": bad, "lon": bad, "iad": {"ooo"}})
		w.want("eu", steering.Down)
		w.log = nil
		return w
	}
	t.Run("the same again keeps all", func(t *testing.T) {
		w := down(t)
		before := w.in("eu")
		p := probe()
		p.Name, p.Place.Line = "renamed", 7
		w.judge.Configure(revision(p))
		w.look(at(11))
		if diff := cmp.Diff(before, w.in("eu")); diff != "" || len(w.log) != 0 {
			t.Errorf("%d changes, health (-before +after):\n%s", len(w.log), diff)
		}
	})
	t.Run("vantages in another order, one more, one less", func(t *testing.T) {
		w := down(t)
		r := revision(probe())
		v := r.Vantages
		r.Vantages = []steering.Vantage{v[3], {Name: "syd", Region: "as"}, v[1], v[2]}
		w.judge.Configure(r)
		w.look(at(11))
		w.want("eu", steering.Down)
		if h := w.in("eu"); h.Vantages != 2 || h.Samples != 6 {
			t.Errorf("%d vantages with %d samples, want 2 with 6", h.Vantages, h.Samples)
		}
		w.want("na", steering.Healthy)
		w.want("as", steering.Unknown) // syd has not measured; the others no longer stand in
	})
	t.Run("a changed target starts anew under its last verdict", func(t *testing.T) {
		w := down(t)
		r := revision(probe())
		r.Services[0].Endpoints[0].Host = "other.example."
		w.judge.Configure(r)
		w.look(at(11))
		w.want("eu", steering.Down)
		w.rounds(12, map[string][]string{"ams": {"o"}})
		w.want("eu", steering.Down)
		w.rounds(13, map[string][]string{"fra": {"o"}})
		w.want("eu", steering.Healthy)
		if h := w.in("eu"); h.Samples != 2 {
			t.Errorf("%d samples, want the 2 of the new target", h.Samples)
		}
	})
	t.Run("a changed probe starts anew under its last verdict", func(t *testing.T) {
		w := down(t)
		p := probe()
		p.Fall = 1
		w.judge.Configure(revision(p))
		w.look(at(11))
		w.want("eu", steering.Down)
		w.look(at(11).Add(stale))
		w.want("eu", steering.Unknown)
	})
	t.Run("what is no longer probed loses its row", func(t *testing.T) {
		w := down(t)
		w.judge.Configure(revision(nil))
		w.look(at(11))
		if w.table.Subjects() != 0 || len(w.log) != 0 || !w.judge.NextDeadline().IsZero() {
			t.Errorf("%d subjects, changes %+v, want none", w.table.Subjects(), w.log)
		}
		w.measure("iad", 1, true, at(12))
		w.judge.Configure(revision(probe()))
		w.look(at(12))
		w.want("eu", steering.Unknown)
	})
	t.Run("a new region is judged from what is known", func(t *testing.T) {
		w := down(t)
		r := revision(probe())
		r.Regions = append(r.Regions, steering.Region{Name: "lab", MeasuredBy: []string{"ams", "fra"}})
		w.judge.Configure(r)
		w.look(at(11))
		w.want("lab", steering.Down)
		if h := w.in("lab"); h.MeasuredIn != "eu" {
			t.Errorf("measured in %q, want eu", h.MeasuredIn)
		}
	})
}

func TestOriginsAreJudgedByTheirPoolsProbe(t *testing.T) {
	r := revision(nil)
	fast := probe()
	fast.Fall = 1
	r.Pools = []*steering.Pool{
		{Name: "eu", Origins: []string{"https://o.example"}, Probe: fast},
		{Name: "us", Origins: []string{"https://o.example"}, Probe: probe()},
		{Name: "silent", Origins: []string{"https://s.example"}},
	}
	w := newWorld(t, r)
	for _, pool := range []string{"eu", "us"} {
		m := measurement("iad", 1, false, at(1))
		m.Subject = steering.OriginSubject(pool, "https://o.example")
		w.judge.Observe(m)
	}
	w.look(at(1))
	if got := w.table.Get(steering.OriginSubject("eu", "https://o.example"), "na").Verdict; got != steering.Down {
		t.Errorf("origin of pool eu is %v after one failure, want down (fall 1)", got)
	}
	if got := w.table.Get(steering.OriginSubject("us", "https://o.example"), "na").Verdict; got != steering.Unknown {
		t.Errorf("origin of pool us is %v after one failure, want unknown (fall 2)", got)
	}
	if w.table.Subjects() != 2 {
		t.Errorf("%d subjects, want 2: an origin without a probe is not judged", w.table.Subjects())
	}
}

// A part of a region is judged by the region's whole jury, to which the part's own
// vantages belong: one of them alone empties no CDN there.
func TestPartsHaveTheJuryOfTheWhole(t *testing.T) {
	r := &steering.Revision{
		Regions:  []steering.Region{{Name: "de"}, {Name: "isp", Within: "de"}, {Name: "own", Within: "de", MeasuredBy: []string{"ber"}}},
		Vantages: []steering.Vantage{{Name: "ber", Region: "de"}, {Name: "fra", Region: "isp"}, {Name: "nyc", Region: "default"}},
	}
	got := make(map[string][]int)
	for _, in := range regionsOf(r, nil) {
		for _, name := range in.names {
			got[name] = in.vantages
		}
	}
	want := map[string][]int{"de": {0, 1}, "isp": {0, 1}, "own": {0}, "default": {2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("vantages (-want +got)", diff)
	}
}

// TestPartsJudgeThemselves: a part with vantages enough has its own verdict, and what
// fails there alone is down there alone. Where too few of them have something to say the
// whole's jury judges the part as well.
func TestPartsJudgeThemselves(t *testing.T) {
	r := revision(probe())
	r.Regions = []steering.Region{{Name: "de"}, {Name: "isp", Within: "de"}}
	r.Vantages = []steering.Vantage{{Name: "ams", Region: "isp"}, {Name: "ber", Region: "isp"}, {Name: "fra", Region: "de"}, {Name: "muc", Region: "de"}}
	scripts := func(isp, de string) map[string][]string {
		return map[string][]string{"ams": {isp}, "ber": {isp}, "fra": {de}, "muc": {de}}
	}
	w := newWorld(t, r)
	w.rounds(0, scripts("oo", "oo"))
	w.want("de", steering.Healthy)
	w.want("isp", steering.Healthy)

	w.rounds(10, scripts("FF", "oo"))
	w.want("isp", steering.Down)
	w.want("de", steering.Healthy)
	if h := w.in("isp"); h.MeasuredIn != "" || h.Vantages != 2 || h.Quorum != 2 {
		t.Errorf("the part's own verdict rests on %d vantages, quorum %d, in %q", h.Vantages, h.Quorum, h.MeasuredIn)
	}

	w.rounds(20, scripts("oo", "FF"))
	w.want("isp", steering.Healthy)
	w.want("de", steering.Down) // two of it, and no network of its own says otherwise for them

	// One vantage of the part goes silent: the other alone says nothing there.
	w.rounds(30, map[string][]string{"ams": {"FFFFF"}, "fra": {"ooooo"}, "muc": {"ooooo"}})
	w.want("isp", steering.Healthy)
	if h := w.in("isp"); h.MeasuredIn != "de" || h.Vantages != 3 {
		t.Errorf("with one vantage left %d judge the part, in %q", h.Vantages, h.MeasuredIn)
	}
}
