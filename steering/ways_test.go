package steering_test

import (
	"strings"
	"testing"

	"fairway/steering"
)

// wayRevision has a service whose rules read how clients ask, and one whose rules
// do not.
func wayRevision() *steering.Revision {
	r := revision()
	path := func(prefix string) steering.PathTest {
		return steering.PathTest{Text: prefix, Match: func(p string) bool { return strings.HasPrefix(p, prefix) }}
	}
	r.Services[0].Policy = &steering.Policy{
		Name: "ways", HashV4: 24, HashV6: 56,
		Rules: []*steering.Rule{
			{Name: "resolver", When: func(f *steering.Facts) bool { return f.Source == steering.SourceResolver }, Reads: steering.Reading{Source: true}},
			{
				Name: "vod", When: func(f *steering.Facts) bool { return f.Paths == 1 && f.Cell.Region == "eu" },
				Reads: steering.Reading{Paths: []steering.PathTest{path("/vod/"), path("/vod/live/")}},
			},
			{Name: "live", When: func(f *steering.Facts) bool { return f.Paths == 1 }, Reads: steering.Reading{Paths: []steering.PathTest{path("/vod/live/")}}},
			{Name: "decide", When: func(f *steering.Facts) bool { return f.Door == steering.DoorDecide }, Reads: steering.Reading{Door: true}},
			{Name: "default"},
		},
	}
	return r
}

func TestClientsAreToldApartByHowTheyAsk(t *testing.T) {
	l := layout(t, wayRevision())
	s := snapshotOf(t, l, func(s *steering.Service, _ steering.Group) *steering.Split { return splitOf(t, s.Endpoints, 1) })
	europe, elsewhere := addr("10.1.2.3"), addr("9.9.9.9")
	for _, row := range []struct {
		q    steering.Query
		want string
	}{
		{steering.Query{Client: europe}, "eu/default"},
		{steering.Query{Client: europe, Source: steering.SourceResolver}, "eu/resolver"},
		{steering.Query{Client: europe, Door: steering.DoorRedirect, Path: "/vod/x"}, "eu/vod"},
		{steering.Query{Client: elsewhere, Door: steering.DoorRedirect, Path: "/vod/x"}, "default/default"},
		{steering.Query{Client: europe, Door: steering.DoorRedirect, Path: "/vod/live/x"}, "eu/live"},
		{steering.Query{Client: europe, Door: steering.DoorSteering, Path: "/x"}, "eu/default"},
		{steering.Query{Client: europe, Door: steering.DoorDecide}, "eu/decide"},
		{steering.Query{Client: europe, Door: steering.DoorDecide, Path: "/vod/x"}, "eu/vod"},
	} {
		d := s.Decide(row.q)
		if got := d.Group.Key(); got != row.want {
			t.Errorf("%+v is in group %s, want %s", row.q, got, row.want)
		}
		cell, _ := l.Table.Locate(row.q.Client)
		if parts := l.Services[0].Parts(cell, row.q); len(parts) != 1 || l.Services[0].Groups[parts[0].Group] != d.Group {
			t.Errorf("%+v: Parts says %v, Decide group %s", row.q, parts, d.Group.Key())
		}
		q := row.q
		q.Service = 1
		if key := s.Decide(q).Group.Key(); !strings.HasSuffix(key, "/default") {
			t.Errorf("%+v is in group %s of a service that reads nothing of it", q, key)
		}
	}
}

// What rules do not read makes no way of its own, and a service whose rules read
// nothing of how clients ask has one.
func TestWays(t *testing.T) {
	l := layout(t, wayRevision())
	if got := len(l.Services[1].Ways()); got != 1 {
		t.Errorf("%d ways of asking for a service that reads none, want 1", got)
	}
	// DNS knows no path, but 2 sources. Three other doors: 2 tests.
	if got, want := len(l.Services[0].Ways()), 2+3*4; got != want {
		t.Errorf("%d ways of asking, want %d", got, want)
	}
	for _, w := range l.Services[0].Ways() {
		for cell := range uint32(len(l.Table.Cells())) {
			parts := l.Services[0].PartsOf(cell, &w)
			if len(parts) != 1 || l.Services[0].Groups[parts[0].Group].Matched() != l.Services[0].Matched(cell, &w) {
				t.Errorf("cell %d, way %+v: parts %v and rule %s disagree", cell, w, parts, l.Services[0].Matched(cell, &w).Name)
			}
		}
	}
}

func TestAskingInWaysAllocatesNothing(t *testing.T) {
	l := layout(t, wayRevision())
	s := snapshotOf(t, l, func(s *steering.Service, _ steering.Group) *steering.Split { return splitOf(t, s.Endpoints, 1, 2) })
	q := steering.Query{Client: addr("10.1.2.3"), Door: steering.DoorRedirect, Path: "/vod/live/x"}
	if n := testing.AllocsPerRun(100, func() { s.Decide(q) }); n != 0 {
		t.Errorf("Decide allocates %v times", n)
	}
}
