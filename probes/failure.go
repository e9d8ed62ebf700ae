package probes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"fairway/steering"
)

// failure is an expectation that was not met. Its text is for people: short,
// printable, and never with a query string, which may hold a token.
type failure struct {
	outcome steering.Outcome
	detail  string
}

func (f *failure) Error() string { return f.detail }

// maxDetail bounds a detail: parts of it can come from the other side.
const maxDetail = 200

func failed(outcome steering.Outcome, detail string) error {
	return &failure{outcome, clip(detail)}
}

// clip makes text that may come from the other side short and printable.
func clip(detail string) string {
	detail = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, detail)
	if runes := []rune(detail); len(runes) > maxDetail {
		detail = string(runes[:maxDetail]) + "…"
	}
	return detail
}

// connectFailure says why there is no connection. An error that is this
// machine's own is no failure: it is returned as it is.
func (a *attempt) connectFailure(err error) error {
	var cause syscall.Errno
	switch {
	case timedOut(err):
		return failed(steering.OutcomeTimeout, fmt.Sprintf("no connection within %s", a.probe.Timeout))
	case errors.Is(err, syscall.ECONNREFUSED):
		return failed(steering.OutcomeRefused, "connect: connection refused")
	case isOwn(err), errors.Is(err, syscall.ENETUNREACH) && !a.routed(a.vantage.Bind, a.to.address):
		return fmt.Errorf("connect: %w", err)
	case errors.As(err, &cause):
		return failed(steering.OutcomeConnect, "connect: "+cause.Error())
	}
	return failed(steering.OutcomeConnect, "connect: "+err.Error())
}

// brokenOff says how an exchange ended early: what did not come in time, or
// where the connection broke.
func (a *attempt) brokenOff(err error, late, where string) error {
	switch {
	case timedOut(err):
		return failed(steering.OutcomeTimeout, late)
	case errors.Is(err, syscall.ECONNRESET):
		return failed(steering.OutcomeReset, "connection reset "+where)
	case isClosed(err):
		return failed(steering.OutcomeReset, "connection closed "+where)
	}
	return failed(steering.OutcomeReset, "connection broken "+where)
}

// isOwn tells errors of this machine from those of the network and the CDN: it
// had no descriptor, port, memory or permission, lacks the bind address, or
// does not speak the address family.
func isOwn(err error) bool {
	own := []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
		syscall.EADDRINUSE, syscall.EAFNOSUPPORT, syscall.EACCES, syscall.EPERM}
	return slices.ContainsFunc(own, func(target error) bool { return errors.Is(err, target) })
}

// hasRoute tells whether this machine knows a way to an address: connecting a
// UDP socket looks the route up and sends nothing. Without a route a connection
// ends with the same error as when a distant router has none.
func hasRoute(from, to netip.Addr) bool {
	var local *net.UDPAddr
	if from.IsValid() {
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// isClosed tells that the other side ended the connection, politely or not.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
