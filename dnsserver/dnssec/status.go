package dnssec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Status is a signed zone and its keys, for people and metrics.
type Status struct {
	Zone      string      `json:"zone"`
	Algorithm string      `json:"algorithm"`
	Leaving   bool        `json:"leaving,omitempty"`
	Waiting   bool        `json:"waiting_for_ds"` // the parent's DS is to change
	Error     string      `json:"error,omitempty"`
	Expires   time.Time   `json:"signature_expires,omitzero"` // that over the keys
	Keys      []KeyStatus `json:"keys"`
	Next      []Next      `json:"next"`
}

// What the parent has to do with a key.
const (
	ParentLater  = "not yet"
	ParentAwaits = "should take the DS"
	ParentHas    = "has the DS"
	ParentDrops  = "should drop the DS"
)

// KeyStatus is one key; its states are words of RFC 7583.
type KeyStatus struct {
	Role      Role      `json:"role"`
	Tag       uint16    `json:"tag"`
	State     string    `json:"state"` // published, active, retired
	Parent    string    `json:"parent,omitempty"`
	Published time.Time `json:"published"`
	Active    time.Time `json:"active,omitzero"`
	Retired   time.Time `json:"retired,omitzero"`
	DS        string    `json:"ds,omitempty"`
	DNSKEY    string    `json:"dnskey"`
}

// Next is what happens next; without a time it is somebody else's turn.
type Next struct {
	At   time.Time `json:"at,omitzero"`
	What string    `json:"what"`
}

// Status describes every zone, by name.
func (k *Keeper) Status() []Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	zones := *k.zones.Load()
	all := []Status{}
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		a := zones[zone]
		s := Status{Zone: zone, Algorithm: dns.AlgorithmToString[a.plan.Algorithm], Leaving: a.plan.Leave, Error: k.faults[zone]}
		s.Keys, s.Next = []KeyStatus{}, []Next{}
		key := a.ring.announced()
		s.Waiting = key != nil && key.Trusted.IsZero()
		own := make([]dns.RR, len(a.dnskey)) // to sign writes to records, and these are shared
		for i, rr := range a.dnskey {
			own[i] = dns.Copy(rr)
		}
		if sigs, err := k.Sign(zone, own, nil); err == nil {
			s.Expires = time.Unix(int64(sigs[0].Expiration), 0).UTC()
		}
		for i := range a.ring.Keys {
			s.Keys = append(s.Keys, a.ring.Keys[i].status(a))
		}
		for _, step := range k.next[zone] {
			s.Next = append(s.Next, Next{step.at, step.what})
		}
		slices.SortStableFunc(s.Next, func(a, b Next) int { return a.At.Compare(b.At) })
		all = append(all, s)
	}
	return all
}

func (k *Key) status(a *active) KeyStatus {
	s := KeyStatus{
		Role: k.Role, Tag: k.Tag, State: "published", Published: k.Published, Active: k.Active, Retired: k.Retired,
		DNSKEY: oneLine(k.record(a.ring.Zone, wholeSeconds(a.plan.KeyTTL))),
	}
	switch {
	case !k.Retired.IsZero() || !k.Superseded.IsZero():
		s.State = "retired"
	case !k.Active.IsZero() || k.Role == KSK:
		s.State = "active"
	}
	if !k.Role.anchors() {
		return s
	}
	s.DS = oneLine(k.ds(a.ring.Zone, wholeSeconds(a.plan.ParentTTL)))
	switch {
	case !k.Superseded.IsZero():
		s.Parent = ParentDrops
	case !k.Trusted.IsZero():
		s.Parent = ParentHas
	case !k.Announced.IsZero():
		s.Parent = ParentAwaits
	default:
		s.Parent = ParentLater
	}
	return s
}

func oneLine(rr dns.RR) string { return strings.ReplaceAll(rr.String(), "\t", " ") }

// Counts are the signer's figures.
type Counts struct {
	Made, Minted, Reused, Refused uint64 // signatures since the start
	Standing, MintedKept          int    // in the caches
}

// Counts returns them.
func (k *Keeper) Counts() Counts {
	s := &k.signer
	return Counts{
		Made: s.made.Load(), Minted: s.mints.Load(), Reused: s.reused.Load(), Refused: s.refused.Load(),
		Standing: s.standing.length(), MintedKept: s.minted.length(),
	}
}

// Roll publishes the successor of a zone's key; without a role, of the one that
// signs its data.
func (k *Keeper) Roll(zone string, role Role) error {
	return k.change(zone, func(r *Ring, p plan) error {
		if role == "" {
			role = r.signing().Role
		}
		return roll(r, p, role, k.now())
	})
}

// Seen notes that the parent has the DS of a zone's announced key.
func (k *Keeper) Seen(zone string) error {
	return k.change(zone, func(r *Ring, _ plan) error { return trust(r, k.now()) })
}

// change edits a zone's ring on an operator's word.
func (k *Keeper) change(zone string, edit func(*Ring, plan) error) error {
	zone = dns.CanonicalName(zone)
	k.mu.Lock()
	defer k.mu.Unlock()
	a := (*k.zones.Load())[zone]
	switch {
	case a == nil:
		return fmt.Errorf("zone %s is not signed by this node; give it a dnssec", zone)
	case !k.Writes():
		return errNotWriter
	}
	r, data, err := k.load(zone)
	if err != nil {
		return err
	}
	if err := edit(&r, a.plan); err != nil {
		return err
	}
	return k.move(r, data, a.plan)
}
