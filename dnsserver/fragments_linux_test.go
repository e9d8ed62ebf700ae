package dnsserver

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// RFC 9715 §3.1: "UDP responders should configure their systems to prevent fragmentation
// of UDP packets when sending replies, provided it can be done safely."
func TestRFC9715NoFragments(t *testing.T) {
	for name, listen := range map[string]func(string) (udpSocket, error){
		"mmsg":     func(at string) (udpSocket, error) { return listenMmsg(at, nil) },
		"portable": func(at string) (udpSocket, error) { return listenPortable(at, nil) },
	} {
		for _, at := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
			t.Run(name+" "+at, func(t *testing.T) {
				s, err := listen(at)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				for _, conn := range s.sockets() {
					wantWhole(t, conn)
				}
			})
		}
	}
}

func wantWhole(t *testing.T, conn syscall.Conn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = control(raw, func(fd int) error {
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			return err
		}
		if got, err := unix.GetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU_DISCOVER); err != nil || got != unix.IP_PMTUDISC_PROBE {
			t.Errorf("IP_MTU_DISCOVER: %d, %v; want %d", got, err, unix.IP_PMTUDISC_PROBE)
		}
		if domain != unix.AF_INET6 {
			return nil
		}
		if got, err := unix.GetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER); err != nil || got != unix.IPV6_PMTUDISC_PROBE {
			t.Errorf("IPV6_MTU_DISCOVER: %d, %v; want %d", got, err, unix.IPV6_PMTUDISC_PROBE)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
