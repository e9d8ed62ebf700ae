package dnsserver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// echo answers every packet with itself and its client.
type echo struct{}

func (echo) begin(*scratch)             {}
func (echo) end(*scratch) time.Duration { return time.Duration(time.Now().UnixNano()) }

func (echo) expect(*scratch, []byte, netip.Addr) bool { return false }
func (echo) lookAhead(*scratch)                       {}

func (echo) answer(m *scratch, packet []byte, client netip.Addr) []byte {
	return append(m.out[:0], fmt.Sprintf("%s %s", packet, client)...)
}

// TestMmsgWorkers: there is a socket for each processor, and each gets some of
// the clients.
func TestMmsgWorkers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		s, err := listenMmsg(address, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		u := s.(*mmsgUDP)
		if len(u.workers) != 3 {
			t.Fatalf("%d workers", len(u.workers))
		}
		_, port, _ := net.SplitHostPort(u.workers[0].socket.address.String())
		host := map[string]string{"[::1]:0": "::1"}[address]
		for range 300 {
			conn, err := net.Dial("udp", net.JoinHostPort(host, port))
			if err != nil {
				t.Fatal(err)
			}
			conn.Write([]byte("x"))
			conn.Close()
		}
		for i, w := range u.workers {
			got := 0
			for {
				var n int
				control(rawSocket{w.socket}, func(fd int) error { n, _ = w.batch.receive(fd, false); return nil })
				if n == 0 {
					break
				}
				got += n
			}
			if got < 30 {
				t.Errorf("%s: worker %d got %d of 300 packets", address, i, got)
			}
		}
	}
}

// TestMmsgRefusesStrangers: a port on which somebody else shares is not ours to
// join.
func TestMmsgRefusesStrangers(t *testing.T) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return setReusePort(raw) }}
	stranger, err := config.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if s, err := listenMmsg(stranger.LocalAddr().String(), nil); err == nil {
		s.Close()
		t.Error("joined a stranger's port")
	}
}

// TestMmsgBatch: more packets than a batch holds, all there at once, are all
// answered, each to its own client from the address that was asked.
func TestMmsgBatch(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, c := range []struct{ listen, asked, client string }{
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"0.0.0.0:0", "127.0.0.5", "127.0.0.1"},
		{"[::1]:0", "::1", "::1"},
		{":0", "127.0.0.6", "127.0.0.1"},
		{":0", "::1", "::1"},
	} {
		s, err := listenMmsg(c.listen, nil)
		if err != nil {
			t.Fatal(err)
		}
		u := s.(*mmsgUDP)
		_, port, _ := net.SplitHostPort(u.workers[0].socket.address.String())
		conn, err := net.Dial("udp", net.JoinHostPort(c.asked, port))
		if err != nil {
			t.Fatal(err)
		}
		const count = 3*batchSize + 5
		for i := range count {
			fmt.Fprintf(conn, "%d", i)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- u.serve(ctx, echo{}) }()
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		buffer := make([]byte, 100)
		for i := range count {
			n, err := conn.Read(buffer)
			if want := fmt.Sprintf("%d %s", i, c.client); err != nil || string(buffer[:n]) != want {
				t.Fatalf("%s asked at %s: answer %d is %q, want %q: %v", c.listen, c.asked, i, buffer[:n], want, err)
			}
		}
		cancel()
		u.stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.Close()
		s.Close()
	}
}

