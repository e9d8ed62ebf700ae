package publish

import (
	"context"
	"time"
)

// saveLoop stores the newest view whenever a generation was made, and the
// verdicts now and then; not oftener than SaveEvery. A failed save is tried
// again with the next one: serving never depends on it.
func (l *Loop) saveLoop(ctx context.Context) {
	const verdictsEvery = 10 * time.Second
	tick := time.NewTicker(verdictsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			// The last state is worth a moment even while stopping.
			final, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			l.save(final)
			return
		case <-l.saves:
		case <-tick.C:
		}
		l.save(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(l.config.SaveEvery):
		}
	}
}

func (l *Loop) save(ctx context.Context) {
	if err := l.config.Save(ctx, l.View().State()); err != nil && ctx.Err() == nil {
		l.log.Error("state not stored; serving goes on, a restart would begin from the last state stored", "err", err)
	}
}

// wantSave asks for a save; one that is already asked for is enough.
func (l *Loop) wantSave() {
	select {
	case l.saves <- struct{}{}:
	default:
	}
}
