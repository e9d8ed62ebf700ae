package tap

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
)

// exchange is a query with all that could tell who asks, and its answer.
func exchange(t testing.TB, id uint16) dnsserver.Exchange {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion("live.example.", dns.TypeA)
	q.Id = id
	q.SetEdns0(1232, false)
	q.IsEdns0().Option = []dns.EDNS0{
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 32, Address: []byte{198, 51, 100, 77}},
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"},
		&dns.EDNS0_LOCAL{Code: 65001, Data: []byte("serial number")},
	}
	a := new(dns.Msg).SetReply(q)
	a.Authoritative = true
	rr, err := dns.NewRR("live.example. 30 IN CNAME eu.bravo.example.")
	if err != nil {
		t.Fatal(err)
	}
	a.Answer = []dns.RR{rr}
	a.SetEdns0(1232, false)
	a.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 32, SourceScope: 16, Address: []byte{198, 51, 100, 77}}}
	query, errQ := q.Pack()
	answer, errA := a.Pack()
	if err := errors.Join(errQ, errA); err != nil {
		t.Fatal(err)
	}
	return dnsserver.Exchange{Transport: "udp", Client: netip.MustParseAddr("192.0.2.53"), Query: query, Answer: answer, Took: 250 * time.Microsecond}
}

// until waits for something to become true.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// running runs a tap until the test ends or stop is called.
func running(t *testing.T, c Config) (tap *Tap, stop func()) {
	t.Helper()
	if c.Share == 0 {
		c.Share = 1
	}
	if c.PerSecond == 0 {
		c.PerSecond = 1 << 30
	}
	tap, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { tap.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); done.Wait() })
	t.Cleanup(stop)
	return tap, stop
}

func (t *Tap) seen() uint64 { written, dropped := t.Counts(); return written + dropped }

// TestDnstap: a reader that others wrote understands it, also one that comes late,
// and finds nobody's address.
func TestDnstap(t *testing.T) {
	for name, whole := range map[string]bool{"networks": false, "whole": true} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			socket, file := filepath.Join(folder, "dnstap.sock"), filepath.Join(folder, "dnstap")
			tap, stop := running(t, Config{Sink: &Dnstap{Socket: socket, Identity: "edge-1", Version: "fairway test"}, Whole: whole})
			shown := uint64(1)
			tap.Saw(exchange(t, 1)) // nobody listens
			until(t, "it is dropped", func() bool { _, dropped := tap.Counts(); return dropped == 1 })
			reader := exec.Command("fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-u", socket, "-w", file)
			if err := reader.Start(); err != nil {
				t.Fatalf("%v: run tools/setup/install (or make setup)", err)
			}
			defer reader.Process.Kill()
			until(t, "one is written", func() bool {
				written, _ := tap.Counts()
				if written == 0 {
					tap.Saw(exchange(t, 2))
					shown++
				}
				return written > 0
			})
			over := exchange(t, 3)
			over.Transport, over.Client = "tcp", netip.MustParseAddr("2001:db8:1:2:3::4")
			tap.Saw(over)
			until(t, "it is written", func() bool { return tap.seen() == shown+1 })
			stop()
			reader.Process.Signal(os.Interrupt)
			reader.Wait()
			out, err := exec.Command("dnstap-ldns", "-r", file, "-y").CombinedOutput()
			if err != nil {
				t.Fatalf("dnstap-ldns: %v\n%s", err, out)
			}
			text := string(out)
			want := []string{"AUTH_QUERY", "AUTH_RESPONSE", `identity: "edge-1"`, `version: "fairway test"`, "live.example.", "eu.bravo.example.", "socket_protocol: UDP", "socket_protocol: TCP", "socket_family: INET6"}
			told := []string{"192.0.2.53", "2001:db8:1:2:3::4"}
			networks := []string{"192.0.2.0", "2001:db8:1::"}
			if whole {
				want = append(want, told...)
			} else {
				want = append(want, networks...)
				for _, secret := range append(told, "198.51.100.77", "c633644d", "0123456789abcdef", "serial number") {
					if strings.Contains(strings.ToLower(text), secret) {
						t.Errorf("%q is told:\n%s", secret, text)
					}
				}
			}
			for _, words := range want {
				if !strings.Contains(text, words) {
					t.Errorf("no %q in\n%s", words, text)
				}
			}
		})
	}
}

// TestScrub: nothing is left of an address but its network.
func TestScrub(t *testing.T) {
	x := exchange(t, 1)
	for _, octets := range [][]byte{x.Query, x.Answer} {
		m := new(dns.Msg)
		if err := m.Unpack((&Seen{}).message(octets)); err != nil {
			t.Fatal(err)
		}
		if len(m.IsEdns0().Option) != 1 {
			t.Fatalf("options %v", m.IsEdns0().Option)
		}
		subnet := m.IsEdns0().Option[0].(*dns.EDNS0_SUBNET)
		if subnet.SourceNetmask != 24 || !subnet.Address.Equal([]byte{198, 51, 100, 0}) {
			t.Errorf("subnet %v/%d", subnet.Address, subnet.SourceNetmask)
		}
	}
	if got := (&Seen{}).message([]byte("not a message at all")); got != nil {
		t.Errorf("what cannot be read is told: %q", got)
	}
}

