package rum

import (
	"errors"
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"

	"github.com/cespare/xxhash/v2"
)

// Config is what a Collector needs. Bounds that are 0 have their default.
type Config struct {
	// Places tells where clients are: each address's region, country and AS.
	// Required.
	Places func() steering.Table
	// Signed tells whether a service takes reports only at signed target URLs.
	// Default: none does.
	Signed func(service string) bool
	// Key is what target URLs are signed with. Without one no signature is valid.
	Key []byte
	// MaxCells bounds the cells between two Takes, default 10,000. Where there would be
	// more, networks are told apart less finely.
	MaxCells int
	// MaxSessions is how many sessions are remembered, default 65,536 (4 MiB).
	MaxSessions int
	// PerSession and PerNetwork are how many records of one session and of one
	// network (/24 or /48) count between two Takes; default 200 and 5,000. With the
	// 2.4 records a second that players send, a session is never bounded in 30 s.
	PerSession, PerNetwork int
	// Watch is shown what single clients report; nil = nobody is.
	Watch Watcher
}

// Watcher is shown what clients of its choice report, one report at a time. It is
// called by many goroutines at once.
type Watcher interface {
	Wants(steering.Query) bool
	Reported(steering.Query, *Cell)
}

// Collector takes in what players say. All methods are safe for concurrent use and
// none of them waits for anything but another report.
type Collector struct {
	config   Config
	seed     maphash.Seed
	known    atomic.Pointer[directory]
	sessions *sessions
	session  *quota
	network  *quota
	shards   [16]shard
	cells    atomic.Int64
	counts   counts
}

// shard is a part of the cells.
type shard struct {
	mu    sync.Mutex
	cells map[Key]*Cell
}

// counts are what became of records.
type counts struct{ taken, unread, bounded, unknown, unsigned atomic.Uint64 }

// Counts tells what became of the records of all time.
type Counts struct {
	Taken    uint64 `json:"taken"`
	Unread   uint64 `json:"unread"`   // not CMCD, or too much of it
	Bounded  uint64 `json:"bounded"`  // above what a session or a network counts for
	Unknown  uint64 `json:"unknown"`  // about no endpoint of the service
	Unsigned uint64 `json:"unsigned"` // the service asks for a signature, and there is no valid one
}

// NewCollector checks the configuration.
func NewCollector(c Config) (*Collector, error) {
	if c.Places == nil {
		return nil, errors.New("rum: nothing tells where clients are")
	}
	orElse := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	orElse(&c.MaxCells, 10_000)
	orElse(&c.MaxSessions, 1<<16)
	orElse(&c.PerSession, 200)
	orElse(&c.PerNetwork, 5_000)
	if c.Signed == nil {
		c.Signed = func(string) bool { return false }
	}
	k := &Collector{
		config: c, seed: maphash.MakeSeed(), sessions: newSessions(c.MaxSessions),
		session: newQuota(c.PerSession, 1<<17), network: newQuota(c.PerNetwork, 1<<16),
	}
	for i := range k.shards {
		k.shards[i].cells = make(map[Key]*Cell)
	}
	return k, nil
}

// reporter is who reports: one client about one service.
type reporter struct {
	*Collector
	index   int // of the service, in the snapshot
	service *endpoints
	cell    *steering.Cell
	client  netip.Addr
	network netip.Prefix
	now     time.Time
}

func (k *Collector) reporter(s *steering.Snapshot, service int, client netip.Addr) reporter {
	table := k.config.Places()
	cell, _ := table.Locate(client)
	return reporter{
		Collector: k, index: service, service: k.directory(s.Layout.Revision).services[service], cell: &table.Cells()[cell],
		client: client, network: networkOf(client), now: time.Now(),
	}
}

// Events takes in a body of CMCD events and returns the HTTP status for it: 204
// always (CTA-5004-B §2.2), since a player that is told of an error sends the same
// again.
func (k *Collector) Events(s *steering.Snapshot, service int, client netip.Addr, query string, body []byte) int {
	if !k.signed(s, service, query) {
		return http.StatusNoContent
	}
	r := k.reporter(s, service, client)
	k.counts.unread.Add(uint64(events(string(body), r.event)))
	return http.StatusNoContent
}

