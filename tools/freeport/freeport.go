package freeport

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

const (
	first  = 20_000 // ephemeral ports begin at 32,768: ip(7), ip_local_port_range
	blocks = 120
	block  = 100 // ports of one process
)

// asked counts the ports that this process asked for, so that two callers never
// get the same one.
var asked atomic.Uint32

// Find returns a port that is free on host, an IP address, for TCP and UDP.
func Find(t testing.TB, host string) int {
	t.Helper()
	base := first + os.Getpid()%blocks*block
	for range block {
		port := base + int(asked.Add(1))%block
		if free(net.JoinHostPort(host, strconv.Itoa(port))) {
			return port
		}
	}
	t.Fatalf("none of the ports %d to %d of %s is free", base, base+block-1, host)
	return 0
}

func free(address string) bool {
	stream, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer stream.Close()
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	packets.Close()
	return true
}
