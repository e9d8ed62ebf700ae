package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
	"fairway/steering/store/kept"
)

// SecondaryConfig is what a Secondary needs.
type SecondaryConfig struct {
	// Folder keeps the copies. Required.
	Folder string
	// Check refuses a copy that cannot be served; the last good one then stands.
	Check func(zone string, c *Copy) error
	// Changed is called when a zone has another copy. It must not wait.
	Changed func()
	// Fetch asks a primary. Default: over the network.
	Fetch Fetcher
	// Logger gets what an operator should act on. Default none.
	Logger *slog.Logger
}

// Fetcher asks primaries.
type Fetcher interface {
	// Serial asks for the zone's SOA record.
	Serial(ctx context.Context, zone string, from netip.AddrPort, key *Key) (*dns.SOA, error)
	// Transfer asks for the zone, or, where have is not nil, for what has changed
	// since. It returns the answer's records.
	Transfer(ctx context.Context, zone string, from netip.AddrPort, key *Key, have *dns.SOA) ([]dns.RR, error)
}

// Secondary keeps copies of zones whose primary is elsewhere. It follows the timers
// of their SOA records (RFC 1034 §4.3.5) with one exception: a copy that has expired
// is told of and goes on being served, since names that we steer must not vanish
// because another server has. Make it with NewSecondary.
type Secondary struct {
	SecondaryConfig
	keys   atomic.Pointer[map[string]*Key]
	copies atomic.Pointer[map[string]*Copy] // never changed, only replaced
	known  atomic.Pointer[map[string]*source]

	mu      sync.Mutex
	changed chan struct{} // closed when the zones are others
}

// source is where a zone comes from.
type source struct {
	zone    string
	peers   []steering.Peer
	noticed chan struct{} // a NOTIFY has come
	current time.Time     // when the copy was last known to be current
}

