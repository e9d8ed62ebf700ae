package steering_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

func TestLayout(t *testing.T) {
	l := layout(t, revision())
	var keys []string
	for _, g := range l.Services[0].Groups {
		keys = append(keys, g.Key())
	}
	if want := []string{"default/default", "eu/default", "eu/german", "office/default"}; !slices.Equal(keys, want) {
		t.Errorf("groups %v, want %v", keys, want)
	}
	if got, want := byCell(l, 0), []int{0, 1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("cells are in groups %v, want %v", got, want)
	}
	if &l.Services[0].Groups[0] != &l.Services[1].Groups[0] {
		t.Error("two services with one policy do not share their groups")
	}
	for _, row := range []struct {
		find func(string) int
		name string
		want int
	}{
		{l.ByKey, "live", 0}, {l.ByKey, "vod", 1}, {l.ByKey, "LIVE", -1}, {l.ByKey, "", -1},
		{l.ByHost, "live.video.example.", 0}, {l.ByHost, "vod.video.example.", 1}, {l.ByHost, "vod.video.example", -1},
	} {
		if got := row.find(row.name); got != row.want {
			t.Errorf("%q is service %d, want %d", row.name, got, row.want)
		}
	}
}

// byCell gives the group of every cell, for clients that ask over DNS.
func byCell(l *steering.Layout, service int) []int {
	var groups []int
	for cell := range l.Table.Cells() {
		groups = append(groups, l.Services[service].Parts(uint32(cell), steering.Query{})[0].Group)
	}
	return groups
}

// Cells that no rule tells apart fall into one group per region.
func TestCellsOfOneRegionAndRuleAreOneGroup(t *testing.T) {
	r := revision()
	r.Policies[0].Rules = r.Policies[0].Rules[1:]
	l := layout(t, r)
	if got := len(l.Services[0].Groups); got != 3 {
		t.Errorf("%d groups, want 3: default, eu, office", got)
	}
	if got, want := byCell(l, 0), []int{0, 1, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("cells are in groups %v, want %v", got, want)
	}
}

func TestLayoutNeedsBoth(t *testing.T) {
	if _, err := steering.NewLayout(nil, geography()); err == nil {
		t.Error("a layout without a revision")
	}
	if _, err := steering.NewLayout(revision(), nil); err == nil {
		t.Error("a layout without a table")
	}
}

func TestPolicyWithoutALastRulePanics(t *testing.T) {
	r := revision()
	r.Policies[0].Rules = r.Policies[0].Rules[:1]
	defer func() {
		if msg, _ := recover().(string); !strings.Contains(msg, "policy main") {
			t.Errorf("panic %q does not name the policy", msg)
		}
	}()
	layout(t, r)
	t.Error("no panic")
}

func TestSnapshotNeedsEverySplit(t *testing.T) {
	l := layout(t, revision())
	split := splitOf(t, l.Services[0].Service.Endpoints, 1)
	four := []*steering.Split{split, split, split, split}
	for _, row := range []struct {
		splits [][]*steering.Split
		want   string
	}{
		{[][]*steering.Split{four}, "1 services, want 2"},
		{[][]*steering.Split{four, four[:3]}, "vod has 3 splits, want 4"},
		{[][]*steering.Split{four, {split, split, nil, split}}, "vod has no split for eu/german"},
	} {
		_, err := steering.NewSnapshot(1, time.Time{}, l, row.splits, nil)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("error %v, want one with %q", err, row.want)
		}
	}
}

// What is taken over from the last snapshot answers as it did there.
func TestSnapshotTakesOverUnchangedServices(t *testing.T) {
	l := layout(t, revision())
	one := splitOf(t, l.Services[0].Service.Endpoints, 1)
	other := splitOf(t, l.Services[1].Service.Endpoints, 0, 1)
	live, vod := []*steering.Split{one, one, one, one}, []*steering.Split{other, other, other, other}
	first, err := steering.NewSnapshot(1, time.Time{}, l, [][]*steering.Split{live, vod}, nil)
	if err != nil {
		t.Fatal(err)
	}
	changed := []*steering.Split{one, one, splitOf(t, l.Services[0].Service.Endpoints, 0, 1), one}
	second, err := steering.NewSnapshot(2, time.Time{}, l, [][]*steering.Split{changed, vod}, first)
	if err != nil {
		t.Fatal(err)
	}
	scope := func(s *steering.Snapshot, service int) int {
		return s.Decide(steering.Query{Service: service, Client: addr("10.0.0.1")}).Scope
	}
	if got := []int{scope(first, 0), scope(first, 1), scope(second, 0), scope(second, 1)}; !slices.Equal(got, []int{0, 0, 8, 0}) {
		t.Errorf("scopes %v, want 0 0 8 0: only live of the second depends on the address", got)
	}
	if &second.Splits(1)[0] != &first.Splits(1)[0] {
		t.Error("the unchanged splits are not shared")
	}
}

func TestCurrent(t *testing.T) {
	current, publish := steering.NewCurrent(nil)
	if current.Load() != nil {
		t.Error("a snapshot before the first")
	}
	s := weighted(t, 1)
	publish(s)
	if current.Load() != s {
		t.Error("not the snapshot that was published")
	}
	if current, _ := steering.NewCurrent(s); current.Load() != s {
		t.Error("not the snapshot that it began with")
	}
}

func TestSelector(t *testing.T) {
	e := &steering.Endpoint{ID: "live/alpha", Provider: "alpha", Pool: "eu"}
	for _, row := range []struct {
		selector steering.Selector
		want     bool
	}{
		{steering.Selector{}, true},
		{steering.Selector{Providers: []string{"bravo", "alpha"}}, true},
		{steering.Selector{Providers: []string{"bravo"}}, false},
		{steering.Selector{Providers: []string{"alpha"}, Pools: []string{"us"}}, false},
		{steering.Selector{Providers: []string{"alpha"}, Pools: []string{"eu"}, Endpoints: []string{"live/alpha"}}, true},
		{steering.Selector{Endpoints: []string{"live/bravo"}}, false},
	} {
		if got := row.selector.Matches(e); got != row.want {
			t.Errorf("%+v.Matches(%s) = %v", row.selector, e.ID, got)
		}
	}
}