// Requested takes in the CMCD data of a request that was redirected to an endpoint.
func (k *Collector) Requested(s *steering.Snapshot, service int, e *steering.Endpoint, client netip.Addr, query string, header http.Header) {
	rec, found := ofRequest(query, header)
	if !found || k.config.Signed(s.Layout.Revision.Services[service].Key) {
		return
	}
	r := k.reporter(s, service, client)
	r.request(&rec, r.service.index(e.ID))
}

// Polled takes in a steering poll: what was told first, the pathways in use since
// the last poll, the newest last, and their throughputs in bit/s, 0 = not said.
func (k *Collector) Polled(s *steering.Snapshot, service int, client netip.Addr, session, told string, failed bool, used []string, throughputs []float64) {
	if k.config.Signed(s.Layout.Revision.Services[service].Key) {
		return
	}
	r := k.reporter(s, service, client)
	if !r.admit(session) {
		return
	}
	if at := r.service.pathway(told); at >= 0 {
		r.add(at, session, func(c *Cell) {
			c.Requests++
			if failed {
				c.Failures++
				c.Switched++
			}
		})
	}
	for i, pathway := range used {
		if at := r.service.pathway(pathway); at >= 0 && len(throughputs) == len(used) && throughputs[i] > 0 {
			kbps := clampRate(throughputs[i])
			r.add(at, session, func(c *Cell) { c.Throughput.add(kbps) })
		}
	}
}

// admit tells whether one more record of a session and its network counts.
func (r *reporter) admit(session string) bool {
	if !r.Collector.network.take(maphash.Comparable(r.seed, r.network)) || !r.session.take(r.hash(session)) {
		r.counts.bounded.Add(1)
		return false
	}
	r.counts.taken.Add(1)
	return true
}

// hash names a session in tables of this node: never 0, and nobody can choose two
// that meet. Without an id it is the client's address.
func (r *reporter) hash(session string) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.WriteString(r.service.key)
	h.WriteByte(0)
	if session == "" {
		b := r.client.As16()
		h.Write(b[:])
	} else {
		h.WriteString(session)
	}
	return max(1, h.Sum64())
}

// event takes in one CMCD event.
func (r *reporter) event(rec *record) {
	if !r.admit(rec.session) {
		return
	}
	at := -1
	if rec.url != "" {
		at = r.service.find(rec.url)
	}
	var playing, stalled time.Duration
	var stalls int
	began := false
	during := -1 // the endpoint that the time since the last record belongs to
	r.sessions.with(r.hash(rec.session), r.now, func(s *session) {
		during = int(s.endpoint)
		playing, stalled, stalls = s.pass(rec)
		if rec.stall > 0 && !s.timed && rec.state != 'r' {
			stalled, stalls = min(rec.stall, maxPause), 1
		}
		began = rec.start > 0 && !s.began
		s.began = s.began || began
		if at >= 0 {
			s.endpoint = int32(at)
		} else {
			at = int(s.endpoint)
		}
	})
	if during < 0 {
		during = at
	}
	if at < 0 {
		r.counts.unknown.Add(1)
		return
	}
	if playing+stalled > 0 || stalls > 0 {
		r.add(during, rec.session, func(c *Cell) {
			c.Playing += playing.Seconds()
			c.Stalled += stalled.Seconds()
			c.Stalls += float64(stalls)
		})
	}
	r.add(at, rec.session, func(c *Cell) {
		if rec.event == "rr" {
			c.answered(rec)
		}
		if began {
			c.begin(rec.start)
		}
		if rec.event == "e" && rec.state == 'f' {
			c.Fatal++
		}
	})
}

