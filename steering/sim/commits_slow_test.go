//go:build slow

package sim

import (
	"testing"
	"time"
)

// A CDN that is slower than the other, and whose commit is a third of the volume, has
// carried what is paid for at the end of the month, where the policy lets the pace have
// that much of the score, and not where it does not.
func TestCommitsAreMet(t *testing.T) {
	s, err := Scenario("S8", Base())
	if err != nil {
		t.Fatal(err)
	}
	s.Regions, s.Groups, s.CDNs, s.Vantages = 1, 1, 2, 1
	s.Latency.RegionSigma, s.Latency.GroupSigma = 0.15, 0.1
	s.Step, s.Usage.Every, s.Probes.Every, s.Flash.Gap = time.Minute, time.Minute, time.Minute, 0
	s.Degraded.Gap, s.Local.Gap, s.Outage.Gap, s.Global.Gap = 0, 0, 0, 0
	month := 30 * 24 * time.Hour
	missed := func(policies string, over time.Duration) float64 {
		w := NewWorld(s, 3, month)
		slow := 0
		if w.Fixed[0] < w.Fixed[1] {
			slow = 1
		}
		w.Spec.Price.Commits = []float64{0, 0}
		w.Spec.Price.Commits[slow] = 1.0 / 3
		c := Candidate{Name: "ours", Policies: []byte(policies), ASN: true, RUM: true}
		field, err := Field([]Candidate{c}, c.Name)(w)
		if err != nil {
			t.Fatal(err)
		}
		of := newTrial(w, field[0])
		for w.At < over {
			w.Step()
			if err := of.step(false); err != nil {
				t.Fatal(err)
			}
		}
		r := of.score.result(of)
		return r.CommitOff
	}
	if off := missed("policies: {default: {defaults: {score: auto, cost: {commit: 60%}}}}", month); off > mostCommitOff/100 {
		t.Errorf("%.1f %% of the commit are missed, want %v at most", 100*off, mostCommitOff)
	}
	if off := missed("policies: {default: {defaults: {score: auto}}}", month/10); off < 0.1 {
		t.Errorf("without pacing %.1f %% of the commit are missed: this world asks nothing of it", 100*off)
	}
}
