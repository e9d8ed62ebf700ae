package dnssec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// Config is what a Keeper needs.
type Config struct {
	// Vault keeps the keys. Required.
	Vault Vault
	// Writes tells whether this process makes and replaces keys now: of those that share
	// a vault, one at a time, unless the vault says ErrConflict. It is asked before each
	// step, and the others take up what was saved. Default: never.
	Writes func() bool
	// Every is how often steps are looked for, and what others saved. Default 2 s.
	Every time.Duration
	// AskEvery is how often the parent is asked while a DS is awaited. Default 1 min.
	AskEvery time.Duration
	// Signatures bounds how many are kept of what zones hold, and a quarter of it
	// those of what questions make up. Default 2^18: about 100 MB when full.
	Signatures int
	// Now is the time of day. Default time.Now.
	Now func() time.Time
	// Logger gets each event of a key's life, and what goes wrong. Default none.
	Logger *slog.Logger
}

// Keeper keeps the keys of all signed zones and signs with them.
type Keeper struct {
	Config
	signer signer
	zones  atomic.Pointer[map[string]*active]
	epoch  atomic.Uint64

	mu     sync.Mutex // held while keys change
	next   map[string][]step
	faults map[string]string
	asked  map[string]time.Time
	clock  lastLook
}

// New makes a Keeper; Prepare gives it zones.
func New(c Config) (*Keeper, error) {
	if c.Vault == nil {
		return nil, errors.New("dnssec: Vault is missing")
	}
	if c.Writes == nil {
		c.Writes = func() bool { return false }
	}
	if c.Every == 0 {
		c.Every = 2 * time.Second
	}
	if c.AskEvery == 0 {
		c.AskEvery = time.Minute
	}
	if c.Signatures == 0 {
		c.Signatures = 1 << 18
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{
		Config: c, next: make(map[string][]step), faults: make(map[string]string), asked: make(map[string]time.Time),
		signer: signer{now: c.Now, standing: newCache(c.Signatures), minted: newCache(c.Signatures / 4)},
	}
	k.zones.Store(&map[string]*active{})
	return k, nil
}

// Prepare takes up how zones are to be signed: before a layout with them is
// published. Zones without DNSSEC are passed over; what was prepared before stays.
// The writer makes the keys of a zone that has none.
//
// With an error, a zone that was not prepared before has the keys that there are, if
// any; Run goes on trying.
func (k *Keeper) Prepare(zones []steering.Zone) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var findings []error
	for i := range zones {
		if z := &zones[i]; z.DNSSEC != nil {
			if err := k.prepare(dns.CanonicalName(z.Name), planOf(z)); err != nil {
				findings = append(findings, fmt.Errorf("%s: %w", z.DNSSEC.Place, err))
			}
		}
	}
	return errors.Join(findings...)
}

func (k *Keeper) prepare(zone string, p plan) error {
	old := (*k.zones.Load())[zone]
	r, _, err := k.load(zone)
	if err == nil {
		if err = r.fits(&p.DNSSEC); err != nil && old != nil {
			return err
		}
	}
	if old == nil {
		k.take(zone, &active{ring: &Ring{Zone: zone}, plan: p})
	}
	if moved := k.step(zone, p, 0); moved != nil && !errors.Is(moved, errNotYet) && !errors.Is(moved, ErrConflict) {
		return moved
	}
	if absent(err) {
		return nil
	}
	return err
}

// errNotYet means that another process has not made the keys yet.
var errNotYet = errors.New("its keys are not there yet: the node with the role control makes them; of a fleet's, the one that leads")

// load reads a zone's ring; an empty one with an error.
func (k *Keeper) load(zone string) (Ring, []byte, error) {
	r := Ring{Zone: zone}
	data, err := k.Vault.Load(zone)
	if err != nil {
		return r, nil, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, nil, fmt.Errorf("read the keys of %s: %w", zone, err)
	}
	if r.Zone != zone {
		return r, nil, fmt.Errorf("read the keys of %s: they are those of %s", zone, r.Zone)
	}
	return r, data, r.check()
}

// move takes a ring's due steps, where we are the writer, saves it if that changed
// it, and signs with it. What cannot be saved is not used either: after a restart
// nobody would have the key that signed.
func (k *Keeper) move(r Ring, data []byte, p plan) error {
	moved, next, err := advance(r, p, k.now())
	if err != nil {
		return err
	}
	if k.Writes() {
		if moved, err = k.save(moved, data); err != nil {
			return err
		}
	} else {
		moved = r
	}
	k.next[r.Zone] = next
	if old := (*k.zones.Load())[r.Zone]; old != nil && equal(old.ring, &moved) && same(old.plan, p) {
		return nil
	}
	a, err := newActive(&moved, p)
	if err != nil {
		return err
	}
	k.tell((*k.zones.Load())[r.Zone], a)
	k.take(r.Zone, a)
	return nil
}

func (k *Keeper) save(r Ring, before []byte) (Ring, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return r, err
	}
	if !bytes.Equal(data, before) {
		if err := k.Vault.Save(r.Zone, data); err != nil {
			return r, err
		}
	}
	kept := Ring{}
	return kept, json.Unmarshal(data, &kept) // times as they are stored
}

func equal(a, b *Ring) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func same(a, b plan) bool {
	a.Place, b.Place = steering.Place{}, steering.Place{}
	return slices.Equal(a.ParentServers, b.ParentServers) && fmt.Sprint(a) == fmt.Sprint(b)
}

