package publish

import (
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

// crowd is one service with an endpoint of each of n providers, decided round by
// round in regions that are judged apart.
type crowd struct {
	*testing.T
	fleet
	t      *track
	layout *steering.Layout
	table  steering.HealthTable
	now    time.Time
	orders []steering.Override
}

func newCrowd(t *testing.T, providers, regions int, bounds steering.Switch) *crowd {
	f := fleet{services: 1, regions: regions, endpoints: providers, columns: regions}
	layout := f.layout(t, "h1", 0)
	p := layout.Revision.Policies[0]
	p.Switch, p.Rules[0].Split = bounds, steering.SplitSpec{Kind: steering.SplitWeighted}
	c := &crowd{T: t, fleet: f, layout: layout, now: noon, table: f.health(layout, noon.Add(-time.Hour))}
	c.t = newTrack(layout, emptySlots(layout))
	c.after(0)
	return c
}

// after lets time pass and decides again.
func (c *crowd) after(d time.Duration) *crowd {
	c.now = c.now.Add(d)
	c.t.judged(c.table, slog.New(slog.DiscardHandler))
	c.t.decide(c.orders, c.now)
	return c
}

// set gives a provider's endpoint a verdict in every region.
func (c *crowd) set(v steering.Verdict, providers ...int) *crowd {
	rows := map[int][]steering.Health{}
	for _, p := range providers {
		row := c.table.Subject(c.layout.Revision.Services[0].Endpoints[p].Subject())
		rows[row] = make([]steering.Health, c.columns)
		for i := range rows[row] {
			rows[row][i] = *c.table.At(row, i)
			rows[row][i].Verdict, rows[row][i].Since = v, c.now
		}
	}
	c.table = c.table.WithRows(c.table.Index(), pointed(rows))
	return c
}

func (c *crowd) slot(region int) *slot { return c.t.slots[0][region] }

// want checks the shares in the first region.
func (c *crowd) want(what string, shares ...float64) {
	c.Helper()
	for i, want := range shares {
		if got := c.slot(0).split.Weight(c.layout.Revision.Services[0].Endpoints[i].ID); math.Abs(got-want) > 1e-5 {
			c.Errorf("%s: provider %d has %.4f, want %.4f (held by %v)", what, i, got, want, c.slot(0).holds)
		}
	}
}

func (c *crowd) wantHold(what string, by steering.HoldCode) {
	c.Helper()
	for _, h := range c.slot(0).holds {
		if h.By == by {
			return
		}
	}
	c.Errorf("%s: held by %v, want %s", what, c.slot(0).holds, by)
}

var braking = steering.Switch{Brake: steering.Brake{Above: 0.5, Within: 2 * time.Minute}}

// So much turning down at once is likelier to be the measurements' fault: nothing
// is emptied until it has stood for a while.
func TestBrakeHoldsAMass(t *testing.T) {
	c := newCrowd(t, 4, 2, braking)
	c.want("at first", 0.25, 0.25, 0.25, 0.25)
	c.set(steering.Down, 0, 1, 2).after(time.Second)
	c.want("three of four at once", 0.25, 0.25, 0.25, 0.25)
	c.wantHold("three of four at once", steering.HoldBrake)
	if b := c.t.braked; len(b) != 2 || b[0].Down != 3 || b[0].Of != 4 || !b[0].Until.Equal(c.now.Add(2*time.Minute-time.Second)) {
		t.Errorf("braked %+v, want 3 of 4 in both regions until two minutes after", b)
	}
	if next := c.slot(0).next; !next.Equal(c.t.braked[0].Until) {
		t.Errorf("looked at again at %v, want when the brake lets go", next)
	}
	c.set(steering.Healthy, 1, 2).after(time.Second)
	c.want("two of them were a false alarm, one was not", 0, 1./3, 1./3, 1./3)

	c = newCrowd(t, 4, 1, braking)
	c.set(steering.Down, 0, 1, 2).after(time.Second).after(2 * time.Minute)
	c.want("it has stood for two minutes: it is believed", 0, 0, 0, 1)
	if len(c.t.braked) != 0 {
		t.Errorf("still braked: %+v", c.t.braked)
	}
}

// Never is the loss of a single provider held back, however much of all it is.
func TestBrakeLetsASingleProviderGo(t *testing.T) {
	c := newCrowd(t, 4, 1, braking)
	c.set(steering.Down, 2).after(time.Second)
	c.want("one provider", 1./3, 1./3, 0, 1./3)

	// Three of its own four endpoints, and one of another's.
	f := fleet{services: 4, regions: 1, endpoints: 2, columns: 1}
	layout := f.layout(t, "h1", 0)
	for _, s := range layout.Revision.Services {
		s.Policy = layout.Revision.Policies[0]
	}
	layout.Revision.Policies[0].Switch = braking
	layout, err := steering.NewLayout(layout.Revision, layout.Table)
	if err != nil {
		t.Fatal(err)
	}
	table := f.health(layout, noon)
	rows := map[int][]steering.Health{}
	for i, s := range layout.Revision.Services {
		for e, endpoint := range s.Endpoints {
			if e == 0 || i == 0 { // all of provider 0, one of the four of provider 1
				h := steering.Health{Verdict: steering.Down, Since: noon, Samples: 9}
				rows[table.Subject(endpoint.Subject())] = []steering.Health{h}
			}
		}
	}
	tr := newTrack(layout, emptySlots(layout))
	tr.judged(table, slog.New(slog.DiscardHandler))
	tr.decide(nil, noon)
	tr.judged(table.WithRows(table.Index(), pointed(rows)), slog.New(slog.DiscardHandler))
	tr.decide(nil, noon.Add(time.Second))
	if len(tr.braked) != 0 {
		t.Errorf("braked %+v: one provider is lost, the other hardly touched", tr.braked)
	}
	if got := tr.slots[1][0].split.Weight(layout.Revision.Services[1].Endpoints[1].ID); got != 1 {
		t.Errorf("the other provider has %v of the clients, want all", got)
	}
}

// The brake is for what would be crowded: when all is down, on_all_down decides, and
// an operator's drain is obeyed whatever brakes.
func TestBrakeGivesWay(t *testing.T) {
	c := newCrowd(t, 3, 1, braking)
	c.set(steering.Down, 0, 1, 2).after(time.Second)
	if got := c.slot(0).split.Reason.Code; got != steering.ReasonAllDown {
		t.Errorf("all is down: %s, want %s", got, steering.ReasonAllDown)
	}
	c = newCrowd(t, 5, 1, braking)
	c.set(steering.Down, 0, 1, 2, 3)
	c.orders = []steering.Override{{ID: "1", Kind: steering.Drain, Provider: "provider-0", Expires: noon.Add(time.Hour)}}
	c.t.markAll()
	c.after(time.Second)
	c.want("drained in spite of the brake, to the one that is up", 0, 0.2, 0.2, 0.2, 0.4)
}

// What the brake holds keeps the clients that it has; nobody is sent there. Here a
// voluntary move to endpoint 0 has hardly begun, or not at all, when that turns down
// with most others, and the one that has all clients is drained.
func TestBrakeSendsNobodyToWhatIsDown(t *testing.T) {
	for name, maxShift := range map[string]float64{"begun": 0.01, "not begun": 1e-9} {
		begun := math.Round(maxShift*1e6) / 1e6
		c := newCrowd(t, 6, 2, steering.Switch{Brake: braking.Brake, MaxShift: maxShift})
		c.weigh(0, 0, 0, 0, 0, 1)
		c.t = newTrack(c.layout, emptySlots(c.layout))
		c.after(time.Second).want(name+": the first choice", 0, 0, 0, 0, 0, 1)
		c.weigh(1, 0, 0, 0, 0, 0)
		c.after(time.Minute).want(name+": on its way", begun, 0, 0, 0, 0, 1-begun)
		c.set(steering.Down, 0, 1, 2, 3)
		c.weigh(1, 0, 0, 0, 3, 0)
		c.orders = []steering.Override{{ID: "1", Kind: steering.Drain, Provider: "provider-5", Expires: noon.Add(time.Hour)}}
		c.after(time.Second)
		if len(c.t.braked) != 2 {
			t.Fatalf("%s: braked %+v, want both regions", name, c.t.braked)
		}
		c.want(name+": nobody is sent to what is down", begun, 0, 0, 0, 1-begun, 0)
	}
}

// weigh gives the endpoints other static weights.
func (c *crowd) weigh(weights ...float64) {
	for i, w := range weights {
		c.layout.Revision.Services[0].Endpoints[i].Weight = w
	}
	c.t.markAll()
}

// A brake that is not set holds nothing.
func TestNoBrake(t *testing.T) {
	c := newCrowd(t, 4, 1, steering.Switch{})
	c.set(steering.Down, 0, 1, 2).after(time.Second)
	c.want("three of four at once", 0, 0, 0, 1)
}

func TestBrakeIsTold(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	b := []steering.Braked{{Policy: "live", Region: "eu", Down: 3, Of: 4}}
	tell(logger, nil, b)
	tell(logger, b, b)
	tell(logger, b, nil)
	if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[0], "level=ERROR") ||
		!strings.Contains(lines[0], "region=eu") || !strings.Contains(lines[1], "lets go") {
		t.Errorf("log:\n%s", log.String())
	}
}

