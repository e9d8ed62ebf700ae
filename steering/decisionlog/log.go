package decisionlog

import (
	"errors"
	"math/bits"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
	"fairway/steering/history"
)

// Config is what a Log needs.
type Config struct {
	// Share is the part of the clients that is logged, above 0 and at most 1. Required.
	Share float64
	// Snapshot is what the doors answer from. Required.
	Snapshot func() *steering.Snapshot
	// Most is how many decisions, and how many outcomes, are kept between two Takes;
	// default 20,000 of each. What is above is lost, and counted.
	Most int
}

// Log collects. All methods are safe for concurrent use.
type Log struct {
	config Config
	below  uint64 // hashes below it are in the sample
	lost   atomic.Uint64

	mu        sync.Mutex
	decisions map[key]*history.Decision
	outcomes  []history.Outcome
}

// key is what makes two decisions one entry.
type key struct {
	door, service string
	generation    uint64
	network       netip.Prefix
	client        uint64
}

// New checks the configuration.
func New(c Config) (*Log, error) {
	if !(c.Share > 0 && c.Share <= 1) {
		return nil, errors.New("decision log: the share of clients must be above 0 and at most 1")
	}
	if c.Snapshot == nil {
		return nil, errors.New("decision log: nothing tells what the doors answer from")
	}
	if c.Most <= 0 {
		c.Most = 20_000
	}
	l := &Log{config: c, below: ^uint64(0), decisions: make(map[key]*history.Decision)}
	if c.Share < 1 {
		l.below = uint64(c.Share * (1 << 63) * 2)
	}
	return l, nil
}

// chosen tells whether a client is in the sample. The hash is stirred once more: it
// also says what the client is told, and the sample must hold clients of every kind.
func (l *Log) chosen(hash uint64) bool {
	hi, lo := bits.Mul64(hash^0x8ebc6af09c88c6e3, 0x589965cc75374cc3)
	return hi^lo <= l.below
}

// Decided is shown a decision that a door hands out. It does not wait.
func (l *Log) Decided(door string, d *steering.Decision) {
	if !d.Network.IsValid() || d.Network.Bits() == 0 {
		return
	}
	s := l.config.Snapshot()
	if s == nil || s.Generation != d.Generation {
		return // it was swapped a moment ago
	}
	service := s.Layout.ByKey(d.Service.Key)
	if service < 0 {
		return
	}
	network := s.ClientHash(steering.Query{Service: service, Client: d.Network.Addr()})
	client := d.ClientHash()
	if client == network {
		client = 0
	}
	if !l.chosen(network) && (client == 0 || !l.chosen(client)) {
		return
	}
	first, ok := d.First()
	if !ok {
		return // nobody is told nothing by chance
	}
	k := key{door, d.Service.Key, d.Generation, d.Network, client}
	if !l.mu.TryLock() {
		l.lost.Add(1)
		return
	}
	defer l.mu.Unlock()
	switch known := l.decisions[k]; {
	case known != nil && known.Told == first.Endpoint.ID:
		known.Count++
	case len(l.decisions) >= l.config.Most:
		l.lost.Add(1)
	default:
		l.decisions[k] = entry(s, service, k, d, first)
	}
}

func entry(s *steering.Snapshot, service int, k key, d *steering.Decision, first *steering.Candidate) *history.Decision {
	e := &history.Decision{
		At: time.Now().UTC(), Count: 1, Door: k.door, Service: k.service, Region: d.Group.Region, Country: d.Cell.Country, ASN: d.Cell.ASN,
		Network: k.network, Client: name(k.client), Generation: k.generation, Rule: d.Group.Rule.Name,
		Reason: string(first.Reason.Code), TTL: int(d.TTL / time.Second), Told: first.Endpoint.ID,
	}
	odds, source := oddsOf(s, service, k.door, d)
	if source == steering.SourceResolver {
		e.Source = source.String()
	}
	for _, o := range odds {
		c := o.Candidate
		e.Odds = append(e.Odds, history.Odds{Endpoint: c.Endpoint.ID, Share: o.Share, Score: c.Score, Verdict: c.Verdict.String()})
	}
	return e
}

// oddsOf finds how the client had asked, by which way leads to its decision. A rule
// that reads the path may have led elsewhere: then what the split says is all.
func oddsOf(s *steering.Snapshot, service int, door string, d *steering.Decision) ([]steering.Odds, steering.Source) {
	q := steering.Query{Service: service, Client: d.Network.Addr()}
	q.Door, _ = steering.DoorNamed(door)
	for _, q.Source = range []steering.Source{steering.SourceClient, steering.SourceResolver} {
		odds := s.Odds(q)
		for _, o := range odds {
			if c, ok := d.First(); ok && o.Candidate.Endpoint.ID == c.Endpoint.ID && leadsTo(s, q, d) {
				return odds, q.Source
			}
		}
	}
	var odds []steering.Odds
	total := 0.0
	for i := range d.Split.Picks() {
		p := &d.Split.Picks()[i]
		odds = append(odds, steering.Odds{Candidate: p, Share: p.Weight * p.Factor()})
		total += p.Weight * p.Factor()
	}
	for i := range odds {
		odds[i].Share /= total
	}
	return odds, steering.SourceClient
}

// leadsTo tells whether clients who ask so come to the decision's group.
func leadsTo(s *steering.Snapshot, q steering.Query, d *steering.Decision) bool {
	if d.Canary {
		return true // the trial's groups are its own
	}
	cell, _ := s.Layout.Table.Locate(q.Client.Unmap())
	for _, part := range s.Layout.Services[q.Service].Parts(cell, q) {
		if s.Split(q.Service, part.Group) == d.Split {
			return true
		}
	}
	return false
}

// Wants tells whether the outcomes of a client belong into the log.
func (l *Log) Wants(q steering.Query) bool {
	s := l.config.Snapshot()
	if s == nil || q.Service < 0 || q.Service >= len(s.Layout.Services) {
		return false
	}
	if l.chosen(s.ClientHash(q)) {
		return true
	}
	q.Session = ""
	return l.chosen(s.ClientHash(q))
}

// Reported takes an outcome of a client that the log wants, but for who it is.
func (l *Log) Reported(q steering.Query, o history.Outcome) {
	s := l.config.Snapshot()
	if s == nil || q.Service < 0 || q.Service >= len(s.Layout.Services) {
		return
	}
	d := s.Decide(steering.Query{Service: q.Service, Client: q.Client})
	o.At, o.Service, o.Network = time.Now().UTC(), d.Service.Key, d.Network
	if hash := s.ClientHash(q); q.Session != "" && hash != s.ClientHash(steering.Query{Service: q.Service, Client: q.Client}) {
		o.Client = name(hash)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.outcomes) >= l.config.Most {
		l.lost.Add(1)
		return
	}
	l.outcomes = append(l.outcomes, o)
}

func name(hash uint64) string {
	if hash == 0 {
		return ""
	}
	return strconv.FormatUint(hash, 16)
}

// Take gives what was collected since the last Take, and begins anew.
func (l *Log) Take() ([]history.Decision, []history.Outcome) {
	l.mu.Lock()
	taken, outcomes := l.decisions, l.outcomes
	l.decisions, l.outcomes = make(map[key]*history.Decision), nil
	l.mu.Unlock()
	decisions := make([]history.Decision, 0, len(taken))
	for _, d := range taken {
		decisions = append(decisions, *d)
	}
	return decisions, outcomes
}

// Lost is how many decisions and outcomes of the sample were not logged.
func (l *Log) Lost() uint64 { return l.lost.Load() }
