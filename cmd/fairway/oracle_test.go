package main

import (
	"context"
	big "encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// oracle asks doors all the time and knows what they must answer.
type oracle struct {
	answers, redirects, lost, wrong atomic.Int64
	first                           atomic.Pointer[string] // what went wrong first
	stop                            func()
}

// watch puts edges under load until the oracle is stopped: a DNS door by so many
// queries a second, an HTTP door by a tenth as many requests. want is the host that
// each region's client is to be sent to.
func (f *fleetUnderTest) watch(rate float64, want map[string]string, edges ...string) *oracle {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	o := &oracle{}
	var clients sync.WaitGroup
	o.stop = sync.OnceFunc(func() { cancel(); clients.Wait() })
	f.t.Cleanup(o.stop)
	part := rate / float64(len(want))
	for _, edge := range edges {
		d := f.doors[edge]
		for region, host := range want {
			client := clientIn[region]
			if f.roles[edge] == "dns" {
				clients.Go(func() { o.ask(ctx, d, client, host, part) })
				continue
			}
			location, err := d.redirect("live", "main.m3u8", client)
			if err != nil || f.given(edge)[region] != host {
				f.t.Fatalf("%s sends %s to %s, by %q, %v; the others to %s", edge, region, f.given(edge)[region], location, err, host)
			}
			clients.Go(func() { o.fetch(ctx, d, client, location, part/10) })
		}
	}
	return o
}

const (
	// inFlight bounds the queries of one client that wait for an answer: no queue of a
	// door, or of the kernel before it, is too short for those of all clients.
	inFlight = 32
	// lostAfter is when a query counts as lost: a busy machine is slow, and loses nothing.
	lostAfter = 30 * time.Second
)

// dnsClient is a client of a DNS door.
type dnsClient struct {
	*oracle
	conn net.Conn
	want string

	mu   sync.Mutex
	open map[uint16]time.Time // queries without an answer yet, and when they were sent
}

// ask sends one client's queries at a rate, each once, whether or not there are
// answers, and wants the right answer to each.
func (o *oracle) ask(ctx context.Context, d *doors, client netip.Addr, want string, rate float64) {
	conn, err := net.Dial("udp", d.dns)
	if err != nil {
		o.lose(err.Error())
		return
	}
	a := &dnsClient{oracle: o, conn: conn, want: want, open: make(map[uint16]time.Time)}
	var reading sync.WaitGroup
	reading.Go(a.read)
	a.send(ctx, client, rate)
	for deadline := time.Now().Add(lostAfter); a.waiting() > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	conn.Close()
	reading.Wait()
	for range a.open {
		o.lose("a query has no answer")
	}
}

func (a *dnsClient) send(ctx context.Context, client netip.Addr, rate float64) {
	const batch = 10 * time.Millisecond
	m := new(dns.Msg)
	m.SetQuestion("live.fairway.test.", dns.TypeA)
	m.Extra = []dns.RR{&dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232}, Option: []dns.EDNS0{&dns.EDNS0_SUBNET{
		Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: netip.PrefixFrom(client, 24).Masked().Addr().AsSlice(),
	}}}}
	packet, err := m.Pack()
	if err != nil {
		a.lose(err.Error())
		return
	}
	owed, id := 0.0, uint16(0)
	for last := time.Now(); ctx.Err() == nil; time.Sleep(batch) {
		now := time.Now()
		owed, last = min(owed+rate*now.Sub(last).Seconds(), inFlight), now
		for ; owed >= 1 && a.room(now); owed-- {
			id++
			a.mu.Lock()
			a.open[id] = now
			a.mu.Unlock()
			big.BigEndian.PutUint16(packet, id)
			a.conn.Write(packet) // what was not sent is not answered, and counts as lost
		}
	}
}

// room tells whether another query may be sent, and gives up those that are lost.
func (a *dnsClient) room(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) < inFlight {
		return true
	}
	for id, sent := range a.open {
		if now.Sub(sent) > lostAfter {
			delete(a.open, id)
			a.lose("a query has no answer")
		}
	}
	return false
}

func (a *dnsClient) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.open)
}

// read takes answers until the connection is closed.
func (a *dnsClient) read() {
	buffer := make([]byte, 2000)
	for {
		n, err := a.conn.Read(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 12 {
			continue // nobody listens there at the moment: the query stays open
		}
		id := big.BigEndian.Uint16(buffer)
		a.mu.Lock()
		_, asked := a.open[id]
		delete(a.open, id)
		a.mu.Unlock()
		if !asked {
			continue
		}
		a.answers.Add(1)
		r := new(dns.Msg)
		if err := r.Unpack(buffer[:n]); err != nil || r.Rcode != dns.RcodeSuccess || len(r.Answer) == 0 || !strings.Contains(r.Answer[0].String(), a.want) {
			a.mistake(fmt.Sprintf("%v %v, want %s", err, r, a.want))
		}
	}
}

// fetch sends one client's requests at a rate, one after the other, and wants each to
// be redirected to the right place.
func (o *oracle) fetch(ctx context.Context, d *doors, client netip.Addr, want string, rate float64) {
	c := &http.Client{
		Timeout: lostAfter, Transport: &http.Transport{MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer c.CloseIdleConnections()
	for ctx.Err() == nil {
		time.Sleep(time.Duration(float64(time.Second) / rate))
		q, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/r/live/main.m3u8", d.http), nil)
		q.Header.Set("X-Forwarded-For", client.String())
		r, err := c.Do(q)
		o.redirects.Add(1)
		if err != nil {
			o.lose(err.Error())
			continue
		}
		r.Body.Close()
		if got := r.Header.Get("Location"); r.StatusCode != http.StatusFound || got != want {
			o.mistake(fmt.Sprintf("HTTP %d to %q, want %q", r.StatusCode, got, want))
		}
	}
}

func (o *oracle) lose(what string)    { o.lost.Add(1); o.note(what) }
func (o *oracle) mistake(what string) { o.wrong.Add(1); o.note(what) }
func (o *oracle) note(what string)    { o.first.CompareAndSwap(nil, &what) }

// String is what the oracle has seen, as a sentence.
func (o *oracle) String() string {
	return fmt.Sprintf("%d DNS answers and %d redirects meanwhile: %d lost, %d wrong.", o.answers.Load(), o.redirects.Load(), o.lost.Load(), o.wrong.Load())
}

// faultless fails the test when an answer was lost or wrong.
func (o *oracle) faultless(t *testing.T) {
	t.Helper()
	o.stop()
	t.Log(o)
	if o.lost.Load()+o.wrong.Load() > 0 || o.answers.Load() < 100 {
		t.Errorf("%v", o)
		if why := o.first.Load(); why != nil {
			t.Errorf("the first: %s", *why)
		}
	}
}
