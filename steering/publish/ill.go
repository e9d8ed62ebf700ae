package publish

import (
	"context"
	"time"

	"fairway/steering"
)

// SetIll names the vantages that say of themselves that they are ill, and why, and
// returns when it is judged so: what they measure does not count.
func (l *Loop) SetIll(ctx context.Context, why map[string]string) error {
	return l.order(ctx, func(time.Time) {
		l.judge.SetIll(why)
		if l.causes == nil {
			l.causes = []steering.Cause{} // so that they are named, whether a verdict changes or not
		}
	})
}
