package dnsserver

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// heritage is Sockets within one process: what one server keeps, the next takes.
type heritage struct {
	mu    sync.Mutex
	files map[string][]*os.File
}

func (h *heritage) Listen(network, address string) (l net.Listener, err error) {
	if files := h.Take(network, address); len(files) > 0 {
		l, err = net.FileListener(files[0])
		files[0].Close()
	} else {
		l, err = net.Listen(network, address)
	}
	if err == nil {
		h.Keep(network, address, l.(*net.TCPListener))
	}
	return l, err
}

func (h *heritage) Take(network, address string) []*os.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	files := h.files[network+address]
	delete(h.files, network+address)
	return files
}

func (h *heritage) Keep(network, address string, socket syscall.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	raw, err := socket.SyscallConn()
	if err != nil {
		panic(err)
	}
	raw.Control(func(fd uintptr) {
		duplicate, err := syscall.Dup(int(fd))
		if err != nil {
			panic(err)
		}
		h.files[network+address] = append(h.files[network+address], os.NewFile(uintptr(duplicate), network+" "+address))
	})
}

// running is a server that runs, and how it ended.
type running struct {
	*Server
	ended chan error
}

func heir(t *testing.T, h *heritage, backend Backend) running {
	t.Helper()
	s, _ := newServer(t, func(c *Config) {
		c.Listen, c.Sockets = []string{"127.0.0.1:0", ":0"}, h
		if backend != "" {
			c.Backend = backend
		}
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	r := running{s, make(chan error, 1)}
	go func() { r.ended <- r.Run(context.Background()) }()
	return r
}

// TestHandover: server after server takes over the same sockets, over either back
// end, while clients ask without a pause: every query is answered, and a
// connection is served to its end by the server that accepted it.
func TestHandover(t *testing.T) {
	h := &heritage{files: make(map[string][]*os.File)}
	now := heir(t, h, "")
	addresses := now.Addrs()
	var clients sync.WaitGroup
	var end atomic.Bool
	for _, address := range addresses {
		_, port, _ := net.SplitHostPort(address)
		clients.Go(func() {
			for first := uint16(0); !end.Load(); first += 20 {
				conn, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", port)) // another port, perhaps another socket
				if err != nil {
					t.Error(err)
					return
				}
				burst(t, conn, first, 20)
				conn.Close()
			}
		})
	}
	for round := range 12 {
		held, err := net.Dial("tcp", addresses[0])
		if err != nil {
			t.Fatal(err)
		}
		askHeld(t, held)
		next := heir(t, h, []Backend{BackendPortable, BackendAuto, ""}[round%3])
		for i, address := range next.Addrs() {
			if address != addresses[i] {
				t.Fatalf("the heir listens on %s, not on %s", address, addresses[i])
			}
		}
		now.Retire()
		askHeld(t, held)
		askHeld(t, held)
		held.Close()
		select {
		case err := <-now.ended:
			if err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("round %d: the old server has not ended", round)
		}
		now = next
	}
	end.Store(true)
	clients.Wait()
	now.Retire()
	if err := <-now.ended; err != nil {
		t.Error(err)
	}
}

// askHeld asks over a connection that stays open.
func askHeld(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write(framedQuery("www.fairway.test.")); err != nil {
		t.Fatal(err)
	}
	if got := readTCP(t, conn); got.Rcode != dns.RcodeSuccess {
		t.Errorf("answered %s", summary(got))
	}
}
