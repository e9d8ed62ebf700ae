package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/api/client"
)

// pusher sends measurements from a probe node to every control node, to each at
// its own pace: one that hangs holds up no other.
type pusher struct{ lanes []*lane }

func newPusher(addresses []string, token string, log *slog.Logger, options ...client.Option) (*pusher, error) {
	p := &pusher{}
	var problems []error
	for _, address := range addresses {
		target, err := client.New(address, token, options...)
		problems = append(problems, err)
		p.lanes = append(p.lanes, &lane{target: target, log: log.With("control", address), wake: make(chan struct{}, 1)})
	}
	return p, errors.Join(problems...)
}

// add queues a batch for every control node and returns at once.
func (p *pusher) add(batch []steering.Measurement) {
	for _, l := range p.lanes {
		l.add(batch)
	}
}

// Run sends what is added until ctx ends.
func (p *pusher) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, l := range p.lanes {
		running.Go(func() { l.run(ctx) })
	}
	running.Wait()
	return nil
}

// lane is the way to one control node. When it cannot be reached the newest
// measurements are kept and the oldest dropped: those are worth the least.
type lane struct {
	target  *client.Client
	log     *slog.Logger
	mu      sync.Mutex
	waiting []steering.Measurement
	dropped int
	wake    chan struct{}
}

const (
	pushAtMost  = 30_000 // wait for a control node that is away: two minutes of 250 probes a second
	pushAtOnce  = 5_000  // go in one request
	pushEvery   = 100 * time.Millisecond
	pushRetry   = time.Second
	pushTimeout = 2 * time.Second
)

func (l *lane) add(batch []steering.Measurement) {
	l.mu.Lock()
	l.waiting = append(l.waiting, batch...)
	if over := len(l.waiting) - pushAtMost; over > 0 {
		l.waiting = append(l.waiting[:0], l.waiting[over:]...)
		l.dropped += over
	}
	l.mu.Unlock()
	l.nudge()
}

func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		pause := pushEvery
		if !l.send(ctx) {
			pause = pushRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// send pushes what waits. What did not arrive goes back to the queue, unless
// control has looked at it and will not have it.
func (l *lane) send(ctx context.Context) bool {
	batch, more := l.take()
	if more {
		defer l.nudge()
	}
	if len(batch) == 0 {
		return true
	}
	limited, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	err := l.target.PushMeasurements(limited, batch)
	var refused *api.Error
	switch {
	case err == nil, ctx.Err() != nil:
		return true
	case errors.As(err, &refused) && refusedForGood(refused.Status):
		l.log.Error("control refuses measurements; they are dropped", "count", len(batch), "err", err)
		return true
	}
	l.log.Error("control takes no measurements; they are kept and sent again", "err", err)
	l.mu.Lock()
	l.waiting = append(batch, l.waiting...)
	l.mu.Unlock()
	l.nudge()
	return false
}

// take removes the next batch from the queue.
func (l *lane) take() (batch []steering.Measurement, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 {
		l.log.Warn("measurements dropped: control did not take them in time", "count", l.dropped)
		l.dropped = 0
	}
	n := min(pushAtOnce, len(l.waiting))
	batch = append(batch, l.waiting[:n]...)
	l.waiting = append([]steering.Measurement(nil), l.waiting[n:]...)
	return batch, len(l.waiting) > 0
}

func refusedForGood(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity
}