// request takes in the data that came with a request for an endpoint: what the
// player measured before, on the endpoint that it had then.
func (r *reporter) request(rec *record, to int) {
	if to < 0 || !r.admit(rec.session) {
		return
	}
	from := -1
	r.sessions.with(r.hash(rec.session), r.now, func(s *session) {
		from = int(s.endpoint)
		s.endpoint = int32(to)
	})
	if from < 0 {
		return // the first request of a session: nothing was measured yet
	}
	r.add(from, rec.session, func(c *Cell) {
		if rec.measured > 0 && !rec.startup {
			c.Throughput.add(clampRate(rec.measured))
		}
		c.Playing += min(rec.length, maxPause).Seconds()
		if rec.starved && !rec.startup {
			// CMCD 1 tells that it stalled, not for how long.
			c.Stalled += starvation.Seconds()
			c.Stalls++
		}
	})
}

// starvation is what a stall of unknown length counts for.
const starvation = time.Second

// answered adds the outcome of a player's request, CMCD's rr.
func (c *Cell) answered(r *record) {
	if r.status >= 0 {
		c.Requests++
		if r.status == 0 || r.status >= 400 {
			c.Failures++
			return
		}
	}
	// As fast as that, or all in one moment, is the browser's own cache.
	if r.ttfb >= 2*time.Millisecond && r.ttfb < r.ttlb || r.ttfb >= 2*time.Millisecond && r.ttlb == 0 {
		c.TTFB.add(min(r.ttfb.Seconds()*1000, maxWait))
	}
	if r.startup {
		return
	}
	switch transfer := r.ttlb - r.ttfb; {
	case r.rate > 0 && r.length > 0 && r.ttfb > 0 && transfer >= time.Millisecond:
		c.Throughput.add(clampRate(r.rate * r.length.Seconds() / transfer.Seconds()))
	case r.measured > 0:
		c.Throughput.add(clampRate(r.measured))
	}
}

// begin adds the time to the first frame. What is shorter than a frame is no
// measurement: dash.js says 2 ms where playback begins by itself.
func (c *Cell) begin(took time.Duration) {
	if took >= 20*time.Millisecond {
		c.Start.add(min(took.Seconds()*1000, maxWait))
	}
}

// maxWait is the longest wait that is believed, in milliseconds.
const maxWait = 60_000

// clampRate gives bit/s as kbit/s, within what a player can measure.
func clampRate(bps float64) float64 { return min(max(bps/1000, 8), 1e6) }

// add has a function add to the cell of an endpoint for this reporter.
func (r *reporter) add(endpoint int, session string, do func(*Cell)) {
	key := Key{
		Service: r.service.key, Endpoint: r.service.ids[endpoint], Region: r.cell.Region, Country: r.cell.Country, ASN: r.cell.ASN,
	}
	if w := r.config.Watch; w != nil {
		if q := (steering.Query{Service: r.index, Client: r.client, Session: session}); w.Wants(q) {
			alone := &Cell{Key: key}
			do(alone)
			w.Reported(q, alone)
		}
	}
	if r.cells.Load() >= int64(r.config.MaxCells) {
		key.Country, key.ASN = "", 0
	}
	shard := &r.shards[(uint32(endpoint)*31+key.ASN)%uint32(len(r.shards))]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	c := shard.cells[key]
	if c == nil {
		c = &Cell{Key: key}
		shard.cells[key] = c
		r.cells.Add(1)
	}
	do(c)
	// The same on every node, so that the crowds of two nodes can be united.
	if session != "" {
		c.Sessions.add(xxhash.Sum64String(session))
	} else {
		b := r.client.As16()
		c.Sessions.add(xxhash.Sum64(b[:]))
	}
	b := r.network.Addr().As16()
	c.Networks.add(xxhash.Sum64(b[:]))
}

// Take gives what was reported since the last Take, and begins anew.
func (k *Collector) Take() []*Cell {
	var taken []*Cell
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		cells := s.cells
		s.cells = make(map[Key]*Cell, len(cells))
		k.cells.Add(-int64(len(cells)))
		s.mu.Unlock()
		for _, c := range cells {
			taken = append(taken, c)
		}
	}
	k.session.reset()
	k.network.reset()
	return taken
}

// Counts tells what became of what was reported.
func (k *Collector) Counts() Counts {
	c := &k.counts
	return Counts{
		Taken: c.taken.Load(), Unread: c.unread.Load(), Bounded: c.bounded.Load(), Unknown: c.unknown.Load(), Unsigned: c.unsigned.Load(),
	}
}
