package allocate

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"fairway/steering"

	"pgregory.net/rapid"
)

var (
	start  = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	best   = steering.SplitSpec{Kind: steering.SplitBest}
	within = steering.SplitSpec{Kind: steering.SplitWithin, Within: 0.10}
)

// group is a small world: some endpoints, driven step by step.
type group struct {
	entries []Entry
	clock   Clock
	bounds  steering.Switch
	split   steering.SplitSpec
	spec    uint64 // of what the operator wrote
	surged  time.Time
	shared  bool
	now     time.Time
	out     Outcome
}

func newGroup(split steering.SplitSpec, bounds steering.Switch, scores ...float64) *group {
	g := &group{split: split, bounds: bounds, now: start}
	for _, s := range scores {
		g.entries = append(g.entries, Entry{Eligible: true, Score: s, Weight: 1})
	}
	g.decide(true)
	return g
}

func (g *group) decide(free bool) {
	g.out = Allocate(g.entries, Terms{Split: g.split, Bounds: g.bounds, Spec: g.spec, Free: free, Surged: g.surged, Shared: g.shared}, &g.clock, g.now)
}

// after lets time pass and decides again.
func (g *group) after(d time.Duration) *group {
	g.now = g.now.Add(d)
	g.decide(false)
	return g
}

func (g *group) fail(i int) {
	g.entries[i].Eligible, g.entries[i].Gone = false, true
}
func (g *group) recover(i int) {
	g.entries[i].Eligible, g.entries[i].Gone = true, false
}

func (g *group) want(t *testing.T, what string, shares ...float64) {
	t.Helper()
	for i, share := range shares {
		if math.Abs(g.entries[i].Share-share) > 1e-5 {
			t.Fatalf("%s: shares %v, want %v (held by %v)", what, g.shares(), shares, g.out.Holds)
		}
	}
}

func (g *group) shares() []string {
	var list []string
	for i := range g.entries {
		list = append(list, fmt.Sprintf("%.4f", g.entries[i].Share))
	}
	return list
}

func (g *group) heldBy(t *testing.T, code steering.HoldCode) {
	t.Helper()
	if !slices.ContainsFunc(g.out.Holds, func(h steering.Hold) bool { return h.By == code }) {
		t.Fatalf("held by %v, want %s among them", g.out.Holds, code)
	}
}

func TestIdeal(t *testing.T) {
	weights := func(w ...float64) []Entry {
		entries := make([]Entry, len(w))
		for i := range w {
			entries[i] = Entry{Eligible: true, Score: []float64{0.90, 0.84, 0.70}[i], Weight: w[i]}
		}
		return entries
	}
	for name, c := range map[string]struct {
		entries []Entry
		split   steering.SplitSpec
		want    []float64
	}{
		"best takes all":                  {weights(1, 1, 1), best, []float64{1, 0, 0}},
		"within shares alike":             {weights(1, 1, 1), within, []float64{0.5, 0.5, 0}},
		"within by weight":                {weights(3, 1, 9), within, []float64{0.75, 0.25, 0}},
		"within, those have no weight":    {weights(0, 0, 9), within, []float64{1, 0, 0}},
		"weighted":                        {weights(1, 1, 2), steering.SplitSpec{Kind: steering.SplitWeighted}, []float64{0.25, 0.25, 0.5}},
		"weighted, all zero":              {weights(0, 0, 0), steering.SplitSpec{Kind: steering.SplitWeighted}, []float64{1, 0, 0}},
		"score times weight":              {weights(1, 0, 1), steering.SplitSpec{Kind: steering.SplitScore}, []float64{0.9 / 1.6, 0, 0.7 / 1.6}},
		"nobody is eligible":              {[]Entry{{Score: 1, Weight: 1}}, best, nil},
		"ineligible ones do not set best": {[]Entry{{Score: 9, Weight: 1}, {Eligible: true, Score: 1, Weight: 1}}, within, []float64{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got := ideal(make([]float64, len(c.entries)), c.entries, c.split, nil, 0)
			if len(got) != len(c.want) || (got != nil && !same(got, c.want)) {
				t.Errorf("ideal = %v, want %v", got, c.want)
			}
		})
	}
}

