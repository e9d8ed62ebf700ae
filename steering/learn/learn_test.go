package learn

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const name = "learn.cdn.example."

var (
	theResolver = netip.MustParseAddr("192.0.2.53")
	neighbour   = netip.MustParseAddr("192.0.2.99") // of the same /24
	stranger    = netip.MustParseAddr("198.51.100.53")
)

// world is a table with a clock and a map: what begins with 10 is in eu, all else is
// in na.
type world struct {
	*Table
	now     time.Time
	session int
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{now: time.Unix(1_800_000_000, 0)}
	c := Config{Name: name, Evidence: 3, Now: func() time.Time { return w.now }, Region: func(a netip.Addr) string {
		if a.Is4() && a.As4()[0] == 10 {
			return "eu"
		}
		return "na"
	}}
	if change != nil {
		change(&c)
	}
	var err error
	if w.Table, err = New(c); err != nil {
		t.Fatal(err)
	}
	return w
}

// visit is one session of a client behind a resolver.
func (w *world) visit(from netip.Addr, client string) {
	w.session++
	id := fmt.Sprintf("s%d", w.session)
	target := w.Asked(id+"."+name, from)
	w.Asked(target, from)
	w.Seen(id+"."+strings.TrimSuffix(name, "."), netip.MustParseAddr(client))
	w.Publish()
}

// networks gives clients in many networks, none near another.
func networks(first, n int) (clients []string) {
	for i := range n {
		clients = append(clients, fmt.Sprintf("%d.%d.0.7", first, i))
	}
	return clients
}

func TestLearns(t *testing.T) {
	w := newWorld(t, nil)
	for i, client := range networks(10, 3) {
		if got := w.Client(theResolver); got != theResolver {
			t.Errorf("after %d networks the resolver stands for %v already", i, got)
		}
		w.visit(theResolver, client)
	}
	for _, from := range []netip.Addr{theResolver, neighbour} {
		if got := w.Client(from); got.String() != "10.0.0.0" {
			t.Errorf("%v stands for %v, want a network in eu, cut to /24", from, got)
		}
	}
	if got := w.Client(stranger); got != stranger {
		t.Errorf("another resolver stands for %v", got)
	}
}

// TestMajority: a resolver with clients all over the world keeps its own address.
func TestMajority(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 5 {
		w.visit(theResolver, networks(10, 5)[i])
		w.visit(theResolver, networks(20, 5)[i])
	}
	if got := w.Client(theResolver); got != theResolver {
		t.Errorf("with half its clients elsewhere it stands for %v", got)
	}
	for _, client := range networks(30, 8) {
		w.visit(theResolver, client)
	}
	if got := w.Client(theResolver); got.String() != "20.0.0.0" {
		t.Errorf("with most of them in na it stands for %v", got)
	}
}

// TestStandsStill: further evidence for the same region changes no answer.
func TestStandsStill(t *testing.T) {
	w := newWorld(t, nil)
	for _, client := range networks(10, 3) {
		w.visit(theResolver, client)
	}
	before := w.Client(theResolver)
	for _, client := range networks(10, 40) {
		w.visit(theResolver, client)
		if got := w.Client(theResolver); got != before {
			t.Fatalf("now %v, was %v", got, before)
		}
	}
}

// TestForgedResolver: who sends questions in another's name does not see the answer,
// and cannot ask the second one.
func TestForgedResolver(t *testing.T) {
	w := newWorld(t, nil)
	for i, client := range networks(10, 20) {
		id := fmt.Sprintf("forged%d", i)
		w.Asked(id+"."+name, theResolver)
		w.Asked(id+"-0123456789abcdef."+name, theResolver)
		own := w.Asked(id+"x."+name, stranger) // a code for himself does not help
		w.Asked(own, theResolver)
		w.Seen(id+"."+name, netip.MustParseAddr(client))
		w.Seen(id+"x."+name, netip.MustParseAddr(client))
	}
	w.Publish()
	if _, seen := w.Known(); seen != 0 || w.Client(theResolver) != theResolver {
		t.Error("forged questions count")
	}
}

