package publish

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"fairway/steering"
)

// However many goroutines decide, the outcome is the same, also where a policy
// bounds what moves over all services.
func TestAloneOrTogetherTheSame(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	var first []string
	for _, processors := range []int{1, 4} {
		runtime.GOMAXPROCS(processors)
		if told := history(t); first == nil {
			first = told
		} else if !slices.Equal(told, first) {
			at := slices.IndexFunc(told, func(line string) bool { return !slices.Contains(first, line) })
			t.Fatalf("with %d processors it is decided otherwise: %s", processors, told[max(at, 0)])
		}
	}
}

// history decides a changing fleet and tells everything that was decided. Its chances
// are the same each time.
func history(t *testing.T) (told []string) {
	f := fleet{services: 32, regions: 70, endpoints: 3, columns: 70}
	layout := f.layout(t, "h1", 0.1)
	for i, p := range layout.Revision.Policies {
		p.Switch.Dwell, p.Switch.Brake = 0, everywhereBraking.Brake
		if i%3 == 0 {
			p.Switch.MaxShiftAll = 0.1
		}
	}
	table, now := f.health(layout, noon), noon
	chance := rand.New(rand.NewPCG(1, 2))
	tr := newTrack(layout, emptySlots(layout))
	for step := range 3 {
		rows := make(map[int][]steering.Health)
		for row := range table.Rows() {
			health := make([]steering.Health, f.columns)
			for c := range health {
				health[c] = *table.At(row, c)
				health[c].P50 = time.Duration(10+chance.IntN(50)) * time.Millisecond
				if chance.IntN(20) == 0 {
					health[c].Verdict, health[c].Since = steering.Down, now
				}
			}
			rows[row] = health
		}
		table, now = table.WithRows(table.Index(), pointed(rows)), now.Add(7*time.Second)
		tr.judged(table, slog.New(slog.DiscardHandler))
		next, changed := tr.decide(nil, now)
		told = append(told, fmt.Sprintf("step %d: changed %v, next at %v", step, changed, next))
		for i, slots := range tr.slots {
			for g, s := range slots {
				line := fmt.Sprintf("step %d, service %d, group %d: held by %v, looked at again at %v:", step, i, g, s.holds, s.next)
				for _, c := range s.split.Candidates {
					line += fmt.Sprintf(" %s %v %v %s", c.Endpoint.ID, c.Weight, c.Score, c.Reason)
				}
				told = append(told, line)
			}
		}
	}
	return told
}