func TestMarginKeepsIncumbent(t *testing.T) {
	g := newGroup(best, steering.Switch{Margin: 0.10}, 0.80, 0.70)
	g.entries[1].Score = 0.87 // better, by less than 10 %
	g.after(time.Hour).want(t, "within the margin", 1, 0)
	g.heldBy(t, steering.HoldMargin)
	g.entries[1].Score = 0.89
	g.after(time.Second).want(t, "past the margin", 0, 1)
}

func TestDwellHoldsTheSecondChoiceOnly(t *testing.T) {
	g := newGroup(best, steering.Switch{Dwell: time.Minute}, 0.8, 0.7)
	g.entries[1].Score = 0.9
	g.decide(true)
	g.want(t, "the first measured choice is free", 0, 1)
	g.entries[0].Score = 1
	g.after(59*time.Second).want(t, "too young", 0, 1)
	g.heldBy(t, steering.HoldDwell)
	if want := start.Add(time.Minute); !g.out.Next.Equal(want) {
		t.Errorf("next look at %v, want %v", g.out.Next, want)
	}
	g.after(time.Second).want(t, "dwell is over", 1, 0)
}

// Who was given up is not chosen again for a while, though it be the best; somebody
// else may be.
func TestFailbackBoundsGoingBackAndForth(t *testing.T) {
	g := newGroup(best, steering.Switch{Failback: 5 * time.Minute}, 0.8, 0.7, 0.1)
	g.entries[1].Score = 0.9
	g.after(time.Second).want(t, "away", 0, 1, 0)
	g.entries[0].Score = 1
	g.after(time.Minute).want(t, "not back yet", 0, 1, 0)
	g.heldBy(t, steering.HoldFailback)
	if want := start.Add(time.Second + 5*time.Minute); !g.out.Next.Equal(want) {
		t.Errorf("next look at %v, want %v", g.out.Next, want)
	}
	g.entries[2].Score = 0.95
	g.after(time.Minute).want(t, "a third one is free to be chosen", 0, 0, 1)
	g.after(3*time.Minute).want(t, "back after five minutes", 1, 0, 0)
	if g.entries[0].Left != (time.Time{}) {
		t.Error("it is still remembered as given up")
	}
}

// Where the present choice is lost, whoever is best takes over, also who was given up
// a moment ago; and an operator's edit waits for nothing of the kind.
func TestFailbackHoldsNothingThatIsForced(t *testing.T) {
	g := newGroup(best, steering.Switch{Failback: time.Hour}, 0.8, 0.7, 0.1)
	g.entries[1].Score = 0.9
	g.after(time.Second).want(t, "away", 0, 1, 0)
	g.fail(1)
	g.after(time.Second).want(t, "the best that is left", 1, 0, 0)

	g = newGroup(best, steering.Switch{Failback: time.Hour}, 0.8, 0.7)
	g.spec = 1
	g.entries[1].Score = 0.9
	g.after(time.Second).want(t, "away", 0, 1)
	g.spec, g.entries[0].Score = 2, 1
	g.after(time.Second).want(t, "as the operator now wants", 1, 0)
}

// Where who was given up is all that may be chosen, the stand-in keeps its clients
// until it may be chosen again.
func TestFailbackKeepsTheStandIn(t *testing.T) {
	g := newGroup(best, steering.Switch{Failback: time.Minute}, 0.9, 0.8)
	g.entries[1].Eligible, g.entries[1].Spare = false, true // put aside by prefer while 0 is there
	g.fail(0)
	g.entries[1].Eligible, g.entries[1].Spare = true, false
	g.after(time.Second).want(t, "the stand-in takes over", 0, 1)
	g.recover(0)
	g.entries[1].Eligible, g.entries[1].Spare = false, true
	g.after(30*time.Second).want(t, "given up half a minute ago", 0, 1)
	g.heldBy(t, steering.HoldFailback)
	g.after(31*time.Second).want(t, "a minute is over", 1, 0)
}