// TestOneWitness: a network counts once, neighbours little, a token once.
func TestOneWitness(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Evidence = 5 })
	for i := range 200 {
		w.visit(theResolver, fmt.Sprintf("10.1.%d.7", i))
		w.visit(theResolver, "10.2.0.7")
		w.visit(theResolver, fmt.Sprintf("2001:db8:%x::7", i))
	}
	r := w.resolvers[resolverNetwork(theResolver)]
	if len(r.networks) != neighboursKept+2 {
		t.Errorf("%d networks count: %v", len(r.networks), r.networks)
	}
	spent := newWorld(t, nil)
	target := spent.Asked("once."+name, theResolver)
	spent.Asked(target, theResolver)
	for _, client := range networks(10, 20) {
		spent.Seen("once."+name, netip.MustParseAddr(client))
	}
	spent.Publish()
	if spent.Client(theResolver) != theResolver {
		t.Error("one token counts for many clients")
	}
}

// TestAge: evidence, and tokens, count for a time.
func TestAge(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Keep = time.Hour })
	for _, client := range networks(10, 3) {
		w.visit(theResolver, client)
	}
	w.now = w.now.Add(2 * time.Hour)
	w.Publish()
	if _, seen := w.Known(); seen != 0 || w.Client(theResolver) != theResolver {
		t.Error("old evidence counts")
	}
	w.Asked(w.Asked("late."+name, theResolver), theResolver)
	w.now = w.now.Add(2 * tokenLife)
	w.Seen("late."+name, netip.MustParseAddr("10.0.0.7"))
	if _, seen := w.Known(); seen != 0 {
		t.Error("a token of long ago counts")
	}
}

// TestBounds: tokens, resolvers and networks of a resolver are bounded, whatever is
// sent.
func TestBounds(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Resolvers = 50 })
	for i := range 3 * tokensKept {
		id := fmt.Sprintf("t%d", i)
		w.Asked(w.Asked(id+"."+name, theResolver), theResolver)
	}
	if len(w.tokens) > tokensKept || len(w.order) > tokensKept {
		t.Errorf("%d tokens, %d in order", len(w.tokens), len(w.order))
	}
	for i := range 500 {
		w.visit(netip.AddrFrom4([4]byte{172, byte(i >> 8), byte(i), 1}), "10.0.0.7")
	}
	if _, seen := w.Known(); seen > 50 {
		t.Errorf("%d resolvers", seen)
	}
	for i := range 500 {
		w.visit(theResolver, fmt.Sprintf("%d.%d.0.1", 11+i%100, i%250))
	}
	if n := len(w.resolvers[resolverNetwork(theResolver)].networks); n > networksKept {
		t.Errorf("%d networks of one resolver", n)
	}
}

func TestNamesThatAreNone(t *testing.T) {
	w := newWorld(t, nil)
	for _, other := range []string{
		name, "a.b." + name, "www.cdn.example.", "up_per." + name, strings.Repeat("x", 41) + "." + name, "-." + name, "xlearn.cdn.example.",
	} {
		if target := w.Asked(other, theResolver); target != "" {
			t.Errorf("%s leads to %s", other, target)
		}
		if w.Host(other) {
			t.Errorf("%s is a host to learn from", other)
		}
	}
	if !w.Host("AbC.Learn.cdn.example") {
		t.Error("hosts are compared without regard to case")
	}
	off := newWorld(t, func(c *Config) { c.Name = "" })
	if off.Asked("a."+name, theResolver) != "" || off.Host("a."+name) {
		t.Error("switched off, it listens")
	}
}

// TestClientDoesNotAllocate: it is asked for every query.
func TestClientDoesNotAllocate(t *testing.T) {
	w := newWorld(t, nil)
	for _, client := range networks(10, 3) {
		w.visit(theResolver, client)
	}
	if n := testing.AllocsPerRun(1000, func() { w.Client(theResolver); w.Client(stranger) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTokensAreForgotten: who has asked for a name is not known for longer than a minute,
// whether or not anybody asks for another one.
func TestTokensAreForgotten(t *testing.T) {
	w := newWorld(t, nil)
	w.Asked(w.Asked("waits."+name, theResolver), theResolver)
	w.visit(theResolver, "10.1.0.7")
	if len(w.tokens) != 2 {
		t.Fatalf("%d tokens, want one that waits and one that was spent", len(w.tokens))
	}
	w.now = w.now.Add(tokenLife + time.Second)
	w.Publish()
	if len(w.tokens) != 0 || len(w.order) != 0 {
		t.Errorf("after more than a minute there are %v, in the order %v", w.tokens, w.order)
	}
}
