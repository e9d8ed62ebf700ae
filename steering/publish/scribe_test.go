package publish

import (
	"testing"
	"time"

	"fairway/steering"

	"github.com/google/go-cmp/cmp"
)

// States written one after the other say what each view says by itself, and share
// with one another what did not change: one verdict costs its service. Figures beside
// verdicts are not newer than they need be, verdicts always are.
func TestScribe(t *testing.T) {
	f := fleet{services: 50, regions: 40, endpoints: 4, columns: 40}
	l, layout := f.standing(t)
	by := &scribe{refresh: time.Minute}
	last := by.state(l.View())
	now := l.View().At
	for n := range 20 {
		now = now.Add(time.Second)
		row, column := 4*n+1, n
		health := make([]steering.Health, f.columns)
		for c := range health {
			health[c] = *l.table.At(row, c)
			health[c].Newest, health[c].P50 = now, health[c].P50+time.Microsecond
		}
		health[column].Verdict, health[column].Since = steering.Down, now
		l.table = l.table.WithRows(l.table.Index(), pointed(map[int][]steering.Health{row: health}))
		f.round(l, now)
		got, alone := by.state(l.View()), l.View().State()
		if diff := cmp.Diff(alone, got); diff != "" {
			t.Fatalf("change %d: not what the view says (-want +got):\n%s", n, diff)
		}
		d, ok := steering.Difference(&last, &got)
		if !ok || len(d.Groups)+len(d.Services) > 1 || len(d.Health) != 1 {
			t.Errorf("change %d: ok %v, %d services and %d rows of health changed, want 1 and 1", n, ok, len(d.Groups)+len(d.Services), len(d.Health))
		}
		for key, groups := range d.Groups {
			if len(groups) > len(layout.Services[0].Groups)/2 {
				t.Errorf("change %d: %d groups of %s are sent for one region's verdict", n, len(groups), key)
			}
		}
		last = got
	}
	// Newer figures alone wait for their time.
	fresh := func() {
		rows := make(map[int][]steering.Health)
		for row := range l.table.Rows() {
			health := make([]steering.Health, f.columns)
			for c := range health {
				health[c] = *l.table.At(row, c)
				health[c].Newest = now
			}
			rows[row] = health
		}
		l.table = l.table.WithRows(l.table.Index(), pointed(rows))
		f.round(l, now)
	}
	now = now.Add(time.Second)
	fresh()
	if d, ok := steering.Difference(&last, new(by.state(l.View()))); !ok || len(d.Health) > 0 {
		t.Errorf("%d rows of health are sent for newer figures", len(d.Health))
	}
	now = now.Add(time.Minute)
	fresh()
	if got := by.state(l.View()); !got.Health.Equal(l.View().Health) {
		t.Error("after a minute figures are not the newest")
	}
}
