package main

import (
	"fmt"
	"io"
	"time"

	"fairway/tools/sidebyside"
)

// report writes the medians, in relation to gdnsd and to the echo where they ran.
func report(w io.Writer, servers []*server) {
	cost := make(map[string]float64)
	for _, s := range servers {
		cost[s.name] = float64(sidebyside.Median(s.results, result.perAnswer))
	}
	ratio := func(name, to string) string {
		if cost[to] == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", cost[name]/cost[to])
	}
	fmt.Fprintln(w, "| server | CPU ns/answer | least | user | system | to echo | to gdnsd | answers/s | p50 µs | p99 µs | lost | wrong | MiB |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, s := range servers {
		of := func(f func(result) time.Duration) int64 { return int64(sidebyside.Median(s.results, f)) }
		each := func(d time.Duration, r result) time.Duration { return d / time.Duration(max(r.answers, 1)) }
		lost, wrong := 0, 0
		least := s.results[0].perAnswer()
		for _, r := range s.results {
			lost, wrong, least = lost+r.lost, wrong+r.bad, min(least, r.perAnswer())
		}
		fmt.Fprintf(w, "| %s | %.0f | %d | %d | %d | %s | %s | %d | %d | %d | %d | %d | %d |\n",
			s.name, cost[s.name], least.Nanoseconds(),
			of(func(r result) time.Duration { return each(r.user, r) }), of(func(r result) time.Duration { return each(r.system, r) }),
			ratio(s.name, echo), ratio(s.name, gdnsd),
			of(result.perSecond),
			of(func(r result) time.Duration { return r.p50 })/1000, of(func(r result) time.Duration { return r.p99 })/1000,
			lost, wrong, s.Memory()>>20)
	}
}