// mmsgAndClient listens, and connects a client.
func mmsgAndClient(t *testing.T) (*mmsgUDP, net.Conn) {
	t.Helper()
	s, err := listenMmsg("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	u := s.(*mmsgUDP)
	conn, err := net.Dial("udp", u.workers[0].socket.address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return u, conn
}

// TestMmsgDrain: what has arrived when the end comes is still answered.
func TestMmsgDrain(t *testing.T) {
	u, conn := mmsgAndClient(t)
	const count = 2*batchSize + 1
	for range count {
		conn.Write([]byte("x"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	u.stop()
	if err := u.serve(ctx, echo{}); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	buffer := make([]byte, 100)
	for i := range count {
		if _, err := conn.Read(buffer); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
}

// TestMmsgStays: however packets come, in queues longer than a batch after silence, one
// by one in quick succession, and alone after that, each is answered: a worker does
// not go to wait while there is something that nobody will tell it of.
func TestMmsgStays(t *testing.T) {
	u, conn := mmsgAndClient(t)
	buffer := make([]byte, 100)
	burst := func(count int) {
		t.Helper()
		for range count {
			conn.Write([]byte("x"))
		}
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		for i := range count {
			if _, err := conn.Read(buffer); err != nil {
				t.Fatalf("answer %d of %d: %v", i, count, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	defer ended.Wait()
	defer u.stop()
	defer cancel()
	// Nobody answers yet, so the first batches are full.
	for range 3*batchSize + 1 {
		conn.Write([]byte("x"))
	}
	ended.Go(func() {
		if err := u.serve(ctx, echo{}); err != nil {
			t.Error(err)
		}
	})
	for i := range 3*batchSize + 1 {
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := conn.Read(buffer); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
	for range 20 {
		for range 200 {
			burst(1)
		}
		burst(2*batchSize + 1)
		time.Sleep(5 * time.Millisecond) // longer than a stay
		burst(1)
	}
}

// TestMmsgFloodEnds: a flood does not keep the server from ending.
func TestMmsgFloodEnds(t *testing.T) {
	s, err := listenMmsg("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	u := s.(*mmsgUDP)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	flood, over := context.WithCancel(context.Background())
	var senders sync.WaitGroup
	defer senders.Wait()
	defer over()
	for range 2 {
		conn, err := net.Dial("udp", u.workers[0].socket.address.String())
		if err != nil {
			t.Fatal(err)
		}
		senders.Go(func() {
			defer conn.Close()
			for flood.Err() == nil {
				conn.Write([]byte("x"))
			}
		})
	}
	time.AfterFunc(50*time.Millisecond, func() { cancel(); u.stop() })
	if err := u.serve(ctx, echo{}); err != nil {
		t.Error(err)
	}
}

// TestMmsgOneFails: when one socket of the group fails, the others end and the
// error is told.
func TestMmsgOneFails(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	s, err := listenMmsg("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	u := s.(*mmsgUDP)
	done := make(chan error, 1)
	go func() { done <- u.serve(context.Background(), echo{}) }()
	u.workers[1].socket.Close()
	select {
	case err := <-done:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the others go on")
	}
}

// TestMmsgUnsendable: an answer that cannot be sent does not keep back those
// behind it.
func TestMmsgUnsendable(t *testing.T) {
	b := newMmsgBatch(false)
	s, err := listenMmsg("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	port := client.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	for i := range 3 {
		b.peers[i] = unix.RawSockaddrInet6{Family: unix.AF_INET}
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&b.peers[i]))
		v4.Addr = [4]byte{127, 0, 0, 1}
		v4.Port = port<<8 | port>>8
		b.in[i].Hdr.Namelen = unix.SizeofSockaddrInet4
		b.reply(i, []byte{byte(i)})
	}
	b.peers[1].Family = unix.AF_APPLETALK
	control(rawSocket{s.(*mmsgUDP).workers[0].socket}, func(fd int) error {
		if !b.send(fd) {
			t.Error("not all is sent")
		}
		return nil
	})
	client.SetReadDeadline(time.Now().Add(30 * time.Second))
	for _, want := range []byte{0, 2} {
		buffer := make([]byte, 10)
		if _, err := client.Read(buffer); err != nil || buffer[0] != want {
			t.Fatalf("got %d, want %d: %v", buffer[0], want, err)
		}
	}
}

// TestMmsgReplies: the answers of a batch do not lie in each other's place, as large as they
// may be, whether they lie in the batch or elsewhere.
func TestMmsgReplies(t *testing.T) {
	for _, length := range []int{1, line - 1, line, line + 1, maxUDP} {
		b := newMmsgBatch(false)
		for i := range batchSize {
			answer := b.room()[:length]
			if i%3 == 2 {
				answer = make([]byte, length)
			}
			for at := range answer {
				answer[at] = byte(i)
			}
			b.reply(i, answer)
		}
		for i := range batchSize {
			for at, got := range unsafe.Slice(b.outIov[i].Base, b.outIov[i].Len) {
				if got != byte(i) {
					t.Fatalf("answers of %d octets: octet %d of answer %d is of answer %d", length, at, i, got)
				}
			}
		}
		if b.reset(batchSize); &b.room()[0] != &b.replies[0] {
			t.Error("the next batch does not begin where this one did")
		}
	}
}
