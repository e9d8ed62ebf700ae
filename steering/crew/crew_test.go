package crew_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"fairway/steering/crew"
)

// member tells whether it works.
type member struct{ working, begun atomic.Int32 }

func (m *member) run(ctx context.Context) {
	m.begun.Add(1)
	m.working.Add(1)
	<-ctx.Done()
	m.working.Add(-1)
}

func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c crew.Crew
		var before, dropped, during, stopped, after member
		c.Go(before.run)
		stop := c.Go(dropped.run)
		stop()
		synctest.Wait()
		if before.begun.Load() != 0 {
			t.Error("a member works before Run")
		}

		ctx, end := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() {
			if err := c.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		c.Go(during.run)
		stop = c.Go(stopped.run)
		synctest.Wait()
		if before.working.Load() != 1 || during.working.Load() != 1 || stopped.working.Load() != 1 {
			t.Error("not everybody works while Run runs")
		}
		stop()
		stop()
		synctest.Wait()
		if stopped.working.Load() != 0 || during.working.Load() != 1 {
			t.Error("stop ended another member than its own")
		}
		if err := c.Run(ctx); err == nil {
			t.Error("a second Run was taken")
		}

		end()
		run.Wait()
		if before.working.Load() != 0 || during.working.Load() != 0 {
			t.Error("Run returned while members work")
		}
		stop = c.Go(after.run)
		synctest.Wait()
		stop()
		if dropped.begun.Load() != 0 || after.begun.Load() != 0 {
			t.Error("a member began that was stopped before Run, or started after it")
		}
	})
}

// A member may start and stop others.
func TestMembersStartMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c crew.Crew
		var second member
		c.Go(func(context.Context) { c.Go(second.run)() })
		ctx, end := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { c.Run(ctx) })
		synctest.Wait()
		if second.begun.Load() != 1 || second.working.Load() != 0 {
			t.Error("the member that was started and stopped by another one did not begin and end")
		}
		end()
		run.Wait()
	})
}
