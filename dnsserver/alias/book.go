package alias

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
)

// Config is what a Book needs.
type Config struct {
	// Resolvers are host:port pairs, asked in this order until one answers.
	Resolvers []string
	// MinTTL and MaxTTL bound how long an answer is kept, whatever its own TTL. Default
	// 5 s and 5 min. A shorter MinTTL follows a CDN faster and asks more.
	MinTTL, MaxTTL time.Duration
	// File keeps what was found over a restart. Default none.
	File string
	// Exchange sends one query to a resolver. Default over UDP, then over TCP where the
	// answer is cut.
	Exchange func(ctx context.Context, request *dns.Msg, resolver string) (*dns.Msg, error)
	Logger   *slog.Logger // Default none.
}

// Target is a host name to look up for a region.
type Target struct {
	Host   string       // fully qualified
	Region string       // whose clients are answered with what is found
	Client netip.Prefix // a network in it; invalid for none, and then the resolver's own place counts
}

// Book holds what was found. Make it with New.
type Book struct {
	config  Config
	log     *slog.Logger
	slots   chan struct{} // bounds the lookups at one time
	changed chan struct{} // told when targets were set
	entries atomic.Pointer[map[key]*entry]
	mu      sync.Mutex // held while entries are replaced
}

type key struct{ host, region string }

// entry is a target with what was found for it last.
type entry struct {
	target Target
	found  atomic.Pointer[found]
	asked  chan struct{} // closed by first, when it was looked up once
	first  sync.Once
}

// found is what a target's lookup gave; it never changes.
type found struct {
	IPv4, IPv6 []netip.Addr
	Until      time.Time // the TTL's end
	Failed     string    // why the newest lookup failed; empty = it did not
}

const (
	defaultMinTTL = 5 * time.Second
	defaultMaxTTL = 5 * time.Minute
	mostRetry     = time.Minute
	atOnce        = 32
)

// New checks the configuration. It asks nobody.
func New(c Config) (*Book, error) {
	c.MinTTL, c.MaxTTL = cmp.Or(c.MinTTL, defaultMinTTL), cmp.Or(c.MaxTTL, defaultMaxTTL)
	var findings []error
	if len(c.Resolvers) == 0 {
		findings = append(findings, errors.New("alias: no resolver to ask; name one, such as 127.0.0.1:53"))
	}
	if c.MinTTL < time.Second || c.MaxTTL < c.MinTTL {
		findings = append(findings, fmt.Errorf("alias: TTLs of %v to %v; the least is 1s, and the most is no less than the least", c.MinTTL, c.MaxTTL))
	}
	if len(findings) > 0 {
		return nil, errors.Join(findings...)
	}
	b := &Book{config: c, log: c.Logger, slots: make(chan struct{}, atOnce), changed: make(chan struct{}, 1)}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.config.Exchange == nil {
		b.config.Exchange = exchange
	}
	b.entries.Store(new(map[key]*entry))
	return b, nil
}

// Set states what to look up from now on. What is known of a target that stays is
// kept.
func (b *Book) Set(targets []Target) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, next := *b.entries.Load(), make(map[key]*entry, len(targets))
	var saved map[key]*found
	for _, t := range targets {
		k := key{t.Host, t.Region}
		e := before[k]
		if e == nil || e.target != t {
			known := e
			e = &entry{target: t, asked: make(chan struct{})}
			if known != nil {
				e.found.Store(known.found.Load())
			} else {
				if saved == nil {
					saved = b.restore()
				}
				e.found.Store(saved[k])
			}
		}
		next[k] = e
	}
	b.entries.Store(&next)
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// Await returns when there is an answer for every target, or it was asked for once and
// there is none, or ctx has ended.
func (b *Book) Await(ctx context.Context) {
	for _, e := range *b.entries.Load() {
		if e.found.Load() != nil {
			continue
		}
		select {
		case <-e.asked:
		case <-ctx.Done():
			return
		}
	}
}

// Behind returns the addresses behind a host for the clients of a region; false when
// none were ever found.
func (b *Book) Behind(host, region string) (dnsserver.Behind, bool) {
	e := (*b.entries.Load())[key{host, region}]
	if e == nil {
		return dnsserver.Behind{}, false
	}
	f := e.found.Load()
	if f == nil {
		return dnsserver.Behind{}, false
	}
	left := time.Until(f.Until)
	if left <= 0 { // and nothing newer came
		return dnsserver.Behind{IPv4: f.IPv4, IPv6: f.IPv6, TTL: b.config.MinTTL, Stale: f.Failed != ""}, true
	}
	return dnsserver.Behind{IPv4: f.IPv4, IPv6: f.IPv6, TTL: left}, true
}

// Count says how many targets have an answer that holds, have one that should have
// been renewed, and have none.
func (b *Book) Count() (known, stale, unknown int) {
	for _, e := range *b.entries.Load() {
		switch f := e.found.Load(); {
		case f == nil:
			unknown++
		case f.Failed != "" && time.Until(f.Until) <= 0:
			stale++
		default:
			known++
		}
	}
	return known, stale, unknown
}

// Run looks up and keeps looking up what Set states, until ctx ends.
func (b *Book) Run(ctx context.Context) error {
	var followers sync.WaitGroup
	defer followers.Wait()
	running := make(map[*entry]context.CancelFunc)
	save := time.NewTicker(time.Minute)
	defer save.Stop()
	defer b.save()
	for {
		select {
		case <-ctx.Done():
			for _, stop := range running {
				stop()
			}
			return nil
		case <-save.C:
			b.save()
		case <-b.changed:
		}
		wanted := make(map[*entry]bool)
		for _, e := range *b.entries.Load() {
			wanted[e] = true
			if running[e] == nil {
				following, stop := context.WithCancel(ctx)
				running[e] = stop
				followers.Go(func() { b.follow(following, e) })
			}
		}
		for e, stop := range running {
			if !wanted[e] {
				stop()
				delete(running, e)
			}
		}
	}
}

// follow looks a target up whenever what is known of it has ended.
func (b *Book) follow(ctx context.Context, e *entry) {
	for failures := 0; ; {
		select {
		case b.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		next, err := b.lookup(ctx, e)
		<-b.slots
		if ctx.Err() != nil {
			return
		}
		e.found.Store(next)
		e.first.Do(func() { close(e.asked) })
		var wait time.Duration
		if err == nil {
			failures, wait = 0, time.Until(next.Until)
		} else {
			if failures++; failures == 1 {
				b.log.Warn("alias: a lookup failed; what was found last stands", "host", e.target.Host, "region", e.target.Region, "err", err)
			}
			wait = min(b.config.MinTTL<<min(failures-1, 10), mostRetry)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}
