package client

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"fairway/steering/api"
)

// Patient has a client send a request again that nobody could answer yet, when the node
// says that it may be: while no control node leads, a fleet needs up to half a minute.
// most is how long a client waits so, for all its requests together; waiting is told once,
// before the first wait, with why. A request that is sent again has the same
// Idempotency-Key.
func Patient(most time.Duration, waiting func(error)) Option {
	return func(c *Client) { c.patient = &patience{left: most, waiting: waiting} }
}

type patience struct {
	waiting func(error)

	mu   sync.Mutex
	left time.Duration
	told bool
}

// again waits as long as the node wants, and tells whether to ask once more. took is
// what the exchange has cost already.
func (p *patience) again(ctx context.Context, err error, took time.Duration) bool {
	var refused *api.Error
	if p == nil || !errors.As(err, &refused) || refused.RetryAfter <= 0 {
		return false
	}
	if !p.spend(took+refused.RetryAfter, err) {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(refused.RetryAfter):
		return true
	}
}

// spend takes time from what is left, and tells of the first wait.
func (p *patience) spend(wait time.Duration, why error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait > p.left {
		return false
	}
	p.left -= wait
	if !p.told {
		p.told = true
		p.waiting(why)
	}
	return true
}

// retryAfter reads the header in its form of seconds (RFC 9110 §10.2.3), which is the
// one that nodes send.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
