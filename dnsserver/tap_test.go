package dnsserver

import (
	"bytes"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// notebook is a Tap that keeps what it saw.
type notebook struct {
	mu   sync.Mutex
	seen []Exchange
}

func (n *notebook) Saw(x Exchange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	x.Query, x.Answer = bytes.Clone(x.Query), bytes.Clone(x.Answer)
	n.seen = append(n.seen, x)
}

// TestTap: every tap sees the octets of every exchange, of either path and
// transport, and none of what got no answer.
func TestTap(t *testing.T) {
	first, second := &notebook{}, &notebook{}
	s, _ := newServer(t, func(c *Config) { c.Taps = []Tap{first, second} })
	address, _ := start(t, s)
	for i, c := range []struct{ name, transport string }{
		{"live.fairway.test.", transportUDP}, // the fast path
		{"x.wild.fairway.test.", transportTCP},
		{"elsewhere.example.", transportUDP}, // refused
	} {
		asked := query(c.name, dns.TypeA, withEDNS(1232))
		got := ask(t, address, c.transport, asked)
		for _, n := range []*notebook{first, second} {
			n.mu.Lock()
			if len(n.seen) != i+1 {
				t.Fatalf("%s: %d exchanges were seen, want %d", c.name, len(n.seen), i+1)
			}
			x := n.seen[i]
			n.mu.Unlock()
			var q, a dns.Msg
			if q.Unpack(x.Query) != nil || a.Unpack(x.Answer) != nil || q.Id != asked.Id || q.Question[0].Name != c.name || a.Rcode != got.Rcode || len(a.Answer) != len(got.Answer) {
				t.Errorf("%s: saw %v and %v", c.name, &q, &a)
			}
			if x.Transport != c.transport || !x.Client.IsLoopback() || x.Took <= 0 {
				t.Errorf("%s: saw %q, %v, %v", c.name, x.Transport, x.Client, x.Took)
			}
		}
	}
}
