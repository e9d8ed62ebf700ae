package consulstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// kept has keepAlive renew by a function for a while, and returns when it gave up;
// 0 when it did not.
func kept(t *testing.T, watched time.Duration, renew func(ctx context.Context, since time.Duration) (bool, error)) (after time.Duration, why error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), watched)
		defer cancel()
		began := time.Now()
		why = keepAlive(ctx, func(ctx context.Context) (bool, error) { return renew(ctx, time.Since(began)) })
		if why != nil {
			after = time.Since(began)
		}
	})
	return after, why
}

// lasting waits as a request does.
func lasting(ctx context.Context, d time.Duration) (bool, error) {
	if !pause(ctx, d) {
		return false, ctx.Err()
	}
	return true, nil
}

// A leader whose Consul, or whose own machine, is slow goes on leading for as long as
// Consul takes its session for alive: twice its TTL.
func TestSlowRenewalsCount(t *testing.T) {
	for name, renew := range map[string]func(ctx context.Context, since time.Duration) (bool, error){
		"each takes most of the TTL": func(ctx context.Context, _ time.Duration) (bool, error) { return lasting(ctx, sessionTTL-time.Second) },
		"three of four hang": func(ctx context.Context, since time.Duration) (bool, error) {
			if since/renewEvery%4 == 0 {
				return true, nil
			}
			return lasting(ctx, time.Hour)
		},
		"Consul is away for longer than the TTL, again and again": func(_ context.Context, since time.Duration) (bool, error) {
			if since%(15*time.Second) < 12*time.Second {
				return false, errors.New("no cluster leader")
			}
			return true, nil
		},
	} {
		if after, why := kept(t, time.Hour, renew); why != nil {
			t.Errorf("%s: given up after %v: %v", name, after, why)
		}
	}
}

// A leader that renews nothing gives up when another one may lead, not later, and says
// what Consul said last.
func TestSessionIsGivenUp(t *testing.T) {
	away := errors.New("no cluster leader")
	after, why := kept(t, time.Hour, func(_ context.Context, since time.Duration) (bool, error) {
		if since < time.Minute {
			return true, nil
		}
		return false, away
	})
	if last := time.Minute - renewEvery; after != last+sessionLasts || !errors.Is(why, errSessionLost) || !errors.Is(why, away) {
		t.Errorf("given up after %v: %v; the last renewal was at %v", after, why, last)
	}
	if after, why := kept(t, time.Hour, func(context.Context, time.Duration) (bool, error) { return false, nil }); after != renewEvery || !errors.Is(why, errSessionLost) {
		t.Errorf("Consul knows no such session; given up after %v: %v", after, why)
	}
	silent := func(ctx context.Context, _ time.Duration) (bool, error) { return lasting(ctx, time.Hour) }
	if after, why := kept(t, time.Hour, silent); after != sessionLasts || !errors.Is(why, errSessionLost) {
		t.Errorf("Consul is silent; given up after %v: %v", after, why)
	}
}
