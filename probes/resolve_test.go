package probes

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// resolver runs a DNS server on loopback; it notes who asked.
func resolver(t *testing.T, answer func(name string, qtype uint16) ([]dns.RR, int)) (address string, asked *atomic.Value) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Value)
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		asked.Store(w.RemoteAddr().String())
		r := new(dns.Msg).SetReply(q)
		r.Authoritative = true // else Go takes an empty answer for a referral
		r.Answer, r.Rcode = answer(q.Question[0].Name, q.Question[0].Qtype)
		if r.Rcode >= 0 {
			w.WriteMsg(r)
		}
	})}
	ready := make(chan struct{})
	server.NotifyStartedFunc = func() { close(ready) }
	go server.ActivateAndServe()
	<-ready
	t.Cleanup(func() { server.Shutdown() })
	return conn.LocalAddr().String(), asked
}

func record(t *testing.T, text string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestProbeResolves(t *testing.T) {
	l := listenAll(t, "127.0.0.21", "::1")
	server := handle(t, l[0], func(http.ResponseWriter, *http.Request) {})
	handle(t, l[1], func(http.ResponseWriter, *http.Request) {})
	ask, asked := resolver(t, func(name string, qtype uint16) ([]dns.RR, int) {
		switch qtype {
		case dns.TypeA:
			time.Sleep(60 * time.Millisecond)
			return []dns.RR{record(t, name+" 1 A 127.0.0.22"), record(t, name+" 1 A 127.0.0.21")}, dns.RcodeSuccess
		case dns.TypeAAAA:
			return []dns.RR{record(t, name+" 1 AAAA ::1")}, dns.RcodeSuccess
		}
		return nil, dns.RcodeSuccess
	})
	a := at(server, steering.ProbeHTTP, func(target *Target, p *steering.Probe) { target.Host, p.Resolver = "cdn.example", ask })
	began := time.Now()
	batch := testProber().probe(t.Context(), a)
	took := time.Since(began)
	got := make([]string, len(batch))
	for i, m := range batch {
		got[i] = fmt.Sprint(m.Address, " ", m.Outcome)
		if m.Phases.DNS < 60*time.Millisecond || m.Phases.DNS > took {
			t.Errorf("DNS phase %v, want 60ms", m.Phases.DNS)
		}
	}
	if want := "127.0.0.21 ok, 127.0.0.22 refused, ::1 ok"; strings.Join(got, ", ") != want {
		t.Errorf("measured %s, want %s", strings.Join(got, ", "), want)
	}

	a.vantage.Bind = netip.MustParseAddr("127.0.1.10")
	if batch := testProber().probe(t.Context(), a); len(batch) != 2 {
		t.Errorf("%d measurements from an IPv4 vantage, want the two IPv4 addresses", len(batch))
	}
	if from := asked.Load().(string); !strings.HasPrefix(from, "127.0.1.10:") {
		t.Errorf("the resolver was asked from %s, want 127.0.1.10", from)
	}
}

func TestProbeDoesNotResolve(t *testing.T) {
	tests := []struct {
		name   string
		rcode  int // -1: no answer
		detail string
	}{
		{"NXDOMAIN", dns.RcodeNameError, "cdn.example: no such host, says RESOLVER"},
		{"no addresses", dns.RcodeSuccess, "cdn.example: no such host, says RESOLVER"},
		{"SERVFAIL", dns.RcodeServerFailure, "cdn.example: server misbehaving, asking RESOLVER"},
		{"silence", -1, "cdn.example: no answer from RESOLVER within 200ms"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ask, _ := resolver(t, func(string, uint16) ([]dns.RR, int) { return nil, test.rcode })
			m := measureOne(t, at(netip.MustParseAddrPort("127.0.0.1:80"), steering.ProbeHTTP, func(target *Target, p *steering.Probe) {
				target.Host, p.Resolver = "cdn.example", ask
				if test.rcode < 0 {
					p.Timeout = 200 * time.Millisecond
				}
			}))
			want := strings.ReplaceAll(test.detail, "RESOLVER", ask)
			if m.Outcome != steering.OutcomeDNS || m.Address.IsValid() || m.Detail != want || m.Phases.DNS <= 0 {
				t.Errorf("measured %v %s %q after %v, want dns %q", m.Address, m.Outcome, m.Detail, m.Phases.DNS, want)
			}
		})
	}
}

// The system's resolver knows localhost, and is asked without search domains.
func TestProbeResolvesBySystem(t *testing.T) {
	server := handle(t, listen(t, "127.0.0.1:0"), func(http.ResponseWriter, *http.Request) {})
	a := at(server, steering.ProbeHTTP, func(target *Target, _ *steering.Probe) { target.Host = "localhost" })
	for _, m := range testProber().probe(t.Context(), a) {
		if m.Address == server.Addr() && m.OK() && m.Phases.DNS > 0 {
			return
		}
	}
	t.Error("localhost was not resolved to 127.0.0.1")
}

func TestProbeBoundsAddresses(t *testing.T) {
	var log bytes.Buffer
	p := newProber(64, slog.New(slog.NewTextHandler(&log, nil)))
	a := at(netip.MustParseAddrPort("127.0.0.1:1"), steering.ProbeTCP, func(target *Target, _ *steering.Probe) {
		for i := range 40 {
			target.Addresses = append(target.Addresses, netip.AddrFrom4([4]byte{127, 0, 2, byte(100 - i)}))
		}
	})
	for range 2 {
		batch := p.probe(t.Context(), a)
		if len(batch) != maxAddresses || batch[0].Address.String() != "127.0.2.61" || batch[31].Address.String() != "127.0.2.92" {
			t.Fatalf("%d addresses probed, from %v", len(batch), batch[0].Address)
		}
	}
	if n := strings.Count(log.String(), "too many addresses"); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
}