// A freeze of the policy stops what is voluntary and nothing else.
func TestFreeze(t *testing.T) {
	c := newCrowd(t, 3, 1, steering.Switch{
		Freeze: &steering.FreezeSpec{Until: noon.Add(10 * time.Minute), Reason: "final", Author: "ann"},
	})
	c.want("the first choice is free", 1./3, 1./3, 1./3)
	c.layout.Revision.Services[0].Endpoints[0].Weight = 2
	c.t.markAll()
	c.after(time.Second)
	c.want("frozen", 1./3, 1./3, 1./3)
	c.wantHold("frozen", steering.HoldFreeze)
	if h := c.slot(0).holds[0]; !h.Until.Equal(noon.Add(10*time.Minute)) || h.Note != "final, by ann" {
		t.Errorf("hold %+v tells neither until when nor why", h)
	}
	c.set(steering.Down, 1).after(time.Second)
	c.want("a loss is left all the same", 1./3+2./9, 0, 1./3+1./9)
	c.set(steering.Healthy, 1).after(time.Minute)
	c.want("what comes back waits", 1./3+2./9, 0, 1./3+1./9)
	c.after(10 * time.Minute)
	c.want("thawed", 0.5, 0.25, 0.25)
}

// max_shift bounds each region, max_shift_global all of them together; the hold
// says which.
func TestMaxShiftGlobal(t *testing.T) {
	const regions = 10
	c := newCrowd(t, 2, regions, steering.Switch{MaxShift: 0.4, MaxShiftAll: 0.06})
	moved := func(region int) float64 {
		return c.t.slots[0][region].split.Weight(c.layout.Revision.Services[0].Endpoints[1].ID) - 0.5
	}
	c.layout.Revision.Services[0].Endpoints[0].Weight = 0 // all to the other one: half of the clients of each region
	c.t.markAll()
	c.after(time.Second)
	if a, b, rest := moved(0), moved(1), moved(2); math.Abs(a-0.4) > 1e-5 || math.Abs(b-0.2) > 1e-5 || rest != 0 {
		t.Errorf("moved %.3f, %.3f and %.3f; want 0.4 by its own bound, 0.2 by that of all, nothing", a, b, rest)
	}
	c.wantHold("the first", steering.HoldMaxShift)
	for region := 1; region < regions; region++ {
		if h := c.t.slots[0][region].holds; len(h) != 1 || h[0].By != steering.HoldMaxShiftAll {
			t.Errorf("region %d held by %v, want max_shift_global", region, h)
		}
	}
	before := c.total(moved)
	for range 12 {
		c.after(5 * time.Second)
	}
	if got := c.total(moved) - before; math.Abs(got-0.06) > 1e-3 {
		t.Errorf("%.4f of all clients moved in a minute, want 0.06", got)
	}
	for range 12 * 10 {
		c.after(5 * time.Second)
	}
	if got := c.total(moved); math.Abs(got-0.5) > 1e-5 {
		t.Errorf("%.4f of all clients have moved in the end, want half", got)
	}
}

