package publish

import (
	"context"
	"time"
)

// verdictsEvery is how often the state is stored for its verdicts alone.
const verdictsEvery = 10 * time.Second

// savePart is which part of the time long saves may take: a state of a million
// decisions takes seconds to write, and they must not be every second's.
const savePart = 10

// shortSave is what a save may take without a rest that grows by it: in a fleet it waits
// for the disks of Consul's servers, which is no work of this processor.
const shortSave = 250 * time.Millisecond

// mostSaveRest is how long one may rest after a save, however long that took: edges of a
// fleet hear of verdicts by saves, and after a first one, which tells of the whole
// world, come short ones.
const mostSaveRest = 10 * time.Second

// saveLoop stores the newest view whenever a generation was made, and the
// verdicts now and then; not oftener than SaveEvery. A failed save is tried
// again with the next one: serving never depends on it. ended is closed after the
// last round, whose view is stored in any case.
func (l *Loop) saveLoop(ctx context.Context, ended <-chan struct{}) {
	by := &scribe{refresh: l.config.RefreshEvery}
	tick := time.NewTicker(verdictsEvery)
	defer tick.Stop()
	var rest <-chan time.Time // a save must not begin before
	for {
		wanted, verdicts := l.saves, tick.C
		if rest != nil {
			wanted, verdicts = nil, nil
		}
		select {
		case <-ended:
			// The last state is worth a moment even while stopping.
			final, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			l.save(final, by)
			return
		case <-rest:
			rest = nil
			continue
		case <-wanted:
		case <-verdicts:
		}
		began := time.Now()
		l.save(ctx, by)
		rest = time.After(l.restAfter(time.Since(began)))
	}
}

// restAfter is how long no save begins after one that took so long.
func (l *Loop) restAfter(took time.Duration) time.Duration {
	return max(l.config.SaveEvery, min(mostSaveRest, (savePart-1)*(took-shortSave)))
}

func (l *Loop) save(ctx context.Context, by *scribe) {
	view := l.View()
	if view.Following {
		return // it is another loop's to store
	}
	if err := l.config.Save(ctx, by.state(view)); err != nil && ctx.Err() == nil {
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
