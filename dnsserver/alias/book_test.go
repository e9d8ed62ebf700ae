package alias

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// cdn answers queries by the client's network, and counts them.
type cdn struct {
	mu     sync.Mutex
	lines  map[string]string // network, name and type → answer, a record a line
	broken error
	asked  int
}

func (c *cdn) exchange(_ context.Context, request *dns.Msg, resolver string) (*dns.Msg, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if resolver == "dead:53" {
		return nil, errors.New("no answer")
	}
	if c.broken != nil {
		return nil, c.broken
	}
	network := ""
	for _, o := range request.IsEdns0().Option {
		network = o.(*dns.EDNS0_SUBNET).Address.String()
	}
	reply := new(dns.Msg)
	reply.SetReply(request)
	q := request.Question[0]
	for line := range strings.Lines(c.lines[fmt.Sprint(network, " ", q.Name, " ", dns.Type(q.Qtype))]) {
		rr, err := dns.NewRR(line)
		if err != nil {
			return nil, err
		}
		reply.Answer = append(reply.Answer, rr)
	}
	return reply, nil
}

func (c *cdn) set(question, answer string, broken error) (asked int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if question != "" {
		c.lines[question] = answer
	}
	c.broken = broken
	return c.asked
}

const host = "e.cdn.example."

func target(region, network string) Target {
	t := Target{Host: host, Region: region}
	if network != "" {
		t.Client = netip.MustParsePrefix(network)
	}
	return t
}

func newCDN() *cdn {
	return &cdn{lines: map[string]string{
		"192.0.2.0 e.cdn.example. A":    "e.cdn.example. 300 CNAME x.cdn.example.\nx.cdn.example. 20 A 203.0.113.2\nx.cdn.example. 20 A 203.0.113.1",
		"192.0.2.0 e.cdn.example. AAAA": "e.cdn.example. 300 CNAME x.cdn.example.\nx.cdn.example. 60 AAAA 2001:db8::1",
		"198.51.100.0 e.cdn.example. A": "e.cdn.example. 1 A 203.0.113.9",
		" e.cdn.example. A":             "e.cdn.example. 3600 A 203.0.113.7",
	}}
}

// running runs a book until the test ends.
func running(t *testing.T, c Config) *Book {
	t.Helper()
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return b
}

func behind(b *Book, region string) string {
	found, ok := b.Behind(host, region)
	if !ok {
		return "nothing"
	}
	text := fmt.Sprint(found.IPv4, found.IPv6, " ", found.TTL)
	if found.Stale {
		text += " stale"
	}
	return text
}

// TestBook: each region gets what the CDN says of its network, for its TTL within
// bounds; the least of the chain's.
func TestBook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCDN()
		b := running(t, Config{Resolvers: []string{"dead:53", "good:53"}, Exchange: c.exchange})
		if got := behind(b, "eu"); got != "nothing" {
			t.Errorf("before it was set: %s", got)
		}
		b.Set([]Target{target("eu", "192.0.2.0/24"), target("na", "198.51.100.0/24"), target("default", "")})
		synctest.Wait()
		for region, want := range map[string]string{
			"eu": "[203.0.113.1 203.0.113.2] [2001:db8::1] 20s", "na": "[203.0.113.9] [] 5s", "default": "[203.0.113.7] [] 5m0s", "as": "nothing",
		} {
			if got := behind(b, region); got != want {
				t.Errorf("%s: %s, want %s", region, got, want)
			}
		}
		before := c.set("192.0.2.0 e.cdn.example. A", "e.cdn.example. 20 A 203.0.113.4", nil)
		time.Sleep(19 * time.Second)
		if got := behind(b, "eu"); got != "[203.0.113.1 203.0.113.2] [2001:db8::1] 1s" {
			t.Errorf("before the TTL's end: %s", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := behind(b, "eu"); got != "[203.0.113.4] [2001:db8::1] 19s" {
			t.Errorf("after the TTL's end: %s", got)
		}
		// In 21 s: eu once more, na four times, default not; two families, two resolvers.
		if n := c.set("", "", nil) - before; n != 4*(1+4) {
			t.Errorf("%d queries", n)
		}
	})
}

