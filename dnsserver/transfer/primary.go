package transfer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
)

// Contents is what zones hold. *dnsserver.Server has it.
type Contents interface {
	StaticContent(layout *steering.Layout, apex string) (*dnsserver.Content, error)
	SteeredContent(snapshot *steering.Snapshot, apex string) ([]*steering.Record, error)
	// Of signed zones: what there is beyond the content, and the signatures over a SOA
	// record. Epoch changes when these should be made again.
	Signed(layout *steering.Layout, apex string) bool
	Proofs(layout *steering.Layout, apex string, contents ...[]*steering.Record) ([]*steering.Record, error)
	ProveSOA(layout *steering.Layout, apex string, soa *dns.SOA) ([]*steering.Record, error)
	Epoch() uint64
}

// Config is what a Primary needs.
type Config struct {
	// Current is where the snapshots come from. Required.
	Current *steering.Current
	// Keys are the TSIG keys that may sign.
	Keys []Key
	// File keeps serials over restarts. Empty: they are not kept.
	File string
	// Settle is how long a version stands at least, unless the layout changes: what
	// steered names answer may change with every measurement, and each change is a
	// transfer. Default 30 s.
	Settle time.Duration
	// Send sends NOTIFY messages. Default: over UDP.
	Send func(ctx context.Context, to steering.Peer, packet []byte) (reply []byte, err error)
	// Notices is told of NOTIFY messages. Default: they are not taken.
	Notices Notices
	// Logger gets what an operator should act on. Default none.
	Logger *slog.Logger
}

// Notices takes NOTIFY messages, for zones whose primary is elsewhere.
type Notices interface {
	// Wants tells whether there are any such zones.
	Wants() bool
	// Notice returns the response code of the answer. key is the name of the TSIG key
	// that signed the message, empty for none.
	Notice(zone string, from netip.Addr, key string) int
}

// Primary answers requests for copies of our zones, and tells secondaries when
// there is something new. Make it with New; it implements dnsserver.Copies.
type Primary struct {
	current  *steering.Current
	settle   time.Duration
	file     string
	log      *slog.Logger
	notices  Notices
	notifier notifier
	keys     atomic.Pointer[map[string]*Key]

	looking  sync.Mutex // held while versions are made
	contents Contents
	saved    map[string]saved
	seen     *steering.Snapshot
	pending  bool
	hurried  bool
	looked   time.Time // when contents were last gathered
	made     map[string]time.Time
	untold   map[string]news
	epoch    uint64    // of the signer, when proofs were last made
	proven   time.Time // when that was
	proofs   int       // how often that was

	versions  atomic.Pointer[map[string]*version] // never changed, only replaced
	transfers atomic.Int32
}

// maxTransfers bounds the transfers at a time.
const maxTransfers = 16

