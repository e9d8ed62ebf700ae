package dnssec

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"fairway/steering"
)

func testPlan(split bool) plan {
	return plan{
		DNSSEC: steering.DNSSEC{
			Algorithm: dns.ED25519, SplitKeys: split, Validity: 14 * 24 * time.Hour, KeyTTL: time.Hour, Propagation: 15 * time.Minute,
			Announce: true, ParentTTL: 4 * time.Hour, ParentPropagation: 30 * time.Minute,
		},
		dataTTL: 2 * time.Hour,
	}
}

// moment is what the world could see of a zone at one time.
type moment struct {
	keys   map[uint16]bool // in the DNSKEY RRset; the anchors among them sign it
	signer uint16          // of the zone's data
	ds     uint16          // at the parent; 0 = none
}

// world is a zone over time, with a parent that is slow.
type world struct {
	plan
	ring    Ring
	history []moment // one for every tick
}

const tick = 15 * time.Minute

// at is the time of the newest moment.
func (w *world) at(i int) time.Time { return earliest.Add(time.Duration(i) * tick) }

// step lets one tick pass.
func (w *world) step(t testing.TB, ds uint16) {
	t.Helper()
	var err error
	now := w.at(len(w.history))
	if w.ring, _, err = advance(w.ring, w.plan, now); err != nil {
		t.Fatal(err)
	}
	m := moment{keys: make(map[uint16]bool), signer: w.ring.signing().Tag, ds: ds}
	for _, k := range w.ring.Keys {
		m.keys[k.Tag] = k.Role.anchors()
	}
	w.history = append(w.history, m)
}

// bogus says how a resolver could have found the zone bogus at the newest moment:
// it may have any DNSKEY RRset, signature and DS that servers gave within the last
// TTL, and servers may be as late as their propagation allows.
func (w *world) bogus() string {
	last := len(w.history) - 1
	since := func(d time.Duration) []moment { return w.history[max(0, last-int((d-1)/tick)):] }
	for _, cached := range since(w.KeyTTL + w.Propagation) {
		for _, data := range since(w.dataTTL + w.Propagation) {
			if _, there := cached.keys[data.signer]; !there {
				return fmt.Sprintf("data signed by %d, with DNSKEY %v", data.signer, cached.keys)
			}
		}
		for _, parent := range since(w.ParentTTL + w.ParentPropagation) {
			if parent.ds != 0 && !cached.keys[parent.ds] {
				return fmt.Sprintf("DS %d, with DNSKEY %v", parent.ds, cached.keys)
			}
		}
	}
	return ""
}

// TestRollsAreNeverBogus: whatever is rolled and whenever the parent acts, no
// resolver has data that do not fit together (RFC 7583 §3).
func TestRollsAreNeverBogus(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := testPlan(rapid.Bool().Draw(rt, "split"))
		if p.SplitKeys {
			p.ZSKLifetime = time.Duration(rapid.IntRange(12, 72).Draw(rt, "zsk lifetime")) * time.Hour
		}
		w := world{plan: p, ring: Ring{Zone: "video.example."}}
		var ds uint16
		lag := 0
		for range 4 * 24 * 4 {
			w.step(t, ds)
			if why := w.bogus(); why != "" {
				rt.Fatalf("after %v: %s\n%+v", w.at(len(w.history)).Sub(earliest), why, w.ring)
			}
			// The parent takes what is announced, some time later; and tells us.
			if k := w.ring.announced(); k != nil && k.Trusted.IsZero() {
				if lag++; lag > rapid.IntRange(0, 60).Draw(rt, "lag") {
					if ds == k.Tag {
						k.Trusted = w.at(len(w.history))
						lag = 0
					}
					ds = k.Tag
				}
			}
			if rapid.IntRange(0, 40).Draw(rt, "roll") == 0 {
				role := rapid.SampledFrom([]Role{KSK, ZSK, CSK}).Draw(rt, "role")
				_ = roll(&w.ring, p, role, w.at(len(w.history))) // refused where it makes no sense
			}
		}
		if n := len(w.ring.Keys); n > 4 {
			rt.Fatalf("%d keys are left over", n)
		}
	})
}