// TestBookAwait: a start waits until everything was looked up once, found or not, and
// no longer than it is willing to.
func TestBookAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCDN()
		slow := func(ctx context.Context, request *dns.Msg, resolver string) (*dns.Msg, error) {
			time.Sleep(2 * time.Second)
			return c.exchange(ctx, request, resolver)
		}
		b := running(t, Config{Resolvers: []string{"good:53"}, Exchange: slow})
		b.Set([]Target{target("eu", "192.0.2.0/24"), {Host: "none.example.", Region: "eu"}})
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b.Await(hasty)
		if got := behind(b, "eu"); got != "nothing" || hasty.Err() == nil {
			t.Errorf("before its time: %s", got)
		}
		b.Await(t.Context())
		if got := behind(b, "eu"); got == "nothing" {
			t.Error("nothing was awaited")
		}
	})
}

// TestBookLastGood: what was found last stands, marked, whatever fails and however
// long; what comes back is taken up.
func TestBookLastGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCDN()
		b := running(t, Config{Resolvers: []string{"good:53"}, Exchange: c.exchange})
		b.Set([]Target{target("eu", "192.0.2.0/24")})
		synctest.Wait()
		c.set("", "", errors.New("unreachable"))
		time.Sleep(21 * time.Second)
		synctest.Wait()
		const stale = "[203.0.113.1 203.0.113.2] [2001:db8::1] 5s stale"
		if got := behind(b, "eu"); got != stale {
			t.Errorf("after a failure: %s", got)
		}
		if known, old, unknown := b.Count(); known != 0 || old != 1 || unknown != 0 {
			t.Errorf("counted %d, %d, %d", known, old, unknown)
		}
		time.Sleep(100 * time.Hour)
		if got := behind(b, "eu"); got != stale {
			t.Errorf("after days: %s", got)
		}
		c.set("192.0.2.0 e.cdn.example. A", "", nil)
		c.set("192.0.2.0 e.cdn.example. AAAA", "", nil)
		time.Sleep(2 * time.Minute)
		if got := behind(b, "eu"); got != stale {
			t.Errorf("an answer without addresses: %s", got)
		}
		c.set("192.0.2.0 e.cdn.example. A", "e.cdn.example. 300 A 203.0.113.5", nil)
		time.Sleep(mostRetry)
		synctest.Wait()
		if got := behind(b, "eu"); !strings.HasPrefix(got, "[203.0.113.5] [] ") || strings.Contains(got, "stale") {
			t.Errorf("back again: %s", got)
		}
	})
}

// TestBookSet: targets that stay keep what is known, those that go are not asked for
// any more, and known addresses outlive a change of the network that is asked for.
func TestBookSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCDN()
		b := running(t, Config{Resolvers: []string{"good:53"}, Exchange: c.exchange})
		b.Set([]Target{target("eu", "192.0.2.0/24"), target("na", "198.51.100.0/24")})
		synctest.Wait()
		c.set("", "", errors.New("unreachable"))
		b.Set([]Target{target("eu", "192.0.9.0/24")})
		synctest.Wait()
		if eu, na := behind(b, "eu"), behind(b, "na"); !strings.HasPrefix(eu, "[203.0.113.1 ") || na != "nothing" {
			t.Errorf("eu %s, na %s", eu, na)
		}
		b.Set(nil)
		synctest.Wait()
		before := c.set("", "", nil)
		time.Sleep(time.Hour)
		if after := c.set("", "", nil); after != before {
			t.Errorf("%d queries for nothing", after-before)
		}
	})
}

// TestBookRestart: a file keeps what was found over a restart without a resolver.
func TestBookRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "aliases.json")
		c := newCDN()
		first := running(t, Config{Resolvers: []string{"good:53"}, Exchange: c.exchange, File: file})
		first.Set([]Target{target("eu", "192.0.2.0/24")})
		time.Sleep(61 * time.Second)
		c.set("", "", errors.New("unreachable"))
		second := running(t, Config{Resolvers: []string{"good:53"}, Exchange: c.exchange, File: file})
		second.Set([]Target{target("eu", "192.0.2.0/24")})
		if got := behind(second, "eu"); !strings.HasPrefix(got, "[203.0.113.1 203.0.113.2] [2001:db8::1] ") {
			t.Errorf("after a restart: %s", got)
		}
	})
}

func TestBookFindings(t *testing.T) {
	_, err := New(Config{MinTTL: time.Millisecond})
	if err == nil || strings.Count(err.Error(), "alias: ") != 2 {
		t.Errorf("two mistakes: %v", err)
	}
}