// Whatever the scores do, nobody is left and chosen again within the failback while
// nothing fails.
func TestNobodyGoesBackAndForthWithinFailback(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		split := rapid.SampledFrom([]steering.SplitSpec{best, within}).Draw(t, "split")
		bounds := steering.Switch{
			Failback: time.Duration(rapid.IntRange(1, 300).Draw(t, "failback")) * time.Second, Margin: rapid.SampledFrom([]float64{0, 0.1}).Draw(t, "margin"),
			Dwell: time.Duration(rapid.IntRange(0, 20).Draw(t, "dwell")) * time.Second,
		}
		g := newGroup(split, bounds, 1, 1, 1)
		left := make(map[int]time.Time)
		was := make([]float64, 3)
		for range rapid.IntRange(1, 40).Draw(t, "rounds") {
			for i := range g.entries {
				was[i] = g.entries[i].Target
				g.entries[i].Score = rapid.Float64Range(0.1, 1).Draw(t, "score")
			}
			g.after(time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second)
			for i := range g.entries {
				now := g.entries[i].Target
				if at, gone := left[i]; gone && was[i] == 0 && now > 0 && g.now.Sub(at) < bounds.Failback {
					t.Fatalf("%d was left %v ago and is chosen again; failback %v", i, g.now.Sub(at), bounds.Failback)
				}
				if was[i] > 0 && now == 0 {
					left[i] = g.now
				}
			}
		}
	})
}

func TestLeavingIsImmediateAndComingBackIsNot(t *testing.T) {
	bounds := steering.Switch{Margin: 0.1, Dwell: 10 * time.Second, Ramp: []float64{0.1, 0.5, 1}, RampStep: 2 * time.Second, MaxShift: 0.01}
	g := newGroup(best, bounds, 0.9, 0.6, 0.7)
	g.fail(0)
	g.after(time.Second).want(t, "neither dwell nor max shift holds a loss", 0, 0, 1)
	g.bounds.MaxShift = 0
	g.recover(0)
	g.after(time.Second).want(t, "dwell holds the way back", 0, 0, 1)
	g.heldBy(t, steering.HoldDwell)
	g.after(10*time.Second).want(t, "first step", 0.1, 0, 0.9)
	g.heldBy(t, steering.HoldRamp)
	g.after(2*time.Second).want(t, "second step", 0.5, 0, 0.5)
	g.after(2*time.Second).want(t, "last step", 1, 0, 0)
	if !g.entries[0].Recovered.IsZero() && g.after(2 * time.Second).entries[0].Recovered != (time.Time{}) {
		t.Error("the ramp never ends")
	}
}

func TestRampGivesWayWhenNobodyElseIsLeft(t *testing.T) {
	bounds := steering.Switch{Ramp: []float64{0.1, 1}, RampStep: time.Minute}
	g := newGroup(best, bounds, 0.9, 0.6)
	g.fail(0)
	g.after(time.Second)
	g.recover(0)
	g.after(time.Second).want(t, "ramping", 0.1, 0.9)
	g.fail(1)
	g.after(time.Second).want(t, "enough is always left", 1, 0)
}

