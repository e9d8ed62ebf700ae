package steering_test

import (
	"testing"
	"time"

	"fairway/steering"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestWeeklyWindow(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	w := steering.Window{Zone: berlin, Start: 22 * time.Hour, End: 2 * time.Hour}
	w.Days[time.Saturday] = true
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 0, 0, berlin) }
	for _, row := range []struct {
		now  time.Time
		open bool
		next time.Time
	}{
		{at(27, 12, 0), false, at(28, 22, 0)},
		{at(28, 21, 59), false, at(28, 22, 0)},
		{at(28, 22, 0), true, at(29, 2, 0)}, // a Saturday
		{at(29, 1, 59), true, at(29, 2, 0)}, // the night in which clocks go forward at 2
		{at(29, 3, 0), false, time.Date(2026, 4, 4, 22, 0, 0, 0, berlin)},
	} {
		if got := w.Open(row.now); got != row.open {
			t.Errorf("at %v open = %t, want %t", row.now, got, row.open)
		}
		if got := w.Next(row.now); !got.Equal(row.next) {
			t.Errorf("after %v it changes at %v, want %v", row.now, got, row.next)
		}
	}
}

func TestWindowOnce(t *testing.T) {
	from := time.Date(2026, 11, 28, 18, 0, 0, 0, time.UTC)
	w := steering.Window{Zone: time.UTC, From: from, To: from.Add(5 * time.Hour)}
	if w.Open(from.Add(-time.Second)) || !w.Open(from) || !w.Open(w.To.Add(-time.Second)) || w.Open(w.To) {
		t.Error("it is not open from its beginning to before its end")
	}
	if !w.Next(from.Add(-time.Hour)).Equal(from) || !w.Next(from).Equal(w.To) || !w.Next(w.To).IsZero() {
		t.Error("it does not change at its beginning and at its end, and then never again")
	}
}

func TestWindowsOverlap(t *testing.T) {
	berlin, york := zone(t, "Europe/Berlin"), zone(t, "America/New_York")
	weekly := func(z *time.Location, day time.Weekday, start, end int) steering.Window {
		w := steering.Window{Zone: z, Start: time.Duration(start) * time.Hour, End: time.Duration(end) * time.Hour}
		w.Days[day] = true
		return w
	}
	once := func(z *time.Location, day, start, end int) steering.Window {
		return steering.Window{Zone: z, From: time.Date(2026, 11, day, start, 0, 0, 0, z), To: time.Date(2026, 11, day, end, 0, 0, 0, z)}
	}
	for name, row := range map[string]struct {
		a, b steering.Window
		want bool
	}{
		"the same hours":                   {weekly(berlin, 6, 18, 20), weekly(berlin, 6, 19, 21), true},
		"one after the other":              {weekly(berlin, 6, 18, 20), weekly(berlin, 6, 20, 21), false},
		"other days":                       {weekly(berlin, 6, 18, 20), weekly(berlin, 0, 18, 20), false},
		"into the next day":                {weekly(berlin, 6, 22, 3), weekly(berlin, 0, 2, 4), true},
		"from Saturday into Sunday's week": {weekly(berlin, 6, 22, 1), weekly(berlin, 0, 0, 4), true},
		"only while one clock has changed": {weekly(berlin, 0, 18, 19), weekly(york, 0, 13, 14), true}, // five hours apart for a few weeks in spring
		"never, whatever the clocks":       {weekly(berlin, 0, 18, 19), weekly(york, 0, 14, 15), false},
		"once in a week's hours":           {once(berlin, 28, 17, 19), weekly(berlin, 6, 18, 20), true}, // a Saturday
		"once beside them":                 {once(berlin, 28, 10, 18), weekly(berlin, 6, 18, 20), false},
		"once and once":                    {once(berlin, 28, 10, 18), once(york, 28, 11, 13), true},
		"once and once, apart":             {once(berlin, 28, 10, 18), once(york, 28, 12, 13), false},
	} {
		at, got := row.a.Overlaps(&row.b)
		if _, back := row.b.Overlaps(&row.a); got != row.want || back != got {
			t.Errorf("%s: overlap = %t (other way round %t), want %t", name, got, back, row.want)
		}
		if got && (!row.a.Open(at) || !row.b.Open(at)) {
			t.Errorf("%s: at %v not both are open", name, at)
		}
	}
}

// TestLayoutAt: a schedule and a rule that reads the time change only the
// services that they concern, and only when they change something.
func TestLayoutAt(t *testing.T) {
	noon := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	r := revision()
	live, vod := r.Services[0], r.Services[1]
	match := *live
	match.TTL, match.Schedule = 5*time.Second, "match"
	r.Schedules = []*steering.Schedule{{
		Name: "match", Window: steering.Window{Zone: time.UTC, From: noon, To: noon.Add(time.Hour)}, Services: []*steering.Service{&match},
	}}
	vod.Policy = &steering.Policy{Name: "hours", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{
		{Name: "evening", When: func(f *steering.Facts) bool { return f.Now.Hour() >= 18 }, Reads: steering.Reading{Time: true}},
		{Name: "default"},
	}}
	base := layout(t, r)
	rule := func(l *steering.Layout) string { return l.Services[1].Groups[0].Rule.Name }
	if base.Services[0].Service != live || rule(base) != "default" {
		t.Error("at no time a schedule is open, or a rule that reads the time matches")
	}
	if before := base.At(noon.Add(-time.Second)); before != base {
		t.Error("nothing has changed, and yet the layout is another one")
	}
	open := base.At(noon.Add(30 * time.Second))
	if open.Services[0].Service != &match || open.Services[1] != base.Services[1] || open.Base() != base {
		t.Error("the open schedule is not what serves, or changes what it does not concern")
	}
	if again := open.At(noon.Add(10 * time.Minute)); again != open {
		t.Error("the layout is made again though nothing changed")
	}
	if closed := open.At(noon.Add(time.Hour)); closed.Services[0].Service != live {
		t.Error("the schedule is not taken back at its end")
	}
	if evening := open.At(noon.Add(6 * time.Hour)); rule(evening) != "evening" || evening.Services[0].Service != live {
		t.Error("in the evening the evening's rule does not match")
	}
	if next := base.Next(noon.Add(-90 * time.Second)); !next.Equal(noon.Add(-time.Minute)) {
		t.Errorf("looked at again at %v, want the next minute: a rule reads the time", next)
	}
	r = revision()
	if l := layout(t, r); !l.Next(noon).IsZero() || l.At(noon) != l {
		t.Error("a layout that no time changes is to be looked at again")
	}
}

// RFC 5545, section 3.3.5: "If the local time described does not occur (when changing
// from standard to daylight time), the DATE-TIME value is interpreted using the UTC
// offset before the gap in local times."
func TestClockInAGap(t *testing.T) {
	for zone, want := range map[string]string{
		"Europe/Berlin":    "2026-03-29T01:30:00Z",
		"America/New_York": "2026-03-08T07:30:00Z",
		"UTC":              "2026-03-08T02:30:00Z",
	} {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		day := 8
		if zone == "Europe/Berlin" {
			day = 29
		}
		w := steering.Window{Zone: location}
		if got := w.Clock(2026, 3, day, 2*time.Hour+30*time.Minute).UTC().Format(time.RFC3339); got != want {
			t.Errorf("%s: 02:30 is %s, want %s", zone, got, want)
		}
	}
}
