package plan_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/plan"
	"fairway/steering/publish"
)

// TestMoves: what an operator changes, and who moves where in the end.
func TestMoves(t *testing.T) {
	for _, row_ := range []struct {
		name   string
		edits  []string
		region string
		moved  float64
		from   string
		to     string
	}{
		{"nothing", nil, "east", 0, "", ""},
		{"a comment", []string{"providers:", "# one comment\nproviders:"}, "east", 0, "", ""},
		{"best becomes within: half goes to the one that is close", []string{"split: best", "split: {within: 10%}"}, "east", 0.5, "live/alpha", "live/bravo"},
		{"within: the one that is far gets nobody", []string{"split: best", "split: {within: 10%}"}, "west", 0, "", ""},
		{"weights", []string{"split: best", "split: {weights: {alpha: 80, bravo: 20}}"}, "east", 0.2, "live/alpha", "live/bravo"},
		{"weights where another one was best", []string{"split: best", "split: {weights: {alpha: 80, bravo: 20}}"}, "west", 0.8, "live/bravo", "live/alpha"},
		{"an endpoint goes", []string{"      - {provider: alpha, host: live.alpha.example}\n", ""}, "east", 1, "live/alpha", "live/bravo"},
		{"an endpoint goes that had nobody here", []string{"      - {provider: alpha, host: live.alpha.example}\n", ""}, "west", 0, "", ""},
		{"a preference", []string{"score: latency", "score: latency\n        prefer: [charlie]"}, "west", 1, "live/bravo", "live/charlie"},
		{"a deny", []string{"score: latency", "score: latency\n        deny: {providers: [bravo]}"}, "west", 1, "live/bravo", "live/alpha"},
	} {
		t.Run(row_.name, func(t *testing.T) {
			p := planned(t, nil, row_.edits...)
			r := row(t, p, "live", row_.region)
			near(t, "moved", r.Moved, row_.moved, 0.01)
			if row_.from != "" && (r.Moves[0].From != row_.from || r.Moves[0].To != row_.to) {
				t.Errorf("moves %+v, want from %s to %s first", r.Moves, row_.from, row_.to)
			}
			if !p.Settled {
				t.Error("it does not settle")
			}
			sum := 0.0
			for _, e := range r.Endpoints {
				sum += e.After
			}
			near(t, "sum of the shares afterwards", sum, 1, 1e-9)
		})
	}
}

func TestChanged(t *testing.T) {
	for name, c := range map[string]struct {
		edits []string
		want  bool
	}{
		"nothing":           {nil, false},
		"a comment":         {[]string{"providers:", "# one comment\nproviders:"}, false},
		"a TTL":             {[]string{"ttl: 30s", "ttl: 20s"}, true},
		"a price":           {[]string{"0.006", "0.007"}, true},
		"a split":           {[]string{"split: best", "split: {within: 10%}"}, true},
		"a rule's name":     {[]string{"name: best", "name: quickest"}, true},
		"a region's prefix": {[]string{"21.0.0.0/8", "22.0.0.0/8"}, true},
	} {
		if p := planned(t, nil, c.edits...); p.Changed != c.want {
			t.Errorf("%s: changed is %v, want %v; %+v", name, p.Changed, c.want, p.Changes)
		}
	}
}