// take lets a zone be signed by other keys from now on.
func (k *Keeper) take(zone string, a *active) {
	next := maps.Clone(*k.zones.Load())
	next[zone] = a
	k.zones.Store(&next)
	k.epoch.Add(1)
}

// tell logs what has become of the keys.
func (k *Keeper) tell(old, now *active) {
	before := make(map[uint16]Key)
	if old != nil {
		for _, key := range old.ring.Keys {
			before[key.Tag] = key
		}
	}
	for _, key := range now.ring.Keys {
		was, known := before[key.Tag]
		delete(before, key.Tag)
		for _, event := range []struct {
			what string
			news bool
		}{
			{"is published", !known},
			{"signs the zone", was.Active.IsZero() && !key.Active.IsZero()},
			{"does not sign any more", was.Retired.IsZero() && !key.Retired.IsZero()},
			{"waits for its DS at the parent", was.Announced.IsZero() && !key.Announced.IsZero() && key.Trusted.IsZero()},
			{"is known to the parent", was.Trusted.IsZero() && !key.Trusted.IsZero()},
			{"is not needed at the parent any more", was.Superseded.IsZero() && !key.Superseded.IsZero()},
		} {
			if event.news {
				k.Logger.Info("dnssec: key "+event.what, "zone", now.ring.Zone, "role", key.Role, "tag", key.Tag)
			}
		}
	}
	for tag, key := range before {
		k.Logger.Info("dnssec: key is removed", "zone", now.ring.Zone, "role", key.Role, "tag", tag)
	}
}

// Run takes the steps that are due, and takes up what others saved, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(k.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			k.look(ctx)
		}
	}
}

// now is the time as it is stored.
func (k *Keeper) now() time.Time { return k.Now().Round(0).UTC() }

// look is one round of Run.
func (k *Keeper) look(ctx context.Context) {
	if k.clock.stepped(k.Now()) {
		k.Logger.Warn("dnssec: the clock was set: signatures are looked at anew")
		k.epoch.Add(1)
	}
	for _, zone := range slices.Sorted(maps.Keys(*k.zones.Load())) {
		seen := k.askParent(ctx, zone)
		k.mu.Lock()
		_ = k.step(zone, (*k.zones.Load())[zone].plan, seen) // kept, logged and tried again
		k.mu.Unlock()
	}
}

// step takes up what is in the vault and does what is due; it keeps what went wrong.
// seen is the tag of a key whose DS the parent has, 0 for none.
func (k *Keeper) step(zone string, p plan, seen uint16) (err error) {
	defer func() {
		switch {
		case err == nil, errors.Is(err, ErrConflict): // what the other one saved is seen with the next look
			delete(k.faults, zone)
		case k.faults[zone] != err.Error():
			k.Logger.Error("dnssec: the keys stay as they are", "zone", zone, "err", err)
			k.faults[zone] = err.Error()
		}
	}()
	known := (*k.zones.Load())[zone].ring
	r, data, err := k.load(zone)
	switch {
	case absent(err) && k.Writes():
		// A zone's first keys; or somebody has removed the file of those that serve.
		r, data = Ring{Zone: zone, Keys: known.Keys}, nil
	case absent(err) && len(known.Keys) == 0:
		return errNotYet
	case err != nil:
		return err
	}
	if key := r.announced(); seen != 0 && key != nil && key.Tag == seen && key.Trusted.IsZero() {
		key.Trusted = k.now()
	}
	return k.move(r, data, p)
}

// Sign returns the signatures over an RRset of a zone: records of one name and
// type, nobody else's at the time (packing writes to their headers), whose TTL goes into the signature as the original one (RFC 4034 §3.1.4).
// allow is nil for what the zone holds. For what a question makes up, such as that
// its name does not exist, allow is asked before a signature is made, and its no is
// ErrLimited.
func (k *Keeper) Sign(zone string, rrset []dns.RR, allow func() bool) ([]*dns.RRSIG, error) {
	a := (*k.zones.Load())[zone]
	if a == nil || len(a.ring.Keys) == 0 {
		return nil, errUnsigned
	}
	return k.signer.sign(a, rrset, allow)
}

// Apex returns what the keys put at a zone's apex: its DNSKEY, CDS or CDNSKEY
// records, none of any other type. They are not to be changed.
func (k *Keeper) Apex(zone string, rrtype uint16) []dns.RR {
	a := (*k.zones.Load())[zone]
	if a == nil {
		return nil
	}
	switch rrtype {
	case dns.TypeDNSKEY:
		return a.dnskey
	case dns.TypeCDS:
		return a.cds
	case dns.TypeCDNSKEY:
		return a.cdnskey
	}
	return nil
}

// Epoch changes when what was signed before should be looked at anew: after a step
// of the keys, or of the clock.
func (k *Keeper) Epoch() uint64 { return k.epoch.Load() }

// lastLook notices that the time of day was set: it went otherwise than the time
// that only goes on.
type lastLook struct {
	at time.Time
	on time.Time
}

func (l *lastLook) stepped(now time.Time) bool {
	on := time.Now()
	before := *l
	l.at, l.on = now.Round(0), on
	if before.on.IsZero() {
		return false
	}
	return (l.at.Sub(before.at) - on.Sub(before.on)).Abs() > slack/2
}