// New checks the configuration. It reads the kept serials; where these cannot be
// read, new ones are made, from the clock.
func New(c Config) (*Primary, error) {
	if c.Current == nil {
		return nil, errors.New("transfer: Current is missing")
	}
	p := &Primary{
		current: c.Current, settle: cmp.Or(c.Settle, 30*time.Second), file: c.File, log: c.Logger, notices: c.Notices,
		made: make(map[string]time.Time), saved: make(map[string]saved),
		untold: make(map[string]news),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.notifier = notifier{send: c.Send, log: p.log, keys: &p.keys, running: make(map[steering.Peer]map[string]context.CancelFunc)}
	if p.notifier.send == nil {
		p.notifier.send = sendUDP
	}
	p.versions.Store(&map[string]*version{})
	p.SetKeys(c.Keys)
	p.load()
	return p, nil
}

// Serve says where the contents are: the door, which is made after us. It is called
// once, before anything else.
func (p *Primary) Serve(contents Contents) { p.contents = contents }

// SetKeys replaces the TSIG keys.
func (p *Primary) SetKeys(keys []Key) {
	byName := make(map[string]*Key, len(keys))
	for i := range keys {
		byName[dns.CanonicalName(keys[i].Name)] = &keys[i]
	}
	p.keys.Store(&byName)
}

// Run makes versions and sends NOTIFY until ctx ends.
func (p *Primary) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer p.notifier.wait()
	select { // the process that we may be replacing answers for a moment yet, with the serials of before
	case <-ctx.Done():
		return nil
	case <-tick.C:
	}
	for {
		p.Look()
		for _, n := range p.news() {
			p.notifier.tell(ctx, &n.zone.Copies, n.soa)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Look makes the versions that are due. Run does so all the time; called before,
// there are versions from the first query on.
func (p *Primary) Look() {
	p.looking.Lock()
	defer p.looking.Unlock()
	snapshot := p.current.Load()
	if snapshot == nil || p.contents == nil || snapshot == p.seen && !p.pending && !p.hurried && !p.stale() && time.Since(p.looked) < p.settle {
		return // addresses behind CDNs' host names change without a snapshot: hence the time
	}
	p.seen, p.pending, p.looked = snapshot, false, time.Now()
	if p.stale() {
		p.epoch, p.proven, p.proofs = p.contents.Epoch(), time.Now(), p.proofs+1
	}
	versions := make(map[string]*version)
	for i := range snapshot.Layout.Revision.Zones {
		zone := &snapshot.Layout.Revision.Zones[i]
		if !zone.Copies.Offered() || len(zone.NS) == 0 { // the latter has not come from its primary yet
			continue
		}
		old := (*p.versions.Load())[zone.Name]
		next := p.renew(snapshot, zone, old)
		if next == nil {
			continue
		}
		if versions[zone.Name] = next; old == nil || next.soa.Serial != old.soa.Serial {
			p.untold[zone.Name] = news{zone, next.soa}
		}
	}
	p.versions.Store(&versions)
	p.hurried = false
	if len(p.untold) > 0 {
		p.save()
	}
}

// Hurry has the next look, which Run has within a second, make versions that would
// otherwise wait: for what nobody can wait for, such as an authority that asks once.
func (p *Primary) Hurry() {
	p.looking.Lock()
	defer p.looking.Unlock()
	p.hurried = true
}

// news is a version that secondaries have not been told of.
type news struct {
	zone *steering.Zone
	soa  *dns.SOA
}

// news gives what secondaries have not been told of, once.
func (p *Primary) news() map[string]news {
	p.looking.Lock()
	defer p.looking.Unlock()
	untold := p.untold
	p.untold = make(map[string]news)
	return untold
}

// renew gives the version of a zone that the snapshot calls for: the old one where
// nothing has changed, or where it has not stood long enough.
func (p *Primary) renew(snapshot *steering.Snapshot, zone *steering.Zone, old *version) *version {
	now := time.Now()
	sameLayout := old != nil && old.layout == snapshot.Layout.Base()
	if sameLayout && now.Sub(p.made[zone.Name]) < p.settle && !p.hurried {
		p.pending = true
		return old
	}
	next, err := p.content(snapshot, zone, old, sameLayout)
	if err != nil {
		p.log.Error("transfer: no new version of a zone: secondaries keep the last", "zone", zone.Name, "err", err)
		return old
	}
	next.hash = hashOf(next.soa, next.static, next.steered, next.proofs)
	next.soa = dns.Copy(next.soa).(*dns.SOA)
	next.soa.Serial = p.serial(zone, next.hash, now)
	moved := old == nil || next.soa.Serial != old.soa.Serial
	if p.contents.Signed(snapshot.Layout, zone.Name) {
		moved, err = p.proveSOA(snapshot.Layout, zone, old, next, moved)
	}
	if err != nil {
		p.log.Error("transfer: no new version of a zone: secondaries keep the last", "zone", zone.Name, "err", err)
		return old
	}
	if old != nil {
		next.journal = old.journal
		if moved {
			next.succeed(old, zone.Copies.Journal)
		}
	}
	if moved {
		p.made[zone.Name] = now
		p.saved[zone.Name] = saved{Serial: next.soa.Serial, Hash: next.hash}
	}
	return next
}

// proveSOA signs the SOA record of a version. Where its signature had to be made anew
// and nothing else has changed, that is a change too, or the one that secondaries have
// would end.
func (p *Primary) proveSOA(layout *steering.Layout, zone *steering.Zone, old, next *version, moved bool) (bool, error) {
	var err error
	next.soaSigs, err = p.contents.ProveSOA(layout, zone.Name, next.soa)
	if err != nil || moved || slices.EqualFunc(next.soaSigs, old.soaSigs, sameRecord) {
		return moved, err
	}
	next.soa.Serial = nextSerial(next.soa.Serial, zone.SOA.Serial, time.Now())
	next.soaSigs, err = p.contents.ProveSOA(layout, zone.Name, next.soa)
	return true, err
}

// content gathers what a zone holds. What cannot have changed since the old version
// is taken from there.
func (p *Primary) content(snapshot *steering.Snapshot, zone *steering.Zone, old *version, sameLayout bool) (*version, error) {
	next := &version{layout: snapshot.Layout.Base(), proofsOf: p.proofs}
	var err error
	if sameLayout {
		next.soa, next.static = old.soa, old.static
	} else {
		c, err := p.contents.StaticContent(snapshot.Layout, zone.Name)
		if err != nil {
			return nil, err
		}
		next.soa, next.static = c.SOA, c.Static
	}
	if next.steered, err = p.contents.SteeredContent(snapshot, zone.Name); err != nil {
		return nil, err
	}
	if sameLayout && slices.EqualFunc(next.steered, old.steered, sameRecord) {
		next.steered = old.steered
		if old.proofsOf == p.proofs {
			next.proofs = old.proofs
			return next, nil
		}
	}
	if p.contents.Signed(snapshot.Layout, zone.Name) {
		next.proofs, err = p.contents.Proofs(snapshot.Layout, zone.Name, next.static, next.steered)
	}
	return next, err
}

func sameRecord(a, b *steering.Record) bool { return dnsserver.CompareRecords(a, b) == 0 }

// proofsHold is how long proofs are taken as they are: much shorter than before a
// signature is renewed, which is days before it ends.
const proofsHold = time.Hour

// stale tells whether proofs should be made again.
func (p *Primary) stale() bool {
	return p.epoch != p.contents.Epoch() || time.Since(p.proven) > proofsHold
}

// serial is the last one as long as the content is the same, and not below what the
// configuration states.
func (p *Primary) serial(zone *steering.Zone, hash string, now time.Time) uint32 {
	last, known := p.saved[zone.Name]
	least := zone.SOA.Serial
	switch {
	case !known:
		return firstSerial(least, now)
	case last.Hash == hash && (least == 0 || !newer(least, last.Serial)):
		return last.Serial
	}
	return nextSerial(last.Serial, least, now)
}

// find returns the zone of the current revision that allows copies, and its
// version; nil for none.
func (p *Primary) find(name string) (*steering.Zone, *version) {
	snapshot := p.current.Load()
	if snapshot == nil {
		return nil, nil
	}
	for i := range snapshot.Layout.Revision.Zones {
		if zone := &snapshot.Layout.Revision.Zones[i]; zone.Name == name {
			return zone, (*p.versions.Load())[name]
		}
	}
	return nil, nil
}

// Serial implements dnsserver.Copies.
func (p *Primary) Serial(zone string) (uint32, bool) {
	if v := (*p.versions.Load())[zone]; v != nil {
		return v.soa.Serial, true
	}
	return 0, false
}

// begin counts a transfer; false when there are too many.
func (p *Primary) begin() bool {
	if p.transfers.Add(1) > maxTransfers {
		p.transfers.Add(-1)
		return false
	}
	return true
}

func (p *Primary) end() { p.transfers.Add(-1) }