// A stand-in from a less wanted provider or pool keeps its clients while the
// wanted one comes back: preference is no emergency.
func TestReturnToPreferredIsVoluntary(t *testing.T) {
	bounds := steering.Switch{Dwell: 10 * time.Second, Ramp: []float64{0.1, 1}, RampStep: 5 * time.Second}
	g := newGroup(best, bounds, 0.9, 0.8)
	less := func(less bool) { g.entries[1].Eligible, g.entries[1].Spare = !less, less }
	less(true) // put aside by prefer while 0 is there
	g.fail(0)
	less(false)
	g.after(time.Second).want(t, "the stand-in takes over", 0, 1)
	g.recover(0)
	less(true)
	g.after(time.Second).want(t, "dwell", 0, 1)
	g.heldBy(t, steering.HoldDwell)
	g.after(10*time.Second).want(t, "ramp", 0.1, 0.9)
	g.after(5*time.Second).want(t, "back", 1, 0)
}

// An endpoint that took everything because nobody else was left has no ramp
// behind it that could wipe out another one's.
func TestRampAfterADoubleOutage(t *testing.T) {
	g := newGroup(within, steering.Switch{Ramp: []float64{0.01, 1}, RampStep: time.Minute}, 0.9, 0.9)
	g.fail(0)
	g.after(time.Second)
	g.fail(1)
	g.after(time.Second)
	g.recover(0)
	g.after(time.Second).want(t, "alone", 1, 0)
	g.recover(1)
	g.after(time.Second).want(t, "the second one ramps", 0.995, 0.005)
}

// A clock that was set back holds nothing until it has caught up.
func TestClockSetBack(t *testing.T) {
	g := newGroup(best, steering.Switch{Dwell: time.Minute, MaxShift: 1}, 0.9, 0.5)
	g.clock.Chosen, g.clock.Moved = g.now.Add(24*time.Hour), g.now.Add(24*time.Hour)
	g.entries[1].Score = 2
	g.after(time.Second)
	g.after(2*time.Minute).want(t, "dwell is over by the present clock", 0, 1)
}

// A tie moves nobody, not even at a score of 0.
func TestTieKeepsTheIncumbent(t *testing.T) {
	g := newGroup(best, steering.Switch{Margin: 0.1}, 0.5, 0.9)
	g.entries[0].Score, g.entries[1].Score = 0, 0
	g.after(time.Hour).want(t, "both at 0", 0, 1)
}

func TestLostShareGoesToTheTarget(t *testing.T) {
	g := newGroup(within, steering.Switch{}, 0.90, 0.89, 0.88)
	g.want(t, "three alike", 1./3, 1./3, 1./3)
	g.fail(1)
	g.after(time.Second).want(t, "the others share it", 0.5, 0, 0.5)
}

func TestMaxShiftBoundsEachMinute(t *testing.T) {
	g := newGroup(best, steering.Switch{MaxShift: 0.20}, 0.9, 0.5)
	g.entries[1].Score = 2
	g.after(time.Hour).want(t, "a full allowance at first", 0.8, 0.2)
	g.heldBy(t, steering.HoldMaxShift)
	moved := 0.2
	for range 12 {
		before := g.entries[1].Share
		g.after(5 * time.Second)
		moved += g.entries[1].Share - before
	}
	if moved < 0.39 || moved > 0.41 {
		t.Errorf("%.3f moved after a minute, want 0.40: the first allowance and one minute's", moved)
	}
	for range 60 {
		g.after(5 * time.Second)
	}
	g.want(t, "it arrives", 0, 1)
}

func TestScoreSplitIgnoresNoise(t *testing.T) {
	g := newGroup(steering.SplitSpec{Kind: steering.SplitScore}, steering.Switch{Margin: 0.1}, 0.5, 0.5)
	g.entries[0].Score = 0.6 // 0.545 to 0.455: less than the margin moves
	g.after(time.Second).want(t, "noise", 0.5, 0.5)
	g.entries[0].Score = 0.9
	g.after(time.Second).want(t, "a real change", 0.9/1.4, 0.5/1.4)
}

