package handover

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestSame: what a configuration calls an address is found among bound ones.
func TestSame(t *testing.T) {
	for _, c := range []struct {
		bound, configured string
		want              bool
	}{
		{"127.0.0.1:53", "127.0.0.1:53", true},
		{"[::]:53", ":53", true},
		{"0.0.0.0:53", ":53", true},
		{"[::1]:53", "[::1]:53", true},
		{"[::ffff:192.0.2.1]:53", "192.0.2.1:53", true},
		{"127.0.0.1:53", ":53", false},
		{"127.0.0.1:53", "127.0.0.1:54", false},
		{"127.0.0.1:53", "127.0.0.2:53", false},
		{"127.0.0.1:53", "localhost", false},
		{"/run/x.sock", ":53", false},
	} {
		if got := same(c.bound, c.configured); got != c.want {
			t.Errorf("same(%q, %q) = %v", c.bound, c.configured, got)
		}
	}
}

// TestSockets: what was given is taken once, by the name that the predecessor had
// for it or by its address; the rest is closed.
func TestSockets(t *testing.T) {
	old := &Sockets{}
	l, err := old.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	old.Keep("udp", p.LocalAddr().String(), p.(*net.UDPConn))
	gone, err := old.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close() // is not handed on
	names, fds, err := old.files()
	if err != nil || len(names) != 2 {
		t.Fatalf("hands on %v, %v", names, err)
	}
	next := &Sockets{}
	for i, n := range names {
		if n.network == "udp" {
			n = name{} // as if systemd had bound it
		}
		if err := next.give(n, os.NewFile(fds[i], "given")); err != nil {
			t.Fatal(err)
		}
	}
	if files := next.Take("tcp", p.LocalAddr().String()); files != nil {
		t.Error("a UDP socket is taken for a TCP one")
	}
	if files := next.Take("udp", p.LocalAddr().String()); len(files) != 1 {
		t.Errorf("%d UDP sockets are taken, want 1", len(files))
	}
	taken, err := next.Listen("tcp", "127.0.0.1:0")
	if err != nil || taken.Addr().String() != l.Addr().String() {
		t.Fatalf("took %v, %v, want %v", taken, err, l.Addr())
	}
	defer taken.Close()
	if another, err := next.Listen("tcp", "127.0.0.1:0"); err != nil || another.Addr().String() == l.Addr().String() {
		t.Errorf("took the listener twice: %v", err)
	} else {
		another.Close()
	}
	_, fds, err = old.files()
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range names {
		if err := next.give(n, os.NewFile(fds[i], "given")); err != nil {
			t.Fatal(err)
		}
	}
	if got := next.CloseUnclaimed(); !slices.Equal(got, []string{"tcp " + l.Addr().String(), "udp " + p.LocalAddr().String()}) {
		t.Errorf("closed %v", got)
	}
}

// TestNoSocket: what is no socket is told of, and nothing else is done with it.
func TestNoSocket(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (&Sockets{}).give(name{}, f); err == nil || !strings.Contains(err.Error(), "neither a listener nor a packet socket") {
		t.Errorf("give: %v", err)
	}
}
