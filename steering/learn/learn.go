package learn

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a Table needs.
type Config struct {
	// Name is the name below which tokens are, fully qualified, lower case, with the
	// final dot. Empty = nothing is learned.
	Name string
	// Evidence is how many client networks a resolver must have been seen with.
	// Default 10; at most networksKept.
	Evidence int
	// Majority is the share of them that must be in one region. Default 0.6.
	Majority float64
	// Keep is how long evidence counts. Default 7 days.
	Keep time.Duration
	// Resolvers is how many are remembered. Default 10,000, of about 8 KB each when
	// much is known of it.
	Resolvers int
	// Region tells the region of a client. Required.
	Region func(netip.Addr) string
	// Now is the time. Default time.Now.
	Now func() time.Time
}

const (
	networksKept   = 64      // of one resolver; the oldest makes room
	neighboursKept = 4       // of the same IPv4 /16: networks of one owner are not many witnesses
	tokensKept     = 1 << 14 // that wait for their HTTP request
	tokenLife      = time.Minute
	longestToken   = 40
	codeLength     = 16 // of hex digits
)

// Table is what has been learned. Make one with New.
type Table struct {
	config atomic.Pointer[Config]
	secret [32]byte
	served atomic.Pointer[map[netip.Prefix]netip.Addr] // by resolver; never changed, only replaced

	mu        sync.Mutex
	tokens    map[string]token
	order     []string // of tokens, the oldest first
	resolvers map[netip.Prefix]*resolver
	dirty     bool
}

// token is a session whose resolver is known.
type token struct {
	resolver netip.Prefix
	at       time.Time
}

// New makes an empty table.
func New(c Config) (*Table, error) {
	if c.Region == nil {
		return nil, errors.New("learn: Region is missing")
	}
	t := &Table{tokens: make(map[string]token), resolvers: make(map[netip.Prefix]*resolver)}
	rand.Read(t.secret[:]) // never fails
	t.served.Store(&map[netip.Prefix]netip.Addr{})
	t.Set(c)
	return t, nil
}

// Set takes up another configuration. Without a name everything is forgotten.
func (t *Table) Set(c Config) {
	if before := t.config.Load(); before != nil && c.Region == nil {
		c.Region, c.Now = before.Region, before.Now
	}
	if c.Evidence == 0 {
		c.Evidence = 10
	}
	if c.Majority == 0 {
		c.Majority = 0.6
	}
	if c.Keep == 0 {
		c.Keep = 7 * 24 * time.Hour
	}
	if c.Resolvers == 0 {
		c.Resolvers = 10_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	t.config.Store(&c)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirty = true
	if c.Name == "" {
		clear(t.tokens)
		clear(t.resolvers)
		t.order = nil
	}
}

// Run puts what was learned into use, every second, until ctx ends.
func (t *Table) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			t.Publish()
		}
	}
}

// Client returns the address that stands for the clients of a resolver: its own
// where nothing is known. It takes no lock.
func (t *Table) Client(from netip.Addr) netip.Addr {
	served := *t.served.Load()
	if len(served) == 0 {
		return from
	}
	if client, known := served[resolverNetwork(from)]; known {
		return client
	}
	return from
}

// Asked takes in a question for a name, canonical, and returns where the answer's
// CNAME leads; "" for a name that is answered as any other.
func (t *Table) Asked(name string, from netip.Addr) (target string) {
	c := t.config.Load()
	label, ok := labelOf(c.Name, name)
	if !ok || !from.IsValid() {
		return ""
	}
	id, code, coded := strings.Cut(label, "-")
	if !wellFormed(id) {
		return ""
	}
	network := resolverNetwork(from)
	want := t.code(id, network)
	if !coded {
		return id + "-" + want + "." + c.Name
	}
	if hmac.Equal([]byte(code), []byte(want)) {
		t.await(id, network, c.Now())
	}
	return ""
}

