package publish

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"fairway/steering"
)

// brakeOf is one policy in the regions of one column of the health table, or
// everywhere.
type brakeOf struct {
	policy *steering.Policy
	column int
}

// everywhere stands in place of a column.
const everywhere = -2

// loss is an endpoint that turned down.
type loss struct {
	row, column int
	since       time.Time
}

// lost takes in that a subject turned down, which may be part of a mass.
func (t *track) lost(row, column int, since time.Time) {
	t.losses = append(t.losses, loss{row, column, since})
}

// brakes finds where so much turned down at once that nothing may be emptied: in the
// regions of a column, or everywhere.
func (t *track) brakes(now time.Time) map[brakeOf]steering.Braked {
	longest := time.Duration(0)
	for _, p := range t.layout.Revision.Policies {
		longest = max(longest, p.Switch.Brake.Within)
	}
	t.losses = slices.DeleteFunc(t.losses, func(l loss) bool { return now.Sub(l.since) >= longest })
	if len(t.losses) == 0 {
		return nil
	}
	found := t.brakesEverywhere(now)
	looked := make(map[brakeOf]bool)
	for _, l := range t.losses {
		for _, i := range t.users[l.row] {
			at := brakeOf{t.layout.Services[i].Service.Policy, l.column}
			if looked[at] {
				continue
			}
			looked[at] = true
			if b, holds := t.brake(at, now); holds {
				found[at] = b
			}
		}
	}
	return found
}

// brake counts what turned down under one policy: whichever provider is left out,
// it must be more than a part of the rest.
func (t *track) brake(at brakeOf, now time.Time) (steering.Braked, bool) {
	bounds := at.policy.Switch.Brake
	if bounds.Within <= 0 {
		return steering.Braked{}, false
	}
	type tally struct{ down, of int }
	providers := make(map[string]tally)
	all := tally{}
	b := steering.Braked{Policy: at.policy.Name}
	for i, sl := range t.layout.Services {
		if sl.Service.Policy != at.policy {
			continue
		}
		for e, endpoint := range sl.Service.Endpoints {
			h := t.health.At(t.rows[i][e], at.column)
			young := h.TurnedDown(now, bounds.Within)
			if h.Verdict == steering.Unknown || h.Verdict == steering.Down && !young {
				continue
			}
			n := providers[endpoint.Provider]
			n.of++
			all.of++
			if young {
				n.down++
				all.down++
				if until := h.Since.Add(bounds.Within); b.Until.IsZero() || until.Before(b.Until) {
					b.Until = until
				}
			}
			providers[endpoint.Provider] = n
		}
	}
	for _, n := range providers {
		if float64(all.down-n.down) <= bounds.Above*float64(all.of-n.of) {
			return b, false
		}
	}
	b.Down, b.Of = all.down, all.of
	return b, all.down > 0
}

// rebrake marks the groups that a brake has taken hold of, or let go.
func (t *track) rebrake(before, now map[brakeOf]steering.Braked) {
	for at := range before {
		if _, still := now[at]; !still {
			t.markPolicy(at)
		}
	}
	for at := range now {
		if _, was := before[at]; !was {
			t.markPolicy(at)
		}
	}
}

func (t *track) markPolicy(at brakeOf) {
	for i, sl := range t.layout.Services {
		if sl.Service.Policy != at.policy {
			continue
		}
		s := &t.services[i]
		if at.column == everywhere {
			s.all = true
			continue
		}
		s.mark(at.column)
	}
}

// list gives brakes by name, one for each region.
func (t *track) list(brakes map[brakeOf]steering.Braked) []steering.Braked {
	var all []steering.Braked
	for at, b := range brakes {
		if at.column == everywhere {
			all = append(all, b)
			continue
		}
		for _, region := range t.health.RegionsOf(at.column) {
			b.Region = region
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(a, b steering.Braked) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.Region, b.Region))
	})
	return all
}

// tell logs which brakes took hold and which let go.
func tell(log *slog.Logger, before, now []steering.Braked) {
	among := func(list []steering.Braked, b *steering.Braked) bool {
		return slices.ContainsFunc(list, func(o steering.Braked) bool { return o.Policy == b.Policy && o.Region == b.Region })
	}
	for i := range now {
		if b := &now[i]; !among(before, b) {
			log.Error("mass-down brake: nothing is emptied here until it is certain; look at the vantages first",
				"policy", b.Policy, "region", cmp.Or(b.Region, "all"), "down", b.Down, "of", b.Of, "until", b.Until)
		}
	}
	for i := range before {
		if b := &before[i]; !among(now, b) {
			log.Info("mass-down brake lets go", "policy", b.Policy, "region", cmp.Or(b.Region, "all"))
		}
	}
}