// The prediction is what a node's doors would answer: each client is asked under
// a state that went on by itself.
func TestMovesAreThoseOfTheClients(t *testing.T) {
	before, after := compiled(t), compiled(t, "split: best", "split: {weights: {alpha: 55, bravo: 30, charlie: 15}}")
	state := settledState(t, before)
	p, err := plan.Compare(plan.Input{Before: before, After: after, State: state, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	old, _, err := steering.Restore(before, state)
	if err != nil {
		t.Fatal(err)
	}
	for at := now; at.Before(now.Add(time.Hour)); at = at.Add(10 * time.Second) {
		view, err := publish.Still(publish.World{Layout: after, Health: measured(after), Now: at, State: &state})
		if err != nil {
			t.Fatal(err)
		}
		state = view.State()
	}
	last, _, err := steering.Restore(after, state)
	if err != nil {
		t.Fatal(err)
	}
	moved, clients := map[string]float64{}, queries("live", 20, 60_000, 1)
	for _, c := range clients {
		q := steering.Query{Client: c.Client.Addr()}
		d, e := old.Decide(q), last.Decide(q)
		a, _ := d.First()
		b, _ := e.First()
		if a.Endpoint.ID != b.Endpoint.ID {
			moved[a.Endpoint.ID+" "+b.Endpoint.ID] += 1 / float64(len(clients))
		}
	}
	r := row(t, p, "live", "east")
	if len(r.Moves) != len(moved) {
		t.Errorf("moves %+v, really %v", r.Moves, moved)
	}
	for _, m := range r.Moves {
		near(t, m.From+" to "+m.To, m.Share, moved[m.From+" "+m.To], 0.01)
	}
}

// Dwell, ramp and max shift hold the move back at first.
func TestAtOnceAndInTheEnd(t *testing.T) {
	p := planned(t, nil, "split: best", "split: {within: 10%}", "dwell: 60s", "dwell: 60s, max_shift: 10%/min")
	r := row(t, p, "live", "east")
	near(t, "at once", r.MovedAtOnce, 0.1, 0.01)
	near(t, "in the end", r.Moved, 0.5, 0.01)
	if p.SettlesAfter < 200 || p.SettlesAfter > 320 || !slices.Contains(p.HeldBy, steering.HoldMaxShift) {
		t.Errorf("settles after %v s, held by %v; want about 4 minutes by max_shift", p.SettlesAfter, p.HeldBy)
	}
	if p := planned(t, nil, "split: best", "split: {within: 10%}", "dwell: 60s", "dwell: 60s, max_shift: 0.1%/min"); p.Settled {
		t.Error("half of the clients at 0.1 % a minute settle within the horizon")
	}
}

// A move that is under way is not the change's doing.
func TestMovesAnyway(t *testing.T) {
	p := planned(t, func(in *plan.Input) {
		rows := maps(in.State.Health)
		h := rows["endpoint live/alpha"]["east"]
		h.P50, h.P95 = 10*time.Millisecond, 20*time.Millisecond // bravo's clients in east come later
		state := in.State
		group := state.Services["live"]["east/best"]
		group.Candidates = slices.Clone(group.Candidates) // regions may share them
		for i := range group.Candidates {
			group.Candidates[i].Weight = map[bool]float64{true: 1}[group.Candidates[i].Endpoint == "live/bravo"]
		}
		slices.SortFunc(group.Candidates, func(a, b steering.CandidateRecord) int { return int(math.Ceil(b.Weight - a.Weight)) })
		group.Memory.Target = map[string]float64{"live/bravo": 1}
		group.Memory.Chosen = in.Now
		state.Services["live"]["east/best"] = group
		rows["endpoint live/alpha"]["east"] = h
		in.State.Health = steering.HealthTable{}.With(rows)
	})
	r := row(t, p, "live", "east")
	near(t, "moved anyway", r.MovedAnyway, 1, 0)
	near(t, "moved", r.Moved, 0, 0)
	near(t, "moved at once", r.MovedAtOnce, 0, 0)
	if p.Changed {
		t.Error("the same files count as a change")
	}
}

func maps(h steering.HealthTable) map[steering.Subject]map[string]steering.Health {
	next := make(map[steering.Subject]map[string]steering.Health)
	for s, row := range h.All {
		next[s] = make(map[string]steering.Health)
		for region, health := range row {
			next[s][region] = health
		}
	}
	return next
}

func TestCostLatencyAndTTL(t *testing.T) {
	p := planned(t, func(in *plan.Input) { in.GBMonth = 1_000_000; in.Traffic = queries("live", 20, 2000, 1) },
		"split: best", "split: {weights: {alpha: 50, bravo: 50}}", "ttl: 30s", "ttl: 20s")
	r := row(t, p, "live", "east")
	near(t, "p50 before", r.P50Ms.Before, 20, 1e-9)
	near(t, "p50 after", r.P50Ms.After, 21, 0.1)
	near(t, "p95 after", r.P95Ms.After, 42, 0.2)
	near(t, "price before", r.PricePerGB.Before, 0.004, 1e-12)
	near(t, "price after", r.PricePerGB.After, 0.006, 0.0002)
	near(t, "per month", p.PerMonth.Delta(), 2000, 200)
	if r.TTL != (plan.Figure{Before: 30, After: 20}) {
		t.Errorf("TTL %+v", r.TTL)
	}
	if !slices.Contains(p.WorseP95, "live/east") {
		t.Errorf("worse p95 in %v, want live/east", p.WorseP95)
	}
	if p := planned(t, nil, "alpha:   {price_per_gb: 0.004}", "alpha: {}"); p.PricePerGB != (plan.Figure{}) {
		t.Errorf("a price is told that nobody stated: %+v", p.PricePerGB)
	}
}

// Totals follow where the clients are.
func TestWeights(t *testing.T) {
	edit := []string{"split: best", "split: {within: 10%}"} // half of east moves, nobody of west
	few := planned(t, func(in *plan.Input) {
		in.Traffic = append(queries("live", 20, 4000, 1), queries("live", 21, 4000, 9)...)
	}, edit...)
	if few.Basis != plan.ByQueries || row(t, few, "live", "east").Basis != plan.ByQueries {
		t.Errorf("bases %s and %s", few.Basis, row(t, few, "live", "east").Basis)
	}
	near(t, "weight of east", row(t, few, "live", "east").Weight, 0.1, 1e-9)
	near(t, "moved of all", few.Moved, 0.05, 0.01)

	none := planned(t, nil, edit...)
	east, west := row(t, none, "live", "east"), row(t, none, "live", "west")
	near(t, "a /8 against a /8", east.Weight, west.Weight, 1e-9)
	near(t, "a /8 of IPv4", east.Weight, 1.0/221, 0.001)

	thin := planned(t, func(in *plan.Input) { in.Traffic = queries("live", 20, 20, 1) }, edit...)
	if r := row(t, thin, "live", "east"); r.Basis != plan.ByAddresses || r.Asked < 1000 || r.Weight != 1 {
		t.Errorf("20 networks are enough to judge by: %+v", r)
	}
}

// Clients that change their region are counted under the new one.
func TestRegionsMove(t *testing.T) {
	p := planned(t, nil, "west: {prefixes: [21.0.0.0/8]}", "west: {prefixes: [20.0.0.0/9, 21.0.0.0/8]}")
	r := row(t, p, "live", "west")
	near(t, "a third of west came from east and its alpha", r.Moved, 1./3, 0.001)
	if r.Moves[0].From != "live/alpha" || r.Moves[0].To != "live/bravo" {
		t.Errorf("moves %+v", r.Moves)
	}
}

func TestNewRegionBorrowsHealth(t *testing.T) {
	p := planned(t, nil, "regions:\n", "regions:\n  campus: {prefixes: [21.4.0.0/16]}\n")
	if r := row(t, p, "live", "campus"); r.Moved != 0 || r.P50Ms.After != 30 {
		t.Errorf("campus, out of west: %+v", r)
	}
	if !noted(p, "region campus is new", "from west") {
		t.Errorf("notes %q", p.Notes)
	}
}

func TestNewEndpoint(t *testing.T) {
	unknown := planned(t, nil, "    probe: page\n", "      - {provider: delta, host: live.delta.example}\n    probe: page\n",
		"providers:\n", "providers:\n  delta: {price_per_gb: 0.001}\n")
	if unknown.Moved != 0 || !noted(unknown, "nothing has measured live/delta") {
		t.Errorf("moved %v, notes %q", unknown.Moved, unknown.Notes)
	}
	renamed := planned(t, nil, "{provider: alpha, host: live.alpha.example}", "{name: first, provider: alpha, host: live.alpha.example}")
	r := row(t, renamed, "live", "east")
	if r.Moves[0].To != "live/first" || r.ToProvider != 0 || !noted(renamed, "first is new", "live/alpha") {
		t.Errorf("renamed: %+v, notes %q", r.Moves, renamed.Notes)
	}
}

func noted(p *plan.Plan, words ...string) bool {
	return slices.ContainsFunc(p.Notes, func(note string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(note, w) })
	})
}

