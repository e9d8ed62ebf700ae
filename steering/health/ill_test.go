package health

import (
	"strings"
	"testing"

	"fairway/steering"
)

// TestIllVantageDoesNotVote: what a vantage says of itself has its word not count,
// with what it said before, until it says that it is well.
func TestIllVantageDoesNotVote(t *testing.T) {
	w := newWorld(t, revision(probe()))
	now := w.rounds(0, map[string][]string{"ams": {"ooFF"}, "fra": {"ooFF"}, "lon": {"oooo"}})
	w.want("eu", steering.Down)
	const why = "2 of 3 references fail, 2 must answer"
	w.judge.SetIll(map[string]string{"ams": why})
	w.look(now)
	w.want("eu", steering.Healthy)
	if h := w.in("eu"); !strings.Contains(h.Evidence, "vantage ams says that it is ill: "+why) {
		t.Errorf("evidence %q", h.Evidence)
	}
	causes := w.judge.Causes()
	if len(causes) != 1 || causes[0].Kind != steering.CauseVantage || causes[0].Name != "ams" || !strings.Contains(causes[0].Evidence, why) {
		t.Errorf("causes %+v", causes)
	}
	w.judge.SetIll(map[string]string{"ams": why, "fra": why, "lon": why})
	w.look(now)
	w.want("eu", steering.Unknown)
	if h := w.in("eu"); h.Reason != steering.HealthSick || !strings.Contains(h.Evidence, "vantage lon says") {
		t.Errorf("%s: %s", h.Reason, h.Evidence)
	}
	w.judge.Configure(revision(probe())) // a new revision makes nobody well
	w.look(now)
	w.want("eu", steering.Unknown)
	w.judge.SetIll(nil)
	w.look(now)
	w.want("eu", steering.Down)
}
