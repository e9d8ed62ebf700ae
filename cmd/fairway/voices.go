package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"fairway/steering/vantage"
)

// voices sums up the vantages elsewhere that report to a control node.
type voices struct {
	Known int `json:"known"` // that have reported since the node's start
	Heard int `json:"heard"` // of these, within the last silentAfter
	Ill   int `json:"ill"`   // of those that are heard of, that say so of themselves
}

// silentAfter is how long an agent may be silent that speaks every five seconds.
const silentAfter = 30 * time.Second

// hearing sums up what is known of vantages, nil for none, and says what is wrong with
// which of them.
func hearing(rows map[string]vantage.Row, now time.Time) (*voices, []string) {
	if len(rows) == 0 {
		return nil, nil
	}
	v := &voices{Known: len(rows)}
	var trouble []string
	tell := func(name, format string, args ...any) {
		trouble = append(trouble, "vantage "+name+": "+fmt.Sprintf(format, args...))
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		row := rows[name]
		silent := now.Sub(row.Heard)
		if silent > silentAfter {
			tell(name, "not heard of for %s", age(silent))
			continue
		}
		v.Heard++
		if row.Condition.Ill {
			v.Ill++
			tell(name, "ill: %s", row.Condition)
		}
		if row.Gaps > 0 || row.Dropped > 0 {
			tell(name, "%d batches never came, %d measurements were given up there", row.Gaps, row.Dropped)
		}
		if row.Runs > 1 {
			tell(name, "%d agents report as it", row.Runs)
		}
	}
	return v, trouble
}
