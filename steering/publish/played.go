package publish

import (
	"context"
	"maps"
	"time"

	"fairway/steering"
)

// SetPlayed takes what players tell, in place of what they told before, and returns
// when doors answer by it. It may reorder endpoints that are up, and no more.
func (l *Loop) SetPlayed(ctx context.Context, t steering.PlayedTable) error {
	return l.order(ctx, func(time.Time) {
		if !maps.Equal(t, l.played) {
			l.played = t
			l.judge.SetPlayed(t)
		}
	})
}