// total is the mean over the regions.
func (c *crowd) total(moved func(int) float64) float64 {
	sum := 0.0
	for region := range c.regions {
		sum += moved(region)
	}
	return sum / float64(c.regions)
}

// The allowance that all regions share outlives a restart.
func TestMaxShiftGlobalSurvivesARestart(t *testing.T) {
	c := newCrowd(t, 2, 4, steering.Switch{MaxShiftAll: 0.1})
	c.layout.Revision.Services[0].Endpoints[0].Weight = 0
	c.t.markAll()
	c.after(time.Second)
	v := &View{Snapshot: c.t.seal(1, c.now, nil), Health: c.table, main: c.t.side()}
	state := v.State()
	next, err := Still(World{Layout: c.layout, Health: c.table, Now: c.now.Add(6 * time.Second), State: &state})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for g := range 4 {
		sum += (next.Snapshot.Split(0, g).Weight(c.layout.Revision.Services[0].Endpoints[1].ID) - 0.5) / 4
	}
	if math.Abs(sum-0.11) > 1e-3 {
		t.Errorf("%.4f have moved six seconds after 0.1 were, want 0.11", sum)
	}
}

// on_blind says what serves when nothing is measured any more.
func TestOnBlind(t *testing.T) {
	for name, x := range map[string]struct {
		mode     steering.OnBlind
		after    time.Duration // the newest measurement's age
		share    float64       // of provider 1, which is down before
		reason   steering.ReasonCode
		lookedAt time.Duration // when it is looked at again; 0 = never
	}{
		"last":                   {steering.OnBlind{}, time.Hour, 0, steering.ReasonBlind, 0},
		"static":                 {steering.OnBlind{Static: true}, time.Minute, 0.5, steering.ReasonUnproven, 0},
		"static later, too soon": {steering.OnBlind{Static: true, After: 10 * time.Minute}, time.Minute, 0, steering.ReasonBlind, 9 * time.Minute},
		"static later":           {steering.OnBlind{Static: true, After: 10 * time.Minute}, 10 * time.Minute, 0.5, steering.ReasonUnproven, 0},
	} {
		c := newCrowd(t, 2, 1, steering.Switch{})
		c.layout.Revision.Policies[0].OnBlind = x.mode
		c.set(steering.Down, 1).after(time.Second)
		c.set(steering.Unknown, 0, 1)
		rows := map[int][]steering.Health{}
		for i := range 2 {
			h := *c.table.At(i, 0)
			h.Newest, h.Since = c.now, c.now
			rows[i] = []steering.Health{h}
		}
		c.table = c.table.WithRows(c.table.Index(), pointed(rows))
		begin := c.now
		c.after(x.after)
		c.want(name, 1-x.share, x.share)
		if got := c.slot(0).split.Reason.Code; got != x.reason || c.slot(0).split.Trouble != steering.TroubleStale {
			t.Errorf("%s: reason %s, trouble %q; want %s, stale", name, got, c.slot(0).split.Trouble, x.reason)
		}
		want := time.Time{}
		if x.lookedAt > 0 {
			want = begin.Add(x.after + x.lookedAt)
		}
		if got := c.slot(0).next; !got.Equal(want) {
			t.Errorf("%s: looked at again at %v, want %v", name, got, want)
		}
	}
}