// An operator's edit is no noise, however little it moves: margin must not hold it,
// dwell may.
func TestEditIsNotHeldByMargin(t *testing.T) {
	g := newGroup(steering.SplitSpec{Kind: steering.SplitScore}, steering.Switch{Margin: 0.1, Dwell: time.Minute}, 0.5, 0.5)
	g.spec = 1
	g.after(time.Hour).want(t, "before the edit", 0.5, 0.5)
	g.spec, g.entries[0].Weight = 2, 1.1
	g.after(time.Second).want(t, "edited", 1.1/2.1, 1/2.1)
	g.spec, g.entries[0].Weight = 3, 1
	g.after(time.Second).want(t, "edited again, too soon", 1.1/2.1, 1/2.1)
	g.heldBy(t, steering.HoldDwell)
	g.after(time.Minute).want(t, "after the dwell", 0.5, 0.5)
	g.entries[0].Score = 0.55
	g.after(time.Hour).want(t, "noise is held again", 0.5, 0.5)
	g.heldBy(t, steering.HoldMargin)

	b := newGroup(best, steering.Switch{Margin: 0.1}, 0.50, 0.48)
	b.spec = 1
	b.after(time.Second)
	b.spec, b.entries[1].Score = 2, 0.52 // another score expression
	b.after(time.Second).want(t, "best by the new score", 0, 1)
}

// What comes back does so step by step also when the one that held its place
// dies: a third one that is well and idle takes that place.
func TestRampGivesWayToAnIdleThird(t *testing.T) {
	g := newGroup(best, steering.Switch{Ramp: []float64{0.1, 1}, RampStep: time.Minute}, 0.9, 0.6, 0.5)
	g.fail(0)
	g.after(time.Second).want(t, "the second takes over", 0, 1, 0)
	g.recover(0)
	g.after(time.Second).want(t, "ramping", 0.1, 0.9, 0)
	g.fail(1)
	g.after(time.Second).want(t, "the third stands in", 0.1, 0, 0.9)
	g.heldBy(t, steering.HoldRamp)
	g.after(time.Minute).want(t, "the ramp ends as it would have", 1, 0, 0)
}

// TestInvariants drives random groups through random failures.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		score := rapid.Float64Range(0, 1)
		g := &group{now: start, split: rapid.SampledFrom([]steering.SplitSpec{best, within,
			{Kind: steering.SplitWeighted}, {Kind: steering.SplitScore}}).Draw(t, "split")}
		g.bounds = steering.Switch{
			Margin: rapid.Float64Range(0, 0.5).Draw(t, "margin"), Dwell: time.Duration(rapid.IntRange(0, 60).Draw(t, "dwell")) * time.Second,
			MaxShift: rapid.SampledFrom([]float64{0, 0.1, 0.5}).Draw(t, "max shift"),
			Ramp:     []float64{0.01, 0.25, 1}, RampStep: 7 * time.Second,
		}
		n := rapid.IntRange(1, 5).Draw(t, "endpoints")
		for range n {
			g.entries = append(g.entries, Entry{Eligible: true, Score: score.Draw(t, "score"), Weight: float64(rapid.IntRange(0, 3).Draw(t, "weight"))})
		}
		g.decide(true)
		for range 40 {
			before := slices.Clone(g.entries)
			for i := range g.entries {
				g.entries[i].Score = score.Draw(t, "score")
				if rapid.IntRange(0, 9).Draw(t, "event") == 0 {
					if g.entries[i].Eligible {
						g.fail(i)
					} else {
						g.recover(i)
					}
				}
			}
			g.after(time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Second)
			check(t, g, before)
		}
	})
}

