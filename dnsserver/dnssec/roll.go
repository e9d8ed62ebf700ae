package dnssec

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"fairway/steering"
)

// plan is how a zone's keys live: what its configuration says, and how long its
// data stay in caches.
type plan struct {
	steering.DNSSEC
	dataTTL time.Duration // the longest TTL of the zone's data (TTLsig)
}

// planOf reads the plan of a signed zone. A steered name has no TTL above an hour.
func planOf(z *steering.Zone) plan {
	longest := max(time.Hour, z.TTL, z.SOA.TTL, z.SOA.Minimum)
	for i := range z.Records {
		longest = max(longest, z.Records[i].TTL)
	}
	return plan{*z.DNSSEC, longest}
}

// step is the next event in a ring's life; without a time it waits for somebody.
type step struct {
	at   time.Time
	what string
}

// advance gives the ring as it is to be at a time, and what comes next. The times
// are those of RFC 7583; a step is never taken before its time, and as late as
// somebody looks.
func advance(r Ring, p plan, now time.Time) (Ring, []step, error) {
	r.Keys = slices.Clone(r.Keys)
	if len(r.Keys) == 0 {
		if err := begin(&r, p, now); err != nil {
			return r, nil, err
		}
	}
	c := clock{now: now}
	if !p.Leave {
		if err := c.renew(&r, p); err != nil {
			return r, nil, err
		}
	}
	c.activate(&r, p)
	c.announce(&r, p)
	c.supersede(&r)
	c.remove(&r, p)
	return r, c.next, nil
}

// begin makes a zone's first keys. They sign at once: nobody can know other ones.
func begin(r *Ring, p plan, now time.Time) error {
	roles := []Role{CSK}
	if p.SplitKeys {
		roles = []Role{KSK, ZSK}
	}
	for _, role := range roles {
		k, err := generate(role, p.Algorithm, r.Zone, now)
		if err != nil {
			return err
		}
		if role.signsZone() {
			k.Active = now
		}
		r.Keys = append(r.Keys, k)
	}
	return nil
}

// clock collects what lies ahead.
type clock struct {
	now  time.Time
	next []step
}

// due tells whether a time has come, and else notes what comes then.
func (c *clock) due(at time.Time, format string, args ...any) bool {
	if !c.now.Before(at) {
		return true
	}
	c.next = append(c.next, step{at, fmt.Sprintf(format, args...)})
	return false
}

// renew publishes the successor of a key at the end of its lifetime, unless there
// is one already.
func (c *clock) renew(r *Ring, p plan) error {
	for _, role := range []Role{KSK, ZSK, CSK} {
		lifetime := p.KSKLifetime
		if role == ZSK {
			lifetime = p.ZSKLifetime
		}
		i := slices.IndexFunc(r.Keys, func(k Key) bool { return k.Role == role })
		if i < 0 || lifetime == 0 || inLife(r, role) > 1 {
			continue
		}
		if !c.due(r.Keys[i].Published.Add(lifetime), "publish the successor of %s %d", role, r.Keys[i].Tag) {
			continue
		}
		if err := roll(r, p, role, c.now); err != nil {
			return err
		}
	}
	return nil
}

// roll publishes a successor.
func roll(r *Ring, p plan, role Role, now time.Time) error {
	if p.Leave {
		return fmt.Errorf("zone %s is leaving DNSSEC: no key is replaced any more", r.Zone)
	}
	if i := slices.IndexFunc(r.Keys, func(k Key) bool { return k.Role == role }); i < 0 {
		return fmt.Errorf("zone %s has no %s", r.Zone, role)
	}
	if n := inLife(r, role); n > 1 {
		return fmt.Errorf("zone %s: a %s is being replaced already; see fairway dnssec status", r.Zone, role)
	}
	k, err := generate(role, p.Algorithm, r.Zone, now)
	for err == nil && slices.ContainsFunc(r.Keys, func(other Key) bool { return other.Tag == k.Tag }) {
		k, err = generate(role, p.Algorithm, r.Zone, now) // tags tell our keys apart
	}
	if err != nil {
		return err
	}
	r.Keys = append(r.Keys, k)
	return nil
}