// TestRollTimes: the steps of each kind of roll come when RFC 7583 says, and
// status tells of the next one.
func TestRollTimes(t *testing.T) {
	for _, c := range []struct {
		split bool
		role  Role
		want  []string
	}{
		{true, ZSK, []string{"1h15m0s: 2 sign", "3h30m0s: 1 left"}},
		{true, KSK, []string{"1h15m0s: awaits DS", "10h0m0s: trusted", "14h30m0s: 1 left"}},
		{false, CSK, []string{"1h15m0s: awaits DS", "1h15m0s: 2 sign", "10h0m0s: trusted", "14h30m0s: 1 left"}},
	} {
		p := testPlan(c.split)
		ring, _, err := advance(Ring{Zone: "video.example."}, p, earliest)
		if err != nil {
			t.Fatal(err)
		}
		settled := earliest.Add(24 * time.Hour)
		ring, _, _ = advance(ring, p, settled)
		if err := trust(&ring, settled); err != nil {
			t.Fatal(err)
		}
		start := settled.Add(time.Hour)
		ring, _, _ = advance(ring, p, start)
		if err := roll(&ring, p, c.role, start); err != nil {
			t.Fatal(err)
		}
		if err := roll(&ring, p, c.role, start); err == nil {
			t.Error("a roll begins while one is under way")
		}
		first := ring.Keys[0].Tag
		var got []string
		note := func(d time.Duration, what string) {
			if !slices.ContainsFunc(got, func(s string) bool { return s[len(s)-len(what):] == what }) {
				got = append(got, fmt.Sprint(d, ": ", what))
			}
		}
		count := func() (n int) {
			for _, k := range ring.Keys {
				if k.Role == c.role {
					n++
				}
			}
			return n
		}
		for d := time.Duration(0); d < 20*time.Hour; d += tick {
			if d == 10*time.Hour && c.role != ZSK {
				if err := trust(&ring, start.Add(d)); err != nil {
					t.Fatal(err)
				}
				note(d, "trusted")
			}
			ring, _, _ = advance(ring, p, start.Add(d))
			if k := ring.announced(); c.role != ZSK && k.Tag != first && k.Trusted.IsZero() {
				note(d, "awaits DS")
			}
			if k := ring.signing(); c.role != KSK && k.Published.Equal(start) {
				note(d, "2 sign")
			}
			if count() == 1 {
				note(d, "1 left")
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.role, got, c.want)
		}
	}
}

// TestFirstDS: a zone's first DS waits until no cache has the zone unsigned.
func TestFirstDS(t *testing.T) {
	p := testPlan(false)
	ring, next, _ := advance(Ring{Zone: "video.example."}, p, earliest)
	if len(next) != 1 || !next[0].at.Equal(earliest.Add(p.dataTTL+p.Propagation)) || ring.announced() != nil {
		t.Errorf("%+v, %+v", ring, next)
	}
	ring, next, _ = advance(ring, p, next[0].at)
	if ring.announced() == nil || len(next) != 1 || !next[0].at.IsZero() {
		t.Errorf("%+v, %+v", ring, next)
	}
	cds, cdnskey := ring.forParent(&p.DNSSEC)
	if len(cds) != 1 || len(cdnskey) != 1 || cds[0].(*dns.CDS).Digest != ring.Keys[0].ds(ring.Zone, 0).Digest {
		t.Errorf("CDS %v, CDNSKEY %v", cds, cdnskey)
	}
}

// TestLeave: RFC 8078 §4: the CDS record is "CDS 0 0 0 00", the CDNSKEY record
// "CDNSKEY 0 3 0 AA==", and no key is replaced any more.
func TestLeave(t *testing.T) {
	p := testPlan(true)
	p.ZSKLifetime = time.Hour
	ring, _, _ := advance(Ring{Zone: "video.example."}, p, earliest)
	p.Leave = true
	ring, _, err := advance(ring, p, earliest.Add(1000*time.Hour))
	if err != nil || len(ring.Keys) != 2 {
		t.Errorf("%d keys, %v", len(ring.Keys), err)
	}
	cds, cdnskey := ring.forParent(&p.DNSSEC)
	if got := oneLine(cds[0]); got != "video.example. 3600 IN CDS 0 0 0 00" {
		t.Error(got)
	}
	if got := oneLine(cdnskey[0]); got != "video.example. 3600 IN CDNSKEY 0 3 0 AA==" {
		t.Error(got)
	}
	if roll(&ring, p, ZSK, earliest) == nil {
		t.Error("a key of a zone that leaves is rolled")
	}
}