// An override that is in force beats both configurations.
func TestOverridesStay(t *testing.T) {
	drain := steering.Override{
		ID: "x", Kind: steering.Drain, Provider: "bravo", Reason: "r", Author: "a", Created: now.Add(-time.Hour), Expires: now.Add(time.Second),
	}
	p := planned(t, func(in *plan.Input) { in.Overrides = []steering.Override{drain} }, "split: best", "split: {within: 10%}")
	if r := row(t, p, "live", "east"); r.Moved != 0 {
		t.Errorf("east moves to a drained endpoint: %+v", r.Moves)
	}
	if p.SettlesAfter > 300 {
		t.Errorf("settles after %v s", p.SettlesAfter)
	}
}

func TestServicesComeAndGo(t *testing.T) {
	p := planned(t, nil, "  live:\n    hostnames: [live.video.example]", "  vod:\n    hostnames: [vod.video.example]")
	if len(p.Rows) != 0 || !p.Changed {
		t.Errorf("%d rows, changed %v", len(p.Rows), p.Changed)
	}
	if data, err := json.Marshal(p); err != nil || strings.Contains(string(data), "NaN") {
		t.Errorf("%s %v", data, err)
	}
}

func TestSameInputSamePlan(t *testing.T) {
	once := func() string {
		return fmt.Sprintf("%+v", *planned(t, nil, "split: best", "split: {weights: {alpha: 55, bravo: 30, charlie: 15}}"))
	}
	if a, b := once(), once(); a != b {
		t.Errorf("two plans of the same:\n%s\n%s", a, b)
	}
}

