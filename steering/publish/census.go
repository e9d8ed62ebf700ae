package publish

import (
	"time"

	"fairway/steering"
)

// census counts the endpoints × columns of the health table that are up, by
// provider. It is kept up with the table: to count a large one anew each round would
// cost more than the round.
type census struct {
	index map[string]int // of providers
	of    []int          // row → its provider's index; -1 = no endpoint's row
	up    []int          // by provider
}

// tally is what turned down, of what could have.
type tally struct{ down, of int }

// newCensus counts a table whose endpoints stand in rows.
func newCensus(layout *steering.Layout, rows [][]int, table steering.HealthTable) census {
	c := census{index: make(map[string]int), of: make([]int, table.Rows())}
	for row := range c.of {
		c.of[row] = -1
	}
	for i, sl := range layout.Services {
		for e, endpoint := range sl.Service.Endpoints {
			row := rows[i][e]
			if row < 0 {
				continue
			}
			provider, known := c.index[endpoint.Provider]
			if !known {
				provider = len(c.up)
				c.index[endpoint.Provider] = provider
				c.up = append(c.up, 0)
			}
			c.of[row] = provider
			for column := range table.Index().Columns() {
				if isUp(table.At(row, column)) {
					c.up[provider]++
				}
			}
		}
	}
	return c
}

// turned takes in that the health in a row became another one.
func (c *census) turned(row int, was, is *steering.Health) {
	provider := c.of[row]
	if provider < 0 {
		return
	}
	if isUp(was) {
		c.up[provider]--
	}
	if isUp(is) {
		c.up[provider]++
	}
}

func isUp(h *steering.Health) bool {
	return h.Verdict == steering.Healthy || h.Verdict == steering.Degraded
}

// brakesEverywhere finds the policies for which so much turned down everywhere that
// nothing may be emptied anywhere.
func (t *track) brakesEverywhere(now time.Time) map[brakeOf]steering.Braked {
	found := make(map[brakeOf]steering.Braked)
	masses := make(map[time.Duration]mass) // by window, which most policies share
	looked := make(map[*steering.Policy]bool)
	for _, sl := range t.layout.Services {
		policy := sl.Service.Policy
		bounds := policy.Switch.Brake
		if looked[policy] || bounds.AboveAll <= 0 || bounds.Within <= 0 {
			continue
		}
		looked[policy] = true
		m, known := masses[bounds.Within]
		if !known {
			m = t.mass(now, bounds.Within)
			masses[bounds.Within] = m
		}
		if m.exceeds(bounds.AboveAll) {
			found[brakeOf{policy, everywhere}] = steering.Braked{Policy: policy.Name, Down: m.all.down, Of: m.all.of, Until: m.until}
		}
	}
	return found
}

// mass is what turned down within a window, everywhere.
type mass struct {
	all       tally
	providers []tally
	columns   int       // in which something did
	until     time.Time // when the first of it counts
}

// mass counts what turned down. What has been down for longer, or is not known, is
// neither down nor could it have turned.
func (t *track) mass(now time.Time, within time.Duration) mass {
	m := mass{providers: make([]tally, len(t.census.up))}
	for provider, up := range t.census.up {
		m.providers[provider].of = up
		m.all.of += up
	}
	columns := make(map[int]bool)
	seen := make(map[[2]int]bool, len(t.losses)) // a loss may stand there twice, after a recovery
	for _, l := range t.losses {
		provider, cell := t.census.of[l.row], [2]int{l.row, l.column}
		h := t.health.At(l.row, l.column)
		if provider < 0 || seen[cell] || !h.TurnedDown(now, within) {
			continue
		}
		seen[cell], columns[l.column] = true, true
		m.providers[provider].down++
		m.providers[provider].of++
		m.all.down++
		m.all.of++
		if until := h.Since.Add(within); m.until.IsZero() || until.Before(m.until) {
			m.until = until
		}
	}
	m.columns = len(columns)
	return m
}

// exceeds tells whether more than a part turned down, whichever provider is left
// out, in more than one column: where there is but one, its own brake decides.
func (m *mass) exceeds(above float64) bool {
	if m.columns < 2 {
		return false
	}
	for _, n := range m.providers {
		if float64(m.all.down-n.down) <= above*float64(m.all.of-n.of) {
			return false
		}
	}
	return true
}