// TestLog: a line says what matters, and a renamed file is left for a new one.
func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queries.jsonl")
	tap, _ := running(t, Config{Sink: &Log{Path: path}})
	seen := exchange(t, 1)
	answer := new(dns.Msg)
	if err := answer.Unpack(seen.Answer); err != nil {
		t.Fatal(err)
	}
	answer.Answer = append(answer.Answer, &dns.RFC3597{Hdr: dns.RR_Header{Name: "live.example.", Rrtype: 65280, Class: dns.ClassINET}, Rdata: "010203"})
	var err error
	if seen.Answer, err = answer.Pack(); err != nil {
		t.Fatal(err)
	}
	tap.Saw(seen)
	read := func() string { text, _ := os.ReadFile(path); return string(text) }
	until(t, "the line", func() bool { return strings.HasSuffix(read(), "\n") })
	var got line
	if err := json.Unmarshal([]byte(read()), &got); err != nil {
		t.Fatalf("%v\n%s", err, read())
	}
	if got.Client != "192.0.2.0/24" || got.Subnet != "198.51.100.0/24" || got.Scope != 16 || got.Transport != "udp" || got.Name != "live.example." ||
		got.Type != "A" || got.Rcode != "NOERROR" || !slices.Equal(got.Answer, []string{"CNAME eu.bravo.example.", `TYPE65280 \# 3 010203`}) || got.Octets == 0 || got.Seconds != 0.00025 {
		t.Errorf("%+v", got)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	until(t, "a new file", func() bool { tap.Saw(exchange(t, 2)); return read() != "" })
}

// TestLogOfTransfers: a line of the log tells of a transfer, and holds no zone.
func TestLogOfTransfers(t *testing.T) {
	for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
		m := new(dns.Msg).SetQuestion("video.example.", qtype)
		for range 100 {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: "a.video.example.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"secret"}})
		}
		packed, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if got := lineOf(&Seen{Exchange: dnsserver.Exchange{Answer: packed}}); len(got.Answer) > 0 || got.Type != dns.TypeToString[qtype] || got.Octets != len(packed) {
			t.Errorf("%+v", got)
		}
	}
}

// stuck is a sink that takes nothing until it is let go.
type stuck struct {
	go_  chan struct{}
	seen int
}

func (s *stuck) Write(*Seen) error { <-s.go_; s.seen++; return nil }
func (s *stuck) Flush() error      { return nil }
func (s *stuck) Close() error      { return nil }
func (s *stuck) String() string    { return "stuck" }

// TestNeverWaits: a reader that hangs costs what finds no place, and nothing else.
func TestNeverWaits(t *testing.T) {
	sink := &stuck{go_: make(chan struct{})}
	tap, stop := running(t, Config{Sink: sink})
	x := exchange(t, 1)
	for range 3 * places {
		tap.Saw(x)
	}
	if _, dropped := tap.Counts(); dropped < places {
		t.Errorf("%d of %d are dropped, with %d places", dropped, 3*places, places)
	}
	close(sink.go_)
	until(t, "the rest is written", func() bool { return tap.seen() == 3*places })
	stop()
	if written, _ := tap.Counts(); int(written) != sink.seen {
		t.Errorf("%d counted as written, %d were", written, sink.seen)
	}
}

// panics is a sink that cannot bear anything.
type panics struct{ stuck }

func (*panics) Write(*Seen) error { panic("no") }

func TestPanicCostsOne(t *testing.T) {
	tap, _ := running(t, Config{Sink: &panics{}})
	tap.Saw(exchange(t, 1))
	until(t, "it is dropped", func() bool { _, dropped := tap.Counts(); return dropped == 1 })
}

// TestBounds: a share is taken, and so many a second are written.
func TestBounds(t *testing.T) {
	open := make(chan struct{})
	close(open)
	tap, _ := running(t, Config{Sink: &stuck{go_: open}, Share: 0.25})
	x := exchange(t, 1)
	for range 4000 {
		tap.Saw(x)
	}
	if got := tap.seen(); got > 1300 {
		t.Errorf("%d of 4000 are taken, want a quarter", got)
	}
	few, _ := running(t, Config{Sink: &stuck{go_: open}, PerSecond: 5})
	began := time.Now()
	for range 500 {
		few.Saw(x)
	}
	until(t, "all are settled", func() bool { return few.seen() == 500 })
	if written, _ := few.Counts(); int(written) > 5*(2+int(time.Since(began).Seconds())) {
		t.Errorf("%d are written in %v, want 5 a second", written, time.Since(began))
	}
}

// TestSawDoesNotAllocate: once the places have been used, taking an exchange needs
// no memory.
func TestSawDoesNotAllocate(t *testing.T) {
	open := make(chan struct{})
	close(open)
	tap, _ := running(t, Config{Sink: &stuck{go_: open}})
	x := exchange(t, 1)
	for i := range 2 * places {
		tap.Saw(x)
		for tap.seen() <= uint64(i) {
			runtime.Gosched()
		}
	}
	if n := testing.AllocsPerRun(500, func() { tap.Saw(x) }); n > 0.1 {
		t.Errorf("%v allocations", n)
	}
}

func TestFindings(t *testing.T) {
	_, err := New(Config{Share: 2})
	for _, want := range []string{"share of 2", "0 a second", "no sink"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v, want %q", err, want)
		}
	}
}
