package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/vantage"
)

// Control is one control node.
type Control interface {
	Address() string
	Report(ctx context.Context, from vantage.Sender, batch []steering.Measurement) (api.Accepted, error)
	Assignment(ctx context.Context, vantage, after string, wait time.Duration, work any) (tag string, fresh bool, err error)
}

// lane is the way to one control node for one vantage. When it cannot be reached the
// newest measurements are kept and the oldest given up: those are worth the least.
type lane struct {
	of      *Courier
	control Control
	vantage string
	log     *slog.Logger
	wake    chan struct{}
	end     func() // guarded by Courier.mu

	mu      sync.Mutex
	waiting []steering.Measurement
	flight  []steering.Measurement // the batch under way, whose number is sequence
	dropped uint64

	// Owned by run.
	clock    *clock
	sequence uint64
	cut      bool // the last exchange failed
}

const (
	atOnce    = 1000 // measurements in one request: at their largest within the node's limits
	pause     = 100 * time.Millisecond
	heartbeat = 5 * time.Second // nothing longer without a word: a condition must not be forgotten
	patience  = 5 * time.Second // for one exchange
	retryMost = 10 * time.Second
)

func (l *lane) add(batch []steering.Measurement) {
	l.mu.Lock()
	l.waiting = append(l.waiting, batch...)
	l.bound()
	l.mu.Unlock()
	l.nudge()
}

// bound gives up the oldest: first the batch under way, whose number is then a gap.
// The caller holds mu.
func (l *lane) bound() {
	over := len(l.flight) + len(l.waiting) - l.of.config.Buffer
	if over <= 0 {
		return
	}
	if len(l.flight) > 0 {
		over -= len(l.flight)
		l.dropped += uint64(len(l.flight))
		l.flight = nil
	}
	if over > 0 {
		l.waiting = append(l.waiting[:0], l.waiting[over:]...)
		l.dropped += uint64(over)
	}
}

func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run sends what waits, and a greeting now and then, until ctx ends.
func (l *lane) run(ctx context.Context) {
	backoff := pause
	for {
		wait := heartbeat
		switch err := l.turn(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.tell(err)
			wait = backoff/2 + rand.N(backoff) // jitter: agents that were cut off together do not come back together
			backoff = min(2*backoff, retryMost)
			if sleep(ctx, wait) != nil {
				return
			}
			continue
		default:
			l.tell(nil)
			backoff = pause
		}
		if l.behind() {
			wait = pause
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-l.wake:
			timer.Stop()
			if sleep(ctx, pause) != nil {
				return
			}
		case <-timer.C:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// tell says when a control node is cut off, and when it is back.
func (l *lane) tell(err error) {
	if cut := err != nil; cut != l.cut {
		l.cut = cut
		if cut {
			l.log.Error("the control node takes no measurements; they are kept and sent again", "err", err)
		} else {
			l.log.Info("the control node takes measurements")
		}
	}
}

// behind tells whether there is more to send.
func (l *lane) behind() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.flight)+len(l.waiting) > 0
}

// turn measures the clocks as long as they are not known, and sends one batch.
func (l *lane) turn(ctx context.Context) error {
	for !l.clock.known() {
		before := len(l.clock.exchanges)
		if err := l.exchange(ctx, 0, nil); err != nil {
			return err
		}
		if len(l.clock.exchanges) == before {
			return errors.New("its answers tell no time: is it of an older release?")
		}
	}
	batch := l.take()
	if len(batch) == 0 {
		return l.exchange(ctx, 0, nil)
	}
	sequence := l.sequence
	err := l.exchange(ctx, sequence, batch)
	var refused *api.Error
	if err != nil && errors.As(err, &refused) {
		switch {
		case refused.Status == http.StatusConflict:
			l.clock.forget()
			return err
		case !refusedForGood(refused.Status):
			return err
		}
		l.log.Error("the control node refuses measurements; they are given up", "count", len(batch), "err", err)
	} else if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flight == nil { // it was given up while it arrived
		l.dropped -= uint64(len(batch))
	}
	l.flight = nil
	return nil
}

// take is the batch under way, or makes the next one.
func (l *lane) take() []steering.Measurement {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.flight) == 0 && len(l.waiting) > 0 {
		n := min(atOnce, len(l.waiting))
		l.flight = append([]steering.Measurement(nil), l.waiting[:n]...)
		l.waiting = append([]steering.Measurement(nil), l.waiting[n:]...)
		l.sequence++
	}
	return l.flight
}

// exchange sends one batch, or a greeting, and learns from the answer how the clocks
// stand.
func (l *lane) exchange(ctx context.Context, sequence uint64, batch []steering.Measurement) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now := l.clock.now()
	from := l.of.sender(l.vantage)
	from.Sequence, from.Sent = sequence, now
	if len(l.clock.exchanges) > 0 {
		from.Sent, from.Offset = l.clock.there(now), l.clock.offset(now)
	}
	l.mu.Lock()
	from.Buffered, from.Dropped = len(l.waiting)+len(l.flight)-len(batch), l.dropped
	l.mu.Unlock()
	timed := make([]steering.Measurement, len(batch))
	for i, m := range batch {
		m.At = l.clock.when(m.At, now)
		timed[i] = m
	}
	sent := l.clock.now()
	answer, err := l.control.Report(ctx, from, timed)
	if err != nil {
		return err
	}
	l.clock.exchanged(sent, answer.Received, answer.Answered, l.clock.now())
	return nil
}

// refusedForGood tells whether a batch will not be taken however often it is sent.
func refusedForGood(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusForbidden ||
		status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity
}
