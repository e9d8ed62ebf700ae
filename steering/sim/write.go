package sim

import (
	"encoding/csv"
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
)

// WriteCSV writes results, a line each.
func WriteCSV(w io.Writer, results []Result) error {
	c := csv.NewWriter(w)
	c.Write([]string{
		"scenario", "seed", "policy", "hours", "j_ms", "latency_ms", "errors", "bad_viewers", "worst_j_ms", "moves_per_hour", "back_and_forth",
		"overloaded", "crowded", "false_downs", "dark_j_ms", "per_gb", "origin_share", "lost_hours", "commit_error",
	})
	for _, r := range results {
		line := []string{r.Scenario, strconv.FormatUint(r.Seed, 10), r.Policy}
		for _, x := range []float64{
			r.Hours, r.J, r.Ms, r.Errors, r.Bad, r.WorstJ, r.Moves, r.Back, r.Overload, r.Crowded, float64(r.Falls), r.DarkJ, r.PerGB,
			r.OriginGB, r.LostHours, r.CommitOff,
		} {
			line = append(line, strconv.FormatFloat(x, 'g', 8, 64))
		}
		c.Write(line)
	}
	c.Flush()
	return c.Error()
}

// WriteSVG draws how much of the gap each policy closes, a panel for each scenario,
// with the 95 % intervals. Bars end where there is no room: below nothing is worse
// than the usual practice.
func WriteSVG(w io.Writer, rows []Row) error {
	const name, bar, height, gap = 110, 300, 16, 44
	var order []string
	by := make(map[string][]Row)
	most := 0
	for _, r := range rows {
		if by[r.Scenario] == nil {
			order = append(order, r.Scenario)
		}
		by[r.Scenario] = append(by[r.Scenario], r)
		most = max(most, len(by[r.Scenario]))
	}
	width, tall := (name+bar+30)*min(2, max(1, len(order))), (most*height+gap)*((len(order)+1)/2)+20
	out := func(format string, a ...any) { fmt.Fprintf(w, format, a...) }
	out(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, tall, width, tall)
	out(`<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, tall)
	for i, scenario := range order {
		left, top := i%2*(name+bar+30), i/2*(most*height+gap)+30
		title := scenario
		if about := About(scenario); about != "" {
			title += ": " + about
		}
		out(`<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", left+10, top-8, html.EscapeString(title))
		at := func(percent float64) float64 { // -50..100 % on the bar
			return float64(left+name) + float64(bar)*(min(max(percent, -50), 100)+50)/150
		}
		for _, mark := range []float64{-50, 0, 50, 100} {
			out(`<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#ccc"/>`+"\n", at(mark), at(mark), top, top+len(by[scenario])*height)
			out(`<text x="%.1f" y="%d" fill="#888" text-anchor="middle" font-size="9">%.0f %%</text>`+"\n", at(mark), top+len(by[scenario])*height+10, mark)
		}
		for k, r := range by[scenario] {
			y, colour := top+k*height, "#8aa"
			switch {
			case len(r.Policy) == 2 && r.Policy[0] == 'O':
				colour = "#bbb"
			case r.Policy[0] != 'B':
				colour = "#d62"
			}
			a, b := at(min(0, r.OGC.Mean)), at(max(0, r.OGC.Mean))
			out(`<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left+name-6, y+height-4, html.EscapeString(r.Policy))
			out(`<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", a, y+2, math.Max(b-a, 0.5), height-4, colour)
			out(`<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#333"/>`+"\n", at(r.OGC.Low), at(r.OGC.High), y+height/2, y+height/2)
		}
	}
	_, err := fmt.Fprintln(w, "</svg>")
	return err
}