// code is what a resolver of a network is told.
func (t *Table) code(id string, network netip.Prefix) string {
	h := hmac.New(sha256.New, t.secret[:])
	h.Write([]byte(id + " " + network.String()))
	return hex.EncodeToString(h.Sum(nil))[:codeLength]
}

// await remembers whose token it is. The first resolver that asks has it; a second
// one would make it unclear.
func (t *Table) await(id string, network netip.Prefix, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now, tokensKept-1)
	if _, known := t.tokens[id]; !known {
		t.tokens[id] = token{network, now}
		t.order = append(t.order, id)
	}
}

// forget drops the tokens that waited too long, and the oldest of more than so many.
func (t *Table) forget(now time.Time, most int) {
	for len(t.order) > 0 && (len(t.order) > most || now.Sub(t.tokens[t.order[0]].at) > tokenLife) {
		delete(t.tokens, t.order[0])
		t.order = t.order[1:]
	}
}

// Host tells whether a host name, as in the Host header without the port, is one to
// learn from.
func (t *Table) Host(host string) bool {
	label, ok := labelOf(t.config.Load().Name, strings.ToLower(strings.TrimSuffix(host, "."))+".")
	return ok && wellFormed(label)
}

// Seen takes in a client's request to such a host. A token counts once.
func (t *Table) Seen(host string, client netip.Addr) {
	c := t.config.Load()
	id, ok := labelOf(c.Name, strings.ToLower(strings.TrimSuffix(host, "."))+".")
	if !ok || !client.IsValid() {
		return
	}
	client = clientNetwork(client).Addr() // the rest is forgotten here
	now, region := c.Now(), c.Region(client)
	t.mu.Lock()
	defer t.mu.Unlock()
	waiting, known := t.tokens[id]
	if !known || waiting.resolver == (netip.Prefix{}) || now.Sub(waiting.at) > tokenLife {
		return
	}
	t.tokens[id] = token{at: waiting.at} // spent
	r := t.resolvers[waiting.resolver]
	if r == nil {
		t.makeRoom(c, now)
		r = &resolver{networks: make(map[netip.Prefix]sighting)}
		t.resolvers[waiting.resolver] = r
	}
	r.add(witness(client), sighting{region, client, now})
	t.dirty = true
}

// Publish puts what was learned into use.
func (t *Table) Publish() {
	c := t.config.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	now := c.Now()
	t.forget(now, tokensKept)
	if !t.dirty && len(t.resolvers) == 0 {
		return
	}
	t.dirty = false
	served := make(map[netip.Prefix]netip.Addr)
	for network, r := range t.resolvers {
		if r.forget(now.Add(-c.Keep)); len(r.networks) == 0 {
			delete(t.resolvers, network)
			continue
		}
		if client, ok := r.stand(c.Evidence, c.Majority); ok {
			served[network] = client
		}
	}
	t.served.Store(&served)
}

// makeRoom drops a resolver when there are too many: of a few the one that was seen
// least lately.
func (t *Table) makeRoom(c *Config, now time.Time) {
	if len(t.resolvers) < c.Resolvers {
		return
	}
	var worst netip.Prefix
	oldest, looked := now.Add(time.Hour), 0
	for network, r := range t.resolvers {
		if r.last.Before(oldest) {
			worst, oldest = network, r.last
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(t.resolvers, worst)
}

// Known is how many resolvers are answered by what was learned, and how many there
// is any evidence of.
func (t *Table) Known() (served, seen int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(*t.served.Load()), len(t.resolvers)
}

// labelOf returns the one label that a name has before base.
func labelOf(base, name string) (string, bool) {
	label, ok := strings.CutSuffix(name, "."+base)
	return label, ok && base != "" && label != "" && !strings.Contains(label, ".")
}

// wellFormed tells whether a token is of small letters and digits, and not too long.
func wellFormed(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return id != "" && len(id) <= longestToken
}
