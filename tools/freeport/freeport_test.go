package freeport

import (
	"net"
	"strconv"
	"testing"
)

// TestFind: nobody gets a port twice, or one that is taken for either transport.
func TestFind(t *testing.T) {
	seen := map[int]bool{}
	for range 20 {
		port := Find(t, "127.0.0.1")
		if seen[port] || port < first || port >= first+blocks*block {
			t.Fatalf("port %d", port)
		}
		seen[port] = true
	}
	port := strconv.Itoa(Find(t, "127.0.0.1"))
	taken, err := net.ListenPacket("udp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if free("127.0.0.1:" + port) {
		t.Errorf("port %s is free for both while its UDP half is taken", port)
	}
}