func check(t *rapid.T, g *group, before []Entry) {
	sum, eligible, lost, voluntary := 0.0, 0, 0.0, 0.0
	for i, e := range g.entries {
		sum += e.Share
		if e.Eligible {
			eligible++
			voluntary += max(0, before[i].Share-e.Share)
		} else {
			lost += before[i].Share
			if e.Share != 0 {
				t.Fatalf("ineligible endpoint %d has share %v", i, e.Share)
			}
		}
	}
	if eligible > 0 && math.Abs(sum-1) > 1e-9 {
		t.Fatalf("shares sum to %v: %v", sum, g.shares())
	}
	if eligible == 0 && sum != 0 {
		t.Fatalf("shares %v without an eligible endpoint", g.shares())
	}
	// What a healthy endpoint loses is a voluntary move, whatever else happens.
	if g.bounds.MaxShift > 0 && lost < 1-tolerance && voluntary > g.bounds.MaxShift+1e-5 {
		t.Fatalf("%v moved voluntarily at once, max shift is %v: %+v to %v", voluntary, g.bounds.MaxShift, before, g.shares())
	}
}

// Who is at its cap is not chosen of free will by clients that would only be sent on,
// and is once there is room. Whose own choice fails goes there all the same.
func TestFullIsNotChosen(t *testing.T) {
	g := newGroup(best, steering.Switch{Margin: 0.1}, 100, 50)
	g.entries[1].Score, g.entries[1].Full = 200, true
	g.after(time.Minute).want(t, "the better one is full", 1, 0)
	if len(g.out.Holds) != 1 || g.out.Holds[0].By != steering.HoldCap {
		t.Errorf("held by %+v, want the cap", g.out.Holds)
	}
	g.entries[1].Full = false
	g.after(time.Minute).want(t, "it has room again", 0, 1)
	g.entries[1].Full = true
	g.entries[0].Score = 199
	g.after(time.Minute).want(t, "who is there stays though it is full", 0, 1)
	g.entries[0].Full = true
	g.fail(1)
	g.after(time.Second).want(t, "the choice failed, and the only other one is full", 1, 0)
}

// While caps send many to others, nothing is chosen of free will, for six tenths of the
// failback; what fails is left at once.
func TestNothingIsChosenInASurge(t *testing.T) {
	g := newGroup(best, steering.Switch{Margin: 0.1, Failback: 10 * time.Minute}, 100, 50, 10)
	g.surged = g.now
	g.entries[1].Score = 200
	for range 5 {
		g.after(time.Minute).want(t, "in a surge", 1, 0, 0)
	}
	g.after(time.Minute).want(t, "after the surge", 0, 1, 0)
	g.surged = g.now
	g.fail(1)
	if g.after(time.Second); g.entries[1].Share != 0 {
		t.Errorf("what fails in a surge is left: %v", g.shares())
	}
}

// Who is near its cap may be slow because of a crowd of which nothing is known yet. Where
// others see the same and would leave with it, a group waits a dwell before it believes
// that another is better.
func TestCrowdIsWaitedFor(t *testing.T) {
	crowded := func() *group {
		g := newGroup(best, steering.Switch{Margin: 0.1, Dwell: time.Minute}, 100, 50)
		g.shared = true
		g.after(time.Hour)
		g.entries[0].Near = true
		g.entries[1].Score = 200
		return g
	}
	g := crowded()
	g.after(time.Second).want(t, "at once", 1, 0)
	g.heldBy(t, steering.HoldDwell)
	if left := g.out.Next.Sub(g.now); left != time.Minute {
		t.Errorf("it thinks again in %v, want a minute", left)
	}
	g.after(59*time.Second).want(t, "within the dwell", 1, 0)
	g.after(time.Second).want(t, "after it", 0, 1)

	g = crowded()
	g.after(30*time.Second).want(t, "at first", 1, 0)
	g.entries[1].Score = 50
	g.after(10*time.Second).want(t, "it was a moment", 1, 0)
	g.entries[1].Score = 200
	g.after(50*time.Second).want(t, "and it counts anew", 1, 0)

	g = crowded()
	g.shared = false
	g.after(time.Second).want(t, "its own clients say so", 0, 1)
	g = crowded()
	g.entries[0].Near = false
	g.after(time.Second).want(t, "there is room: it is no crowd", 0, 1)
	g = crowded()
	g.fail(0)
	g.after(time.Second).want(t, "what fails is left at once", 0, 1)
}
