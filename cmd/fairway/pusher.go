package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"fairway/steering"
	"fairway/steering/api/client"
)

// pusher sends measurements from a probe node to every control node. When they
// cannot be reached it keeps the newest and drops the oldest: old measurements
// are worth the least.
type pusher struct {
	targets []*client.Client
	log     *slog.Logger
	mu      sync.Mutex
	waiting []steering.Measurement
	dropped int
	wake    chan struct{}
}

// pushAtMost is how many measurements wait for a control node that is away:
// two minutes of 250 probes a second.
const pushAtMost = 30_000

func newPusher(addresses []string, token string, log *slog.Logger) (*pusher, error) {
	p := &pusher{log: log, wake: make(chan struct{}, 1)}
	var problems []error
	for _, address := range addresses {
		target, err := client.New(address, token)
		p.targets = append(p.targets, target)
		problems = append(problems, err)
	}
	return p, errors.Join(problems...)
}

// add queues a batch and returns at once.
func (p *pusher) add(batch []steering.Measurement) {
	p.mu.Lock()
	p.waiting = append(p.waiting, batch...)
	if over := len(p.waiting) - pushAtMost; over > 0 {
		p.waiting = append(p.waiting[:0], p.waiting[over:]...)
		p.dropped += over
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run sends what waits, ten times a second at most, until ctx ends.
func (p *pusher) Run(ctx context.Context) error {
	const every, retry = 100 * time.Millisecond, time.Second
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		pause := every
		if !p.send(ctx) {
			pause = retry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// send pushes what waits to every control node; what none of them took goes
// back to the queue.
func (p *pusher) send(ctx context.Context) bool {
	const most = 5_000 // in one request
	p.mu.Lock()
	batch := p.waiting[:min(most, len(p.waiting))]
	p.waiting = append([]steering.Measurement(nil), p.waiting[len(batch):]...)
	dropped := p.dropped
	p.dropped = 0
	more := len(p.waiting) > 0
	p.mu.Unlock()
	if dropped > 0 {
		p.log.Warn("measurements dropped: no control node took them in time", "count", dropped)
	}
	var problems []error
	for _, target := range p.targets {
		if err := target.PushMeasurements(ctx, batch); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) == len(p.targets) && ctx.Err() == nil {
		p.log.Error("no control node takes measurements; they are kept and sent again", "err", errors.Join(problems...))
		p.mu.Lock()
		p.waiting = append(batch, p.waiting...)
		p.mu.Unlock()
		more = true
	}
	if more {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return len(problems) < len(p.targets)
}