func TestRefusesAStateOfAnotherVersion(t *testing.T) {
	before := compiled(t)
	if _, err := plan.Compare(plan.Input{Before: before, After: before, State: steering.State{Version: 99}, Now: now}); err == nil {
		t.Error("planned from it")
	}
	if _, err := plan.Compare(plan.Input{Before: before}); err == nil {
		t.Error("planned without a layout")
	}
}

// TestCostOfAMonth: with usage reports and no volume given, the difference is for
// the volume that the month promises.
func TestCostOfAMonth(t *testing.T) {
	begin := steering.MonthOf(now)
	p := planned(t, func(in *plan.Input) {
		in.State.Usage = &steering.UsageState{Accounts: map[string]steering.AccountState{"alpha": {Months: []steering.MonthState{{
			Begin: begin.Unix(), First: begin.Unix(), Bytes: map[string]float64{"": 600_000e9},
		}}}}}
	}, "split: best", "split: {weights: {alpha: 1, bravo: 1}}", "\nproviders:", "\ncurrency: USD\nproviders:")
	near(t, "volume", p.GBMonth*steering.MonthElapsed(now), 600_000, 1)
	if p.Currency != "USD" || p.PerMonth.Before == 0 {
		t.Errorf("%v in %q, want a sum in USD", p.PerMonth, p.Currency)
	}
	near(t, "before", p.PerMonth.Before, p.PricePerGB.Before*p.GBMonth, 1e-3)
	near(t, "after", p.PerMonth.After, p.PricePerGB.After*p.GBMonth, 1e-3)
}
