package plan

import (
	"fmt"
	"strings"
	"time"
)

// Summary is the plan in one line.
func (p *Plan) Summary() string {
	if !p.Changed {
		return "no change: every client gets the answer that it would get anyway"
	}
	parts := append([]string{Percent(p.Moved) + " of clients move"}, p.details()...)
	return strings.Join(parts, "; ")
}

// details is what the summary adds to the moves.
func (p *Plan) details() []string {
	var parts []string
	if p.Moved >= visible {
		parts = append(parts, p.pace())
	}
	if p.MovedAnyway >= visible {
		parts = append(parts, Percent(p.MovedAnyway)+" are about to move without it")
	}
	parts = append(parts, p.count())
	if p.PerMonth != (Figure{}) {
		parts = append(parts, strings.Replace(fmt.Sprintf("est. %+.0f %s a month", p.PerMonth.Delta(), p.Currency), "  ", " ", 1))
	} else if p.PricePerGB.Delta() != 0 {
		parts = append(parts, fmt.Sprintf("%+.4f per GB", p.PricePerGB.Delta()))
	}
	if n := len(p.WorseP95); n > 0 {
		parts = append(parts, plural(n, "region", "regions")+" with a worse p95")
	}
	return parts
}

// pace says how fast the clients move.
func (p *Plan) pace() string {
	after := time.Duration(p.SettlesAfter * float64(time.Second)).Round(time.Second)
	switch {
	case !p.Settled:
		return fmt.Sprintf("%s at once, still moving after %v", Percent(p.MovedAtOnce), after)
	case p.SettlesAfter == 0:
		return "at once"
	}
	var by []string
	for _, h := range p.HeldBy {
		by = append(by, string(h))
	}
	return fmt.Sprintf("%s at once, all after %v (%s)", Percent(p.MovedAtOnce), after, strings.Join(by, ", "))
}

// count says how many settings changed; those that decide by their name.
func (p *Plan) count() string {
	rules, others := 0, 0
	for _, c := range p.Changes {
		if c.Kind == "rule" {
			rules++
		} else {
			others++
		}
	}
	switch {
	case rules == 0:
		return plural(others, "change", "changes") + " in the files"
	case others == 0:
		return plural(rules, "rule", "rules") + " changed"
	}
	return plural(rules, "rule", "rules") + " and " + plural(others, "other setting", "other settings") + " changed"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Percent writes a share of 0..1: one digit after the point, as far as the
// clients asked can tell.
func Percent(share float64) string {
	switch percent := 100 * share; {
	case percent == 0 || percent >= 99.95:
		return fmt.Sprintf("%.0f %%", percent)
	case percent < 0.1:
		return "< 0.1 %"
	default:
		return fmt.Sprintf("%.1f %%", percent)
	}
}