// TestOverridesBeatPolicy: every kind with what it is scoped by.
func TestOverridesBeatPolicy(t *testing.T) {
	order := func(o steering.Override) []steering.Override {
		o.ID, o.Expires, o.Reason, o.Author = "1", noon.Add(time.Hour), "final", "ann"
		return []steering.Override{o}
	}
	for name, x := range map[string]struct {
		order  steering.Override
		shares []float64
	}{
		"a drained pool":                 {steering.Override{Kind: steering.Drain, Pool: "two"}, []float64{0.5, 0.5, 0}},
		"a drained pool of a provider":   {steering.Override{Kind: steering.Drain, Provider: "provider-0", Pool: "two"}, []float64{1. / 3, 1. / 3, 1. / 3}},
		"a forced pool":                  {steering.Override{Kind: steering.Force, Pool: "one"}, []float64{0.5, 0.5, 0}},
		"a weight":                       {steering.Override{Kind: steering.Weigh, Provider: "provider-1", Weight: 3}, []float64{0.2, 0.6, 0.2}},
		"a weight of 0":                  {steering.Override{Kind: steering.Weigh, Pool: "one"}, []float64{0, 0, 1}},
		"a weight elsewhere":             {steering.Override{Kind: steering.Weigh, Provider: "provider-1", Weight: 3, Region: "region-000"}, []float64{1. / 3, 1. / 3, 1. / 3}},
		"services with a label":          {steering.Override{Kind: steering.Drain, Provider: "provider-0", Labels: "team=sport*"}, []float64{0, 0.5, 0.5}},
		"services with another label":    {steering.Override{Kind: steering.Drain, Provider: "provider-0", Labels: "team=news"}, []float64{1. / 3, 1. / 3, 1. / 3}},
		"another service":                {steering.Override{Kind: steering.Drain, Provider: "provider-0", Service: "vod"}, []float64{1. / 3, 1. / 3, 1. / 3}},
		"a force does not undo a denial": {steering.Override{Kind: steering.Force, Provider: "provider-3"}, []float64{1. / 3, 1. / 3, 1. / 3}},
	} {
		c := newCrowd(t, 4, 2, steering.Switch{Margin: 0.9})
		service := c.layout.Revision.Services[0]
		service.Labels = map[string]string{"team": "sport-live"}
		for i, e := range service.Endpoints {
			e.Pool = []string{"one", "one", "two", "two"}[i]
		}
		c.layout.Revision.Policies[0].Rules[0].Deny = &steering.Selector{Providers: []string{"provider-3"}}
		c.t.markAll()
		c.after(time.Second)
		c.want(name+", before", 1./3, 1./3, 1./3, 0)
		c.orders = order(x.order)
		c.t.markAll()
		c.after(time.Second).want(name, x.shares...)
		c.orders = nil
		c.t.markAll()
		c.after(2*time.Hour).want(name+", over", 1./3, 1./3, 1./3, 0)
	}

	c := newCrowd(t, 2, 2, steering.Switch{})
	c.orders = order(steering.Override{Kind: steering.Freeze, Region: steering.DefaultRegion})
	c.layout.Revision.Services[0].Endpoints[0].Weight = 3
	c.t.markAll()
	c.after(time.Second)
	c.want("frozen by an operator", 0.5, 0.5)
	c.wantHold("frozen by an operator", steering.HoldFreeze)
	if h := c.slot(0).holds[0]; !h.Until.Equal(noon.Add(time.Hour)) || h.Note != "final, by ann" || !c.slot(0).next.Equal(h.Until) {
		t.Errorf("hold %+v, looked at again at %v", h, c.slot(0).next)
	}
	if got := c.slot(1).split.Weight(c.layout.Revision.Services[0].Endpoints[0].ID); got != 0.75 {
		t.Errorf("the other region has %v, want 0.75: the freeze is not about it", got)
	}
}