// NewSecondary makes a Secondary without zones.
func NewSecondary(c SecondaryConfig) (*Secondary, error) {
	if c.Folder == "" {
		return nil, errors.New("transfer: a folder for copies is missing")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Fetch == nil {
		c.Fetch = network{}
	}
	if c.Check == nil {
		c.Check = func(string, *Copy) error { return nil }
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	s := &Secondary{SecondaryConfig: c, changed: make(chan struct{})}
	s.keys.Store(&map[string]*Key{})
	s.copies.Store(&map[string]*Copy{})
	s.known.Store(&map[string]*source{})
	return s, nil
}

// Set says which zones have a primary, and which keys there are. Copies of zones that
// are new are read from disk at once.
func (s *Secondary) Set(zones []steering.Zone, keys []Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byName := make(map[string]*Key, len(keys))
	for i := range keys {
		byName[keys[i].Name] = &keys[i]
	}
	s.keys.Store(&byName)
	before := *s.known.Load()
	known := make(map[string]*source)
	same := true
	for i := range zones {
		z := &zones[i]
		if len(z.Primaries) == 0 {
			continue
		}
		if old := before[z.Name]; old != nil && slices.Equal(old.peers, z.Primaries) {
			known[z.Name] = old
			continue
		}
		same = false
		known[z.Name] = &source{zone: z.Name, peers: z.Primaries, noticed: make(chan struct{}, 1)}
		s.load(known[z.Name])
	}
	s.known.Store(&known)
	if !same || len(known) != len(before) {
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// Copy returns the copy of a zone, nil for none.
func (s *Secondary) Copy(zone string) *Copy { return (*s.copies.Load())[zone] }

func (s *Secondary) file(zone string) string {
	return filepath.Join(s.Folder, strings.NewReplacer("/", "_", `\`, "_").Replace(strings.TrimSuffix(zone, "."))+".zone")
}

// load takes up a stored copy.
func (s *Secondary) load(src *source) {
	if s.Copy(src.zone) != nil {
		return
	}
	c, at, err := readCopy(src.zone, s.file(src.zone))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.Logger.Error("transfer: a stored copy cannot be read: the zone is transferred anew", "zone", src.zone, "err", err)
	default:
		src.current = at
		s.put(src.zone, c)
	}
}

func (s *Secondary) put(zone string, c *Copy) {
	next := make(map[string]*Copy)
	for name, old := range *s.copies.Load() {
		next[name] = old
	}
	next[zone] = c
	s.copies.Store(&next)
}

// Run keeps the copies current until ctx ends.
func (s *Secondary) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		s.mu.Lock()
		changed, known := s.changed, *s.known.Load()
		s.mu.Unlock()
		round, end := context.WithCancel(ctx)
		var loops sync.WaitGroup
		for _, src := range known {
			loops.Go(func() { s.follow(round, src) })
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
		end()
		loops.Wait()
	}
	return nil
}

// The bounds of what a SOA record may ask of us.
const (
	soonest     = time.Second // between two looks, whatever the reason
	shortest    = 10 * time.Second
	longest     = 24 * time.Hour
	firstRetry  = time.Second // as long as there is no copy
	slowestWait = time.Minute
)

// follow keeps one zone current.
func (s *Secondary) follow(ctx context.Context, src *source) {
	wait, retry := time.Duration(0), firstRetry
	if c := s.Copy(src.zone); c != nil {
		wait = time.Until(src.current.Add(bounded(c.SOA.Refresh)))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-src.noticed:
		case <-time.After(max(wait, 0)):
		}
		err := s.refresh(ctx, src)
		if ctx.Err() != nil {
			return
		}
		c := s.Copy(src.zone)
		switch {
		case err == nil:
			wait, retry = bounded(c.SOA.Refresh), firstRetry
		case c == nil:
			wait, retry = retry, min(2*retry, slowestWait)
			s.Logger.Error("transfer: a zone has not come from its primary: its names are answered SERVFAIL until it does", "zone", src.zone, "again", wait, "err", err)
		default:
			wait = bounded(c.SOA.Retry)
			s.complain(src, c, wait, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(soonest):
		}
	}
}

func bounded(seconds uint32) time.Duration {
	return min(max(time.Duration(seconds)*time.Second, shortest), longest)
}

// complain tells of a primary that does not answer, louder when the copy has expired.
func (s *Secondary) complain(src *source, c *Copy, wait time.Duration, err error) {
	if age := time.Since(src.current); age > time.Duration(c.SOA.Expire)*time.Second {
		s.Logger.Error("transfer: a copy has expired, and is served all the same: nobody knows whether it is right",
			"zone", src.zone, "serial", c.SOA.Serial, "age", age.Round(time.Second), "again", wait, "err", err)
		return
	}
	s.Logger.Warn("transfer: a primary does not answer: the last copy stands", "zone", src.zone, "serial", c.SOA.Serial, "again", wait, "err", err)
}

// refresh asks the primaries, one after the other, until one has answered.
func (s *Secondary) refresh(ctx context.Context, src *source) error {
	var problems []error
	for _, peer := range src.peers {
		err := s.ask(ctx, src, peer)
		if err == nil || ctx.Err() != nil {
			return err
		}
		problems = append(problems, fmt.Errorf("%s: %w", peer.Address, err))
	}
	return errors.Join(problems...)
}

func (s *Secondary) ask(ctx context.Context, src *source, peer steering.Peer) error {
	var key *Key
	if peer.Key != "" {
		if key = (*s.keys.Load())[peer.Key]; key == nil {
			return fmt.Errorf("TSIG key %s cannot be used here", peer.Key)
		}
	}
	have := s.Copy(src.zone)
	if have != nil {
		soa, err := s.Fetch.Serial(ctx, src.zone, peer.Address, key)
		if err != nil {
			return err
		}
		if !newer(soa.Serial, have.SOA.Serial) {
			s.seen(src)
			return nil
		}
	}
	next, err := s.fetch(ctx, src.zone, peer.Address, key, have)
	if err != nil || next == have {
		return err
	}
	if err := s.Check(src.zone, next); err != nil {
		return fmt.Errorf("serial %d cannot be served: %w", next.SOA.Serial, err)
	}
	s.put(src.zone, next)
	s.store(src, next)
	s.Logger.Info("zone transferred", "zone", src.zone, "serial", next.SOA.Serial, "records", len(next.records), "primary", peer.Address)
	s.Changed()
	return nil
}

// fetch gets a newer copy: by the steps since ours, or whole.
func (s *Secondary) fetch(ctx context.Context, zone string, from netip.AddrPort, key *Key, have *Copy) (*Copy, error) {
	if have != nil {
		rrs, err := s.Fetch.Transfer(ctx, zone, from, key, have.SOA)
		if err == nil {
			var next *Copy
			if next, err = takeIn(zone, have, rrs); err == nil {
				return next, nil
			}
		}
		s.Logger.Warn("transfer: no increment: the whole zone is asked for", "zone", zone, "primary", from, "err", err)
	}
	rrs, err := s.Fetch.Transfer(ctx, zone, from, key, nil)
	if err != nil {
		return nil, err
	}
	return newCopy(zone, rrs)
}

// takeIn reads the answer to an IXFR (RFC 1995 §4): one SOA record says that there
// is nothing new; two at its start, that steps follow; else it is the whole zone.
func takeIn(zone string, have *Copy, rrs []dns.RR) (*Copy, error) {
	if len(rrs) == 0 {
		return nil, errors.New("the answer is empty")
	}
	if len(rrs) == 1 {
		if soa, ok := rrs[0].(*dns.SOA); ok && !newer(soa.Serial, have.SOA.Serial) {
			return have, nil
		}
		return nil, errors.New("the answer ends after one record")
	}
	if _, steps := rrs[1].(*dns.SOA); steps && len(rrs) > 2 {
		return have.apply(zone, rrs)
	}
	return newCopy(zone, rrs)
}

// store keeps a copy for the next start.
func (s *Secondary) store(src *source, c *Copy) {
	src.current = time.Now()
	var text bytes.Buffer
	w := bufio.NewWriter(&text)
	err := c.write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = os.MkdirAll(s.Folder, 0o700)
	}
	if err == nil {
		err = kept.WriteFile(s.file(src.zone), text.Bytes(), 0o600)
	}
	if err != nil {
		s.Logger.Error("transfer: a copy cannot be kept: after a restart, the zone has to come from its primary before it is served", "zone", src.zone, "err", err)
	}
}

// seen notes that the copy is current, by the time of its file.
func (s *Secondary) seen(src *source) {
	src.current = time.Now()
	os.Chtimes(s.file(src.zone), src.current, src.current)
}

// Notice implements Notices. Who may send a NOTIFY is a primary of the zone, by its
// address or by its key (RFC 1996 §3.10); all that it can do is have us ask.
func (s *Secondary) Notice(zone string, from netip.Addr, key string) int {
	src := (*s.known.Load())[zone]
	if src == nil {
		return dns.RcodeNotAuth
	}
	if !slices.ContainsFunc(src.peers, func(p steering.Peer) bool {
		return p.Address.Addr() == from.Unmap() || key != "" && p.Key == key
	}) {
		return dns.RcodeRefused
	}
	select {
	case src.noticed <- struct{}{}:
	default: // one is waiting already
	}
	return dns.RcodeSuccess
}

// Wants tells whether NOTIFY messages mean anything to us.
func (s *Secondary) Wants() bool { return len(*s.known.Load()) > 0 }

// network asks over the network.
type network struct{}

// fetchWait bounds the wait for the next message of a primary.
const fetchWait = 30 * time.Second

func (network) Serial(ctx context.Context, zone string, from netip.AddrPort, key *Key) (*dns.SOA, error) {
	q := new(dns.Msg).SetQuestion(zone, dns.TypeSOA)
	q.RecursionDesired = false
	reply, err := exchange(ctx, "udp", from, key, q)
	if err != nil || reply.Truncated {
		q.Id = dns.Id()
		reply, err = exchange(ctx, "tcp", from, key, q)
	}
	if err != nil {
		return nil, err
	}
	if reply.Rcode != dns.RcodeSuccess {
		return nil, fmt.Errorf("the primary answers %s", dns.RcodeToString[reply.Rcode])
	}
	for _, rr := range reply.Answer {
		if soa, ok := rr.(*dns.SOA); ok && reply.Authoritative && dns.CanonicalName(soa.Hdr.Name) == zone {
			return soa, nil
		}
	}
	return nil, errors.New("the primary does not answer for the zone")
}

// exchange asks one question and checks the answer's signature.
func exchange(ctx context.Context, transport string, to netip.AddrPort, key *Key, q *dns.Msg) (*dns.Msg, error) {
	c := &dns.Client{Net: transport, Timeout: answerWait}
	m := q.Copy()
	if key != nil {
		c.TsigProvider = key
		m.SetTsig(key.Name, key.Algorithm, fudge, time.Now().Unix())
	}
	reply, _, err := c.ExchangeContext(ctx, m, to.String())
	if err == nil && key != nil && reply.IsTsig() == nil {
		err = errors.New("the answer is not signed")
	}
	return reply, err
}

func (network) Transfer(ctx context.Context, zone string, from netip.AddrPort, key *Key, have *dns.SOA) ([]dns.RR, error) {
	q := new(dns.Msg).SetAxfr(zone)
	if have != nil {
		q.SetIxfr(zone, have.Serial, have.Ns, have.Mbox)
	}
	dial, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(dial, "tcp", from.String())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	in := &dns.Transfer{Conn: &dns.Conn{Conn: conn}, ReadTimeout: fetchWait, WriteTimeout: fetchWait}
	if key != nil {
		in.TsigProvider = key
		q.SetTsig(key.Name, key.Algorithm, fudge, time.Now().Unix())
	}
	envelopes, err := in.In(q, from.String())
	if err != nil {
		conn.Close()
		return nil, err
	}
	var rrs []dns.RR
	for e := range envelopes {
		if err == nil && e.Error != nil {
			err = e.Error
		}
		if rrs = append(rrs, e.RR...); len(rrs) > 2*maxRecords && err == nil {
			err = fmt.Errorf("more than %d records", 2*maxRecords)
			conn.Close()
		}
	}
	return rrs, err
}
