package publish

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// aloneBelow is how many groups one goroutine decides as fast as several would.
const aloneBelow = 2000

// decideAll decides services that are due, each with a decider of its goroutine, and
// tells whether any client's answer changed. A service's decision follows from what
// was decided for it before and from evidence that does not change, so that the
// outcome is the same however many goroutines there are. Services of a policy that
// bounds what moves in all are the exception: they are decided one after the other.
func (t *track) decideAll(due []int, newDecider func() *decider) bool {
	var alone, apart []int
	groups := 0
	for _, i := range due {
		sl := t.layout.Services[i]
		if t.bounded(sl) {
			alone = append(alone, i)
			continue
		}
		apart = append(apart, i)
		groups += len(sl.Groups)
	}
	workers := min(runtime.GOMAXPROCS(0), len(apart))
	if groups < aloneBelow {
		workers, alone, apart = 0, due, nil
	}
	var changed atomic.Bool
	var next atomic.Int64
	var crew sync.WaitGroup
	for range workers {
		crew.Go(func() {
			d := newDecider()
			for n := next.Add(1) - 1; n < int64(len(apart)); n = next.Add(1) - 1 {
				if t.decideService(d, apart[n]) {
					changed.Store(true)
				}
			}
		})
	}
	crew.Wait()
	if len(alone) > 0 {
		d := newDecider()
		for _, i := range alone {
			if t.decideService(d, i) {
				changed.Store(true)
			}
		}
	}
	return changed.Load()
}
