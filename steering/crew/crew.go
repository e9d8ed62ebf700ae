package crew

import (
	"context"
	"errors"
	"sync"
)

// Crew is a set of goroutines that end with Run. The zero value is ready to be used.
type Crew struct {
	mu      sync.Mutex
	ctx     context.Context      // Run's; nil before Run
	ended   bool                 // nothing starts any more
	waiting map[*member]struct{} // for Run to begin
	running sync.WaitGroup
}

// member is one function that runs, or waits to.
type member struct {
	run    func(context.Context)
	cancel context.CancelFunc // nil = it has not begun
}

// Go has run called in a goroutine of its own, as soon as Run is under way. Its
// context ends with Run's, or by stop, which does not wait for it and may be called
// again.
func (c *Crew) Go(run func(context.Context)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &member{run: run}
	switch {
	case c.ended:
	case c.ctx != nil:
		c.start(m)
	default:
		if c.waiting == nil {
			c.waiting = make(map[*member]struct{})
		}
		c.waiting[m] = struct{}{}
	}
	return func() { c.stop(m) }
}

// Run starts whoever waits, and returns when ctx has ended and all members have. A
// crew runs once.
func (c *Crew) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.ctx != nil {
		c.mu.Unlock()
		return errors.New("crew: Run was called twice")
	}
	c.ctx = ctx
	for m := range c.waiting {
		c.start(m)
	}
	c.waiting = nil
	c.mu.Unlock()
	<-ctx.Done()
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.running.Wait()
	return nil
}

// start starts a member. The caller holds mu.
func (c *Crew) start(m *member) {
	var ctx context.Context
	ctx, m.cancel = context.WithCancel(c.ctx)
	c.running.Go(func() { m.run(ctx) })
}

func (c *Crew) stop(m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, m)
	if m.cancel != nil {
		m.cancel()
	}
}
