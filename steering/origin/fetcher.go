package origin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Config is what a Fetcher needs.
type Config struct {
	// UserAgent tells origins who asks. Default "fairway".
	UserAgent string
	// Logger gets what origins fail with. Default none.
	Logger *slog.Logger
}

// Request is what is wanted.
type Request struct {
	Origins []string      // base URLs without a final slash, in order; at least one
	Path    string        // below them, without a slash at its begin, with its query
	Fresh   time.Duration // how old an answer may be
	Stale   time.Duration // how much older while no origin answers
	Timeout time.Duration // for one origin
}

// Error tells why there is no text.
type Error struct {
	Missing bool // the origins answer, and have no such text
	Reason  string
}

func (e *Error) Error() string { return e.Reason }

// NotFound tells whether the text does not exist, as far as the origins know.
func (e *Error) NotFound() bool { return e.Missing }

const (
	mostFetches = 64              // at once; more are refused
	failedFor   = time.Second     // how long a failure is kept
	behindFor   = 5 * time.Second // how long an origin that failed is asked after the others
)

// Fetcher fetches texts. It is safe for concurrent use.
type Fetcher struct {
	config   Config
	log      *slog.Logger
	client   *http.Client
	fetching chan struct{}

	mu     sync.Mutex
	cache  *cache
	flying map[string]*flight
	failed map[string]time.Time // origin → when it failed last
}

// flight is a fetch that some wait for.
type flight struct {
	done chan struct{}
	text string
	err  error
}

// New makes a Fetcher.
func New(c Config) *Fetcher {
	if c.UserAgent == "" {
		c.UserAgent = "fairway"
	}
	f := &Fetcher{
		config: c, log: c.Logger, client: newClient(), fetching: make(chan struct{}, mostFetches),
		cache: newCache(), flying: make(map[string]*flight), failed: make(map[string]time.Time),
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f
}

// Close ends the connections that are kept open.
func (f *Fetcher) Close() { f.client.CloseIdleConnections() }

// Get returns a text from the cache or from an origin. It waits no longer than
// ctx; the fetch goes on for the others, and for the cache.
func (f *Fetcher) Get(ctx context.Context, r Request) (string, error) {
	key := strings.Join(r.Origins, " ") + " " + r.Path
	f.mu.Lock()
	kept := f.cache.get(key)
	if kept != nil && kept.holds(r) {
		defer f.mu.Unlock()
		return kept.text, kept.err
	}
	now := f.flying[key]
	if now == nil {
		select {
		case f.fetching <- struct{}{}:
		default:
			defer f.mu.Unlock()
			return f.stale(kept, r, &Error{Reason: "too many manifests are being fetched at once"})
		}
		now = &flight{done: make(chan struct{})}
		f.flying[key] = now
		go f.fly(context.WithoutCancel(ctx), key, now, kept, r)
	}
	if kept != nil && !kept.failed.IsZero() && kept.servesStale(r) {
		defer f.mu.Unlock() // nobody waits for origins that failed just now
		return kept.text, nil
	}
	f.mu.Unlock()
	select {
	case <-now.done:
		return now.text, now.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// fly fetches for all that wait.
func (f *Fetcher) fly(ctx context.Context, key string, now *flight, kept *entry, r Request) {
	fresh, err := f.fetch(ctx, r, kept)
	f.mu.Lock()
	defer f.mu.Unlock()
	var missing *Error
	switch {
	case err == nil:
		f.cache.put(key, fresh)
		now.text = fresh.text
	case errors.As(err, &missing) && missing.Missing, kept == nil || kept.err != nil:
		f.cache.put(key, &entry{err: err, at: time.Now()})
		now.err = err
	default:
		late := *kept
		late.failed = time.Now()
		f.cache.put(key, &late)
		now.text, now.err = f.stale(kept, r, err)
	}
	delete(f.flying, key)
	<-f.fetching
	close(now.done)
}

// stale gives what is kept in place of an error, while it may be.
func (f *Fetcher) stale(kept *entry, r Request, err error) (string, error) {
	if kept == nil || !kept.servesStale(r) {
		return "", err
	}
	return kept.text, nil
}

// fetch asks one origin after the other.
func (f *Fetcher) fetch(ctx context.Context, r Request, kept *entry) (*entry, error) {
	var failures []error
	for _, origin := range f.order(r.Origins) {
		fresh, err := f.ask(ctx, origin, r, kept)
		if err == nil {
			f.mark(origin, time.Time{})
			return fresh, nil
		}
		var missing *Error
		if errors.As(err, &missing) && missing.Missing {
			return nil, err
		}
		f.mark(origin, time.Now())
		f.log.Warn("an origin failed", "origin", origin, "path", r.Path, "err", err)
		failures = append(failures, err)
	}
	return nil, &Error{Reason: "no origin answers: " + errors.Join(failures...).Error()}
}

// order puts the origins that failed just now behind the others.
func (f *Fetcher) order(origins []string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var well, behind []string
	for _, o := range origins {
		if time.Since(f.failed[o]) < behindFor {
			behind = append(behind, o)
		} else {
			well = append(well, o)
		}
	}
	return append(well, behind...)
}

// mark remembers when an origin failed; the zero time forgets it.
func (f *Fetcher) mark(origin string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at.IsZero() {
		delete(f.failed, origin)
	} else {
		f.failed[origin] = at
	}
}
