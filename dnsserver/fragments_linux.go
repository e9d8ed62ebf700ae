package dnsserver

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// refuseFragments has the answers of a UDP socket sent whole or not at all: "UDP
// responders should configure their systems to prevent fragmentation of UDP packets when
// sending replies" (RFC 9715 §3.1). Nobody can put a forged second half behind an answer
// then. The kernel also no longer believes in narrow paths that an ICMP message tells
// of, which anyone may forge; an answer has 1,232 octets at most, and passes.
func refuseFragments(conn syscall.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	err = control(raw, func(fd int) error {
		err4 := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain != unix.AF_INET6 {
			return errors.Join(err4, err)
		}
		// It may take IPv4 packets as well, or be for IPv6 alone.
		return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
	})
	if err != nil {
		return fmt.Errorf("refuse fragments: %w", err)
	}
	return nil
}
