package tap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"fairway/dnsserver"
)

// Config is what a Tap needs.
type Config struct {
	// Share of the exchanges that are taken, above 0, at most 1.
	Share float64
	// PerSecond is how many are written at most.
	PerSecond int
	// Whole keeps addresses and cookies as they are. Default: clients' networks, no
	// cookies.
	Whole bool
	// Sink is where they go: see Dnstap and Log.
	Sink Sink
	// Logger is told when the sink begins to fail and when it works again. Default
	// none.
	Logger *slog.Logger
}

// Sink takes what is written down. Its methods are called by one goroutine.
type Sink interface {
	// Write takes an exchange; it may keep it back until Flush. After an error the
	// sink is opened anew by the next Write.
	Write(x *Seen) error
	Flush() error
	Close() error
	// String says where it leads.
	String() string
}

// Seen is an exchange with its time.
type Seen struct {
	At    time.Time // when the answer was made
	Whole bool      // nothing is to be hidden
	dnsserver.Exchange
}

// places is how many exchanges may wait. Of the octets of one, as much memory is
// kept as most messages have.
const (
	places    = 1024
	keepBytes = 2048
)

// retryAfter is how long a sink that failed is left alone.
const retryAfter = time.Second

// Tap is between a DNS door and a sink.
type Tap struct {
	config     Config
	free, full chan *Seen
	written    atomic.Uint64
	dropped    atomic.Uint64
}

// New checks the configuration and reports every finding. It opens nothing.
func New(c Config) (*Tap, error) {
	var findings []error
	if !(c.Share > 0 && c.Share <= 1) {
		findings = append(findings, fmt.Errorf("tap: a share of %v is not above 0 and at most 1", c.Share))
	}
	if c.PerSecond < 1 {
		findings = append(findings, fmt.Errorf("tap: %d a second are none", c.PerSecond))
	}
	if c.Sink == nil {
		findings = append(findings, errors.New("tap: there is no sink"))
	}
	if len(findings) > 0 {
		return nil, errors.Join(findings...)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Tap{config: c, free: make(chan *Seen, places), full: make(chan *Seen, places)}
	for range places {
		t.free <- &Seen{Whole: c.Whole}
	}
	return t, nil
}

// Saw implements dnsserver.Tap.
func (t *Tap) Saw(x dnsserver.Exchange) {
	if t.config.Share < 1 && rand.Float64() >= t.config.Share {
		return
	}
	select {
	case seen := <-t.free:
		seen.take(x)
		t.full <- seen // there are as many places as exchanges
	default:
		t.dropped.Add(1)
	}
}

// take copies an exchange into memory that is there.
func (s *Seen) take(x dnsserver.Exchange) {
	query, answer := append(s.Query[:0], x.Query...), append(s.Answer[:0], x.Answer...)
	s.At, s.Exchange = time.Now(), x
	s.Query, s.Answer = query, answer
}

// Counts is how many exchanges were written, and how many of those that were
// taken were not.
func (t *Tap) Counts() (written, dropped uint64) { return t.written.Load(), t.dropped.Load() }

// Run writes until ctx ends.
func (t *Tap) Run(ctx context.Context) error {
	w := writer{Tap: t, sink: t.config.Sink}
	defer w.sink.Close()
	for {
		select {
		case seen := <-t.full:
			w.write(seen)
			t.release(seen)
			continue
		default:
		}
		w.settle(w.sink.Flush()) // nothing waits
		select {
		case seen := <-t.full:
			w.write(seen)
			t.release(seen)
		case <-ctx.Done():
			return nil
		}
	}
}

// release makes a place free, without the memory of a rare large message.
func (t *Tap) release(s *Seen) {
	if cap(s.Query) > keepBytes {
		s.Query = nil
	}
	if cap(s.Answer) > keepBytes {
		s.Answer = nil
	}
	t.free <- s
}

// writer is Run's own.
type writer struct {
	*Tap
	sink     Sink
	second   int64 // of the allowance
	used     int
	failing  bool
	retryNot time.Time // before then
}

func (w *writer) write(s *Seen) {
	if second := s.At.Unix(); second != w.second {
		w.second, w.used = second, 0
	}
	if w.used >= w.config.PerSecond || w.failing && time.Now().Before(w.retryNot) {
		w.dropped.Add(1)
		return
	}
	w.used++
	err := w.attempt(s)
	if w.settle(err); err != nil {
		w.dropped.Add(1)
		return
	}
	w.written.Add(1)
}

// attempt is Write, which reads octets from strangers once more: what it cannot
// bear costs this one exchange.
func (w *writer) attempt(s *Seen) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("an exchange that could not be written: %v", fault)
		}
	}()
	return w.sink.Write(s)
}

// settle tells when the sink begins to fail and when it works again.
func (w *writer) settle(err error) {
	switch {
	case err != nil:
		if !w.failing {
			w.config.Logger.Warn("queries are not written down: the reader is away; tried again every second", "to", w.sink.String(), "err", err)
		}
		w.failing, w.retryNot = true, time.Now().Add(retryAfter)
	case w.failing && time.Now().After(w.retryNot):
		w.config.Logger.Info("queries are written down again", "to", w.sink.String())
		w.failing = false
	}
}

// network is what may be told of an address: an IPv4 client's /24, an IPv6 one's
// /56.
func network(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 56
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address
	}
	return p
}
