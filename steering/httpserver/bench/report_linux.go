package main

import (
	"fmt"
	"io"
	"time"

	"fairway/tools/sidebyside"
)

// report writes the medians, in relation to nginx and HAProxy where they ran.
func report(w io.Writer, servers []*server) {
	cost := make(map[string]float64)
	for _, s := range servers {
		cost[s.name] = float64(sidebyside.Median(s.turns, turn.perAnswer))
	}
	ratio := func(name, to string) string {
		if cost[to] == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", cost[name]/cost[to])
	}
	fmt.Fprintln(w, "| server | CPU µs/answer | least | user | system | to nginx | to HAProxy | answers/s | p50 µs | p99 µs | MiB |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, s := range servers {
		µs := func(f func(turn) time.Duration) float64 { return float64(sidebyside.Median(s.turns, f)) / 1000 }
		least := s.turns[0].perAnswer()
		for _, t := range s.turns {
			least = min(least, t.perAnswer())
		}
		fmt.Fprintf(w, "| %s | %.1f | %.1f | %.1f | %.1f | %s | %s | %d | %.0f | %.0f | %d |\n",
			s.name, cost[s.name]/1000, float64(least)/1000,
			µs(func(t turn) time.Duration { return t.user / time.Duration(t.answers) }), µs(func(t turn) time.Duration { return t.system / time.Duration(t.answers) }),
			ratio(s.name, nginx), ratio(s.name, haproxy),
			sidebyside.Median(s.turns, turn.perSecond),
			µs(func(t turn) time.Duration { return t.p50 }), µs(func(t turn) time.Duration { return t.p99 }), s.Memory()>>20)
	}
}