// inLife counts the keys of a role.
func inLife(r *Ring, role Role) (n int) {
	for i := range r.Keys {
		if r.Keys[i].Role == role {
			n++
		}
	}
	return n
}

// activate lets a published key sign the zone once every cache has its DNSKEY
// record: Ipub = Dprp + TTLkey (RFC 7583 §3.2.1). The one before is retired.
func (c *clock) activate(r *Ring, p plan) {
	for i := range r.Keys {
		k := &r.Keys[i]
		if !k.Role.signsZone() || !k.Active.IsZero() {
			continue
		}
		if !c.due(k.Published.Add(p.Propagation+p.KeyTTL), "%s %d begins to sign", k.Role, k.Tag) {
			continue
		}
		for j := range r.Keys {
			if old := &r.Keys[j]; old.Role.signsZone() && !old.Active.IsZero() && old.Retired.IsZero() {
				old.Retired = c.now
			}
		}
		k.Active = c.now
	}
}

// announce offers a key's DS to the parent once every cache has its DNSKEY
// record (RFC 7583 §3.3.1). For a zone's first key what caches may hold is the
// zone without signatures, so that has to leave them first.
func (c *clock) announce(r *Ring, p plan) {
	for i := range r.Keys {
		k := &r.Keys[i]
		if !k.Role.anchors() || !k.Announced.IsZero() {
			continue
		}
		wait := p.Propagation + p.KeyTTL
		if r.announced() == nil {
			wait = p.Propagation + max(p.KeyTTL, p.dataTTL)
		}
		if c.due(k.Published.Add(wait), "the DS of %s %d may go to the parent", k.Role, k.Tag) {
			k.Announced = c.now
		}
	}
}

// supersede marks the keys whose DS the parent has no need for: those before the
// one that it has.
func (c *clock) supersede(r *Ring) {
	k := r.announced()
	if k == nil {
		return
	}
	if k.Trusted.IsZero() {
		c.next = append(c.next, step{what: fmt.Sprintf("the parent takes the DS of %s %d", k.Role, k.Tag)})
		return
	}
	for _, old := range r.anchors() {
		if old.Tag == k.Tag {
			break
		}
		if old.Superseded.IsZero() {
			old.Superseded = c.now
		}
	}
}

// remove takes out the keys that no cache needs any more: a ZSK after Iret = Dprp +
// TTLsig (RFC 7583 §3.2.1; we stop serving its signatures at once, so Dsgn is 0), a
// KSK after DprpP + TTLds (§3.3.1), a CSK after both.
func (c *clock) remove(r *Ring, p plan) {
	r.Keys = slices.DeleteFunc(r.Keys, func(k Key) bool {
		var at time.Time
		if k.Role.signsZone() {
			if k.Retired.IsZero() {
				return false
			}
			at = k.Retired.Add(p.Propagation + p.dataTTL)
		}
		if k.Role.anchors() {
			if k.Superseded.IsZero() {
				return false
			}
			if ds := k.Superseded.Add(p.ParentPropagation + p.ParentTTL); ds.After(at) {
				at = ds
			}
		}
		return c.due(at, "%s %d is removed", k.Role, k.Tag)
	})
}

// trust notes that the parent has the DS of the announced key.
func trust(r *Ring, now time.Time) error {
	k := r.announced()
	switch {
	case k == nil:
		return fmt.Errorf("zone %s: no DS may be at the parent yet; fairway dnssec status says from when on", r.Zone)
	case !k.Trusted.IsZero():
		return fmt.Errorf("zone %s: that the parent has the DS of %s %d is known since %s", r.Zone, k.Role, k.Tag, k.Trusted.UTC().Format(time.RFC3339))
	}
	k.Trusted = now
	return nil
}

var errNotWriter = errors.New("this node does not replace keys; ask the one with the role control, or of a fleet's the one that leads (fairway fleet)")
