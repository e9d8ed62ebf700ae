package consulstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	consul "github.com/hashicorp/consul/api"
)

const (
	// sessionTTL is the least that Consul's servers allow unless told otherwise. They
	// take a session for lost after twice that, and hold its lock for lockDelay more:
	// a leader that dies is followed after 21 s at most, and nothing but fresh verdicts
	// waits for it.
	sessionTTL   = 10 * time.Second
	sessionLasts = 2 * sessionTTL
	lockDelay    = time.Second
	renewEvery   = sessionTTL / 4
)

// newSession makes a session that depends on nothing but this process: a Consul
// agent that is restarted deposes nobody.
func (s *Store) newSession(ctx context.Context, c Candidate) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var o consul.WriteOptions
	id, _, err := s.client.Session().CreateNoChecks(&consul.SessionEntry{
		Name: "fairway control " + c.Node, TTL: sessionTTL.String(), LockDelay: lockDelay, Behavior: consul.SessionBehaviorRelease,
	}, o.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("make a session in consul: %w", err)
	}
	return id, nil
}

// endSession lets go of the lock at once, when it was held.
func (s *Store) endSession(session string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var o consul.WriteOptions
	_, _ = s.client.Session().Destroy(session, o.WithContext(ctx)) // else it ends by its TTL
}

// renew renews a session; false when Consul does not know it.
func (s *Store) renew(ctx context.Context, session string) (known bool, err error) {
	var o consul.WriteOptions
	entry, _, err := s.client.Session().Renew(session, o.WithContext(ctx))
	return entry != nil, err
}

var errSessionLost = errors.New("the session with consul has ended")

// keepAlive renews a session until the context ends, and returns why it no longer
// can. It gives up when Consul says so, or when Consul must have given up: until then
// nobody else can lead, and no write counts that Consul does not want to count. Where
// everything is slow, leading should be the last thing to suffer: so a renewal may
// take as long as the session lives, and the next one does not wait for it.
func keepAlive(ctx context.Context, renew func(context.Context) (known bool, err error)) error {
	type answer struct {
		asked time.Time
		known bool
		err   error
	}
	answers := make(chan answer)
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	ask := func() {
		limited, cancel := context.WithTimeout(ctx, sessionTTL)
		defer cancel()
		a := answer{asked: time.Now()}
		a.known, a.err = renew(limited)
		select {
		case answers <- a:
		case <-ctx.Done():
		}
	}
	every := time.NewTicker(renewEvery)
	defer every.Stop()
	good, failure := time.Now(), errors.New("nothing was renewed in time")
	end := time.NewTimer(sessionLasts)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
			asking.Go(ask)
		case <-end.C:
			return fmt.Errorf("%w: %w", errSessionLost, failure)
		case a := <-answers:
			switch {
			case a.err != nil:
				failure = a.err
			case !a.known:
				return errSessionLost
			case a.asked.After(good):
				good = a.asked
				end.Reset(time.Until(good.Add(sessionLasts)))
			}
		}
	}
}
