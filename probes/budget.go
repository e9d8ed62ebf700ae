package probes

import (
	"context"
	"sync"
	"time"

	"fairway/steering"
)

// budget bounds what probing reads and how many connections go to one target. It
// holds probes back before they begin; one that has begun is never slowed down, or
// its measurement would be ours and not the CDN's.
type budget struct {
	all meter

	mu      sync.Mutex
	targets map[steering.Subject]*allowance
}

// allowance is one target's part, whatever vantages it is probed from.
type allowance struct {
	slots chan struct{} // connections
	meter meter
}

func newBudget() *budget { return &budget{targets: make(map[steering.Subject]*allowance)} }

// set takes up new bounds; targets that are gone are forgotten.
func (b *budget) set(bounds steering.ProbeBudget, targets []Target) {
	b.all.set(bounds.Bandwidth)
	slots := bounds.TargetInFlight
	if slots <= 0 {
		slots = 64
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.targets
	b.targets = make(map[steering.Subject]*allowance, len(targets))
	for _, t := range targets {
		one := before[t.Subject]
		if one == nil || cap(one.slots) != slots {
			one = &allowance{slots: make(chan struct{}, slots)}
		}
		one.meter.set(bounds.TargetBandwidth)
		b.targets[t.Subject] = one
	}
}

// of is a target's allowance; one that is gone has a fresh one to itself.
func (b *budget) of(s steering.Subject) *allowance {
	b.mu.Lock()
	defer b.mu.Unlock()
	if one := b.targets[s]; one != nil {
		return one
	}
	return &allowance{slots: make(chan struct{}, 64)}
}

// meter counts bytes against a rate. What was read is a debt that time pays off; up
// to a second of it may stand open.
type meter struct {
	mu   sync.Mutex
	rate float64   // bit/s; 0 = no bound
	paid time.Time // when all that was read will have been paid off
}

func (m *meter) set(rate float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rate != rate {
		m.rate, m.paid = rate, time.Time{}
	}
}

// spend adds what was read.
func (m *meter) spend(bytes int64, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rate <= 0 || bytes <= 0 {
		return
	}
	if m.paid.Before(now) {
		m.paid = now
	}
	m.paid = m.paid.Add(time.Duration(float64(8*bytes) / m.rate * float64(time.Second)))
}

// wait is how long nothing more may be read.
func (m *meter) wait(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if open := m.paid.Add(-time.Second); open.After(now) {
		return open.Sub(now)
	}
	return 0
}

// await waits until a target may be probed again; false when ctx ends first.
func (b *budget) await(ctx context.Context, a *allowance) bool {
	for {
		now := time.Now()
		wait := max(b.all.wait(now), a.meter.wait(now))
		if wait == 0 {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}
