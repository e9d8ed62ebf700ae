package probes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
)

// prober makes one probe at a time per caller, and at most cap(slots)
// connections in all.
type prober struct {
	slots   chan struct{}
	book    *book // of bytes, for parity
	budget  *budget
	logger  *slog.Logger
	crowded seldom
	unable  seldom
	routed  func(from, to netip.Addr) bool // whether this machine has a route
	now     func() time.Time
}

func newProber(maxInFlight int, logger *slog.Logger) *prober {
	return &prober{slots: make(chan struct{}, maxInFlight), book: newBook(), budget: newBudget(), logger: logger, routed: hasRoute, now: time.Now}
}

// probeFunc makes one attempt and fills in its phases, status and bytes. Nil
// means that every expectation was met, a *failure says which was not; any
// other error means that this machine could not make the attempt. A new type of
// probe is one more such function in probeOf.
type probeFunc func(ctx context.Context, a *attempt) error

// probeOf returns a type's function, nil for a type that does not exist here.
func probeOf(t steering.ProbeType) probeFunc {
	switch t {
	case steering.ProbeHTTP, steering.ProbeHTTPS, steering.ProbeHTTP2, steering.ProbeHTTP3:
		return probeHTTP
	case steering.ProbeTLS:
		return probeTLS
	case steering.ProbeTCP:
		return probeTCP
	case steering.ProbeDNS:
		return probeDNS
	case steering.ProbeICMP:
		return probeICMP
	case steering.ProbeHLS:
		return probeHLS
	case steering.ProbeDASH:
		return probeDASH
	}
	return nil
}

// attempt is a probe of one address, under way.
type attempt struct {
	*assignment
	address netip.Addr
	to      spot // where the next request goes: to the address, until a redirect leads elsewhere
	recall  *recall
	book    *book
	routed  func(from, to netip.Addr) bool

	phases steering.Phases
	status int
	bytes  int64
	read   int64 // bytes of all bodies, for the budget
	seen   steering.Seen
	inPath bool   // the token stands in the path, where what is named relatively has it too
	note   string // what came, where nothing is wrong with it
}

func (p *prober) attempt(a *assignment, address netip.Addr, resolving time.Duration) *attempt {
	return &attempt{
		assignment: a, address: address, recall: a.memory.of(address), book: p.book, routed: p.routed,
		to:     spot{secure: a.secure, host: a.host, port: a.port, address: address, uri: a.uri},
		phases: steering.Phases{DNS: resolving},
	}
}

// probe measures every address of an assignment once. What it returns when ctx
// has ended is worth nothing.
func (p *prober) probe(ctx context.Context, a *assignment) []steering.Measurement {
	addresses, took, err := p.addresses(ctx, a)
	if err != nil {
		unresolved := &attempt{assignment: a, phases: steering.Phases{DNS: took}}
		return p.measurements(unresolved, err)
	}
	a.memory.keep(addresses)
	allowance := p.budget.of(a.subject)
	if !p.budget.await(ctx, allowance) {
		return nil
	}
	each := make([][]steering.Measurement, len(addresses))
	var attempts sync.WaitGroup
	for i, address := range addresses {
		attempts.Go(func() {
			one := p.attempt(a, address, took)
			each[i] = p.measurements(one, p.within(ctx, allowance, one))
			read := time.Now()
			p.budget.all.spend(one.read, read)
			allowance.meter.spend(one.read, read)
		})
	}
	attempts.Wait()
	return slices.Concat(each...)
}

// within makes an attempt once its target has a connection to spare.
func (p *prober) within(ctx context.Context, allowance *allowance, a *attempt) error {
	select {
	case allowance.slots <- struct{}{}:
		defer func() { <-allowance.slots }()
		return p.try(ctx, a)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try makes an attempt, within the probe's timeout, once there is a slot.
func (p *prober) try(ctx context.Context, a *attempt) error {
	if !p.acquire(ctx) {
		return ctx.Err()
	}
	defer p.release()
	if a.probe.Type != steering.ProbeDNS && !a.probing.Allows(a.address) { // a resolver is the operator's word
		return denied(a.address)
	}
	ctx, cancel := context.WithTimeout(ctx, a.probe.Timeout)
	defer cancel()
	if err := a.sign(); err != nil {
		return err
	}
	return a.measure(ctx, a)
}

// denied refuses an address that is inside.
func denied(a netip.Addr) error {
	return failed(steering.OutcomeDenied, fmt.Sprintf("%s is no public address and is not probed: name it in probing.allow if you mean it", a))
}

// measurements writes down how an attempt ended: one measurement, or none with
// a warning where the attempt could not be made.
func (p *prober) measurements(a *attempt, err error) []steering.Measurement {
	m := steering.Measurement{
		Subject: a.subject,
		Vantage: a.vantage.Name,
		Region:  a.vantage.Region,
		Address: a.address,
		At:      p.now(),
		Outcome: steering.OutcomeOK,
		Phases:  a.phases,
		Status:  a.status,
		Bytes:   a.bytes,
		Detail:  a.note,
		Seen:    a.seen,
	}
	var unmet *failure
	switch {
	case errors.As(err, &unmet):
		m.Outcome, m.Detail = unmet.outcome, unmet.detail
	case err != nil:
		if !errors.Is(err, context.Canceled) && p.unable.now() {
			p.logger.Warn("probe not made, so its target's health is not known here: the fault is this machine's",
				"vantage", a.vantage.Name, "bind", a.vantage.Bind, "subject", a.subject, "address", a.address, "err", err)
		}
		return nil
	}
	return []steering.Measurement{m}
}

// connect opens the connection that every type of probe over TCP begins with.
func (a *attempt) connect(ctx context.Context) (net.Conn, error) {
	start := time.Now()
	dialer := net.Dialer{KeepAlive: -1}
	if a.vantage.Bind.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.vantage.Bind, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(a.to.address, uint16(a.to.port)).String())
	if err != nil {
		return nil, a.connectFailure(err)
	}
	a.phases.Connect = time.Since(start)
	return conn, nil
}

// acquire waits for a slot; false when ctx ends first.
func (p *prober) acquire(ctx context.Context) bool {
	select {
	case p.slots <- struct{}{}:
		return true
	default:
	}
	if p.crowded.now() {
		p.logger.Warn("probes start late: all slots are taken; probe less often or allow more in flight", "slots", cap(p.slots))
	}
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *prober) release() { <-p.slots }

// seldom lets something happen once a minute.
type seldom struct{ last atomic.Pointer[time.Time] }

func (s *seldom) now() bool {
	now, last := time.Now(), s.last.Load()
	return (last == nil || now.Sub(*last) >= time.Minute) && s.last.CompareAndSwap(last, &now)
}
