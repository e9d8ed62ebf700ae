package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// attempts is how often a question goes out over UDP, where packets get lost.
const attempts = 3

// largest is the UDP size that we announce where we want to see what a server
// sends if it is allowed to.
const largest = 4096

// answer is a response with what its octets tell.
type answer struct {
	*dns.Msg
	size int // octets on the wire
}

// asker sends questions.
type asker struct {
	timeout time.Duration // for one attempt
}

// udp asks over UDP, again when nothing comes.
func (a *asker) udp(ctx context.Context, to netip.AddrPort, q *dns.Msg) (reply answer, err error) {
	for range attempts {
		if reply, err = a.once(ctx, to, q, "udp"); err == nil || ctx.Err() != nil {
			break
		}
	}
	return reply, err
}

func (a *asker) tcp(ctx context.Context, to netip.AddrPort, q *dns.Msg) (answer, error) {
	return a.once(ctx, to, q, "tcp")
}

// whole asks over UDP and, where the answer is cut or does not come, over TCP.
func (a *asker) whole(ctx context.Context, to netip.AddrPort, q *dns.Msg) (answer, error) {
	reply, err := a.udp(ctx, to, q)
	if err == nil && !reply.Truncated {
		return reply, nil
	}
	overTCP, errTCP := a.tcp(ctx, to, q)
	if errTCP != nil && err == nil {
		return reply, nil
	}
	return overTCP, errTCP
}

func (a *asker) once(ctx context.Context, to netip.AddrPort, q *dns.Msg, network string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, network, to.String())
	if err != nil {
		return answer{}, plain(err)
	}
	defer raw.Close()
	deadline, _ := ctx.Deadline()
	raw.SetDeadline(deadline)
	conn := dns.Conn{Conn: raw, UDPSize: dns.MaxMsgSize}
	if err := conn.WriteMsg(q); err != nil {
		return answer{}, plain(err)
	}
	for {
		packet, err := conn.ReadMsgHeader(nil)
		if err != nil {
			return answer{}, plain(err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(packet); err != nil {
			return answer{}, fmt.Errorf("an answer that cannot be read: %w", err)
		}
		if m.Id == q.Id {
			return answer{m, len(packet)}, nil
		}
	}
}

// plain says in a word why nothing came: what the operating system says of it
// differs from run to run, by port numbers.
func plain(err error) error {
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return errUnreachable
	}
	return err
}

// errUnreachable is about our place in the network, not about the server.
var errUnreachable = errors.New("no route from here")

// question makes a question as resolvers ask authoritative servers: with EDNS,
// without RD.
func question(name string, qtype uint16) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.RecursionDesired = false
	q.SetEdns0(largest, true)
	return q
}

// plainQuestion has no EDNS at all.
func plainQuestion(name string, qtype uint16) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.RecursionDesired = false
	return q
}

// recursive makes a question for a resolver.
func recursive(name string, qtype uint16) *dns.Msg {
	q := question(name, qtype)
	q.RecursionDesired = true
	return q
}

// records picks the records of a name and type out of a section.
func records[T dns.RR](section []dns.RR, name string) (found []T) {
	for _, rr := range section {
		if r, ok := rr.(T); ok && strings.EqualFold(rr.Header().Name, name) {
			found = append(found, r)
		}
	}
	return found
}

// reasons are the extended errors in an answer (RFC 8914), as text.
func reasons(m answer) string {
	var all []string
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, is := o.(*dns.EDNS0_EDE); is {
				all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s", dns.ExtendedErrorCodeToString[e.InfoCode], e.ExtraText)))
			}
		}
	}
	return strings.Join(all, "; ")
}

// rcode names a response code.
func rcode(m answer) string { return dns.RcodeToString[m.Rcode] }
