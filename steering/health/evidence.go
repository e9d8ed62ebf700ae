package health

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// maxDetail bounds what a probe's detail adds to the evidence, in bytes.
const maxDetail = 160

// evidence says in a few words why the region's verdict is what it is.
func (s *subject) evidence(r *region, b *ballot, h *steering.Health) string {
	switch {
	case h.Reason == steering.HealthDrift:
		return fmt.Sprintf("%d of %s ok, but latency is %.1f times its usual level", b.healthy, count(b.fresh, "vantage", "vantages"), h.Drift)
	case h.Reason == steering.HealthFlapping:
		return fmt.Sprintf("%d of %s ok, but it was down too often of late", b.healthy, count(b.fresh, "vantage", "vantages"))
	case h.Reason == steering.HealthSick && b.ill != "":
		return fmt.Sprintf("%s here does not count", count(b.sick, "vantage", "vantages"))
	case h.Reason == steering.HealthSick:
		return fmt.Sprintf("%s here sees everything failing that others see well: that says nothing of CDNs", count(b.sick, "vantage", "vantages"))
	}
	switch h.Verdict {
	case steering.Down:
		return fmt.Sprintf("%d of %s: %s", b.down, count(b.fresh, "vantage", "vantages"), s.faults(r, steering.Down))
	case steering.Degraded:
		return fmt.Sprintf("%d of %s: %s", b.down+b.degraded, count(b.fresh, "vantage", "vantages"), s.faults(r, steering.Degraded))
	case steering.Healthy:
		all := fmt.Sprintf("%d of %s ok", b.healthy, count(b.fresh, "vantage", "vantages"))
		if h.Drift > 0 {
			all += fmt.Sprintf("; latency is %.1f times its usual level", h.Drift)
		}
		if b.down+b.degraded == 0 {
			return all
		}
		return fmt.Sprintf("%s, quorum is %d; the rest: %s", all, b.quorum, s.faults(r, steering.Degraded))
	}
	switch {
	case len(r.vantages) == 0:
		return "no vantage measures this region"
	case b.decided() > 0:
		return fmt.Sprintf("only %d of %s fresh, quorum is %d; %s", b.fresh,
			count(len(r.vantages), "vantage", "vantages"), b.quorum, s.faults(r, steering.Degraded))
	case b.fresh > 0:
		return "too few measurements yet"
	case h.Newest.IsZero():
		return "not measured yet"
	}
	return "no fresh measurement since " + h.Newest.UTC().Format(time.RFC3339)
}

// faults sums up what is wrong in the views that are at least as bad as a
// verdict.
func (s *subject) faults(r *region, atLeast steering.Verdict) string {
	var bad []*track // failing addresses, or the name
	unresolved, addresses, samples, oks := false, map[netip.Addr]bool{}, 0, 0
	for _, i := range r.vantages {
		v := &s.views[i]
		if v.verdict < atLeast {
			continue
		}
		samples, oks = samples+v.samples, oks+v.oks
		for t := range v.tracks {
			isBad := v.tracks[t].run.state == failing
			addresses[v.tracks[t].address] = addresses[v.tracks[t].address] || isBad
			if isBad {
				bad = append(bad, &v.tracks[t])
			}
		}
		if v.nameDown {
			unresolved = true
			bad = append(bad, v.unresolved)
		}
	}
	if len(bad) == 0 {
		return fmt.Sprintf("%d of %d measurements ok", oks, samples)
	}
	if unresolved {
		return "the name does not resolve" + example(bad)
	}
	failed := 0
	for _, isBad := range addresses {
		if isBad {
			failed++
		}
	}
	if atLeast == steering.Down {
		return fmt.Sprintf("%s on %d of %s%s", outcomes(bad), failed, count(len(addresses), "address", "addresses"), example(bad))
	}
	return fmt.Sprintf("%d of %s failing%s", failed, count(len(addresses), "address", "addresses"), example(bad))
}

// outcomes lists how the tracks failed last.
func outcomes(bad []*track) string {
	var words []string
	for _, t := range bad {
		words = append(words, string(t.outcome))
	}
	slices.Sort(words)
	return strings.Join(slices.Compact(words), "/")
}

// example tells of one failure, always the same one as long as the same
// addresses fail: the lowest address.
func example(bad []*track) string {
	t := slices.MinFunc(bad, func(a, b *track) int {
		return cmp.Or(a.address.Compare(b.address), cmp.Compare(a.detail, b.detail))
	})
	detail := t.detail
	if detail == "" {
		detail = string(t.outcome)
	}
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	if !t.address.IsValid() {
		return " (" + detail + ")"
	}
	return fmt.Sprintf(" (%s: %s)", t.address, detail)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
