package dnssec

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// clockwork is a clock that goes when it is told to.
type clockwork struct{ at atomic.Int64 }

func (c *clockwork) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clockwork) forward(d time.Duration) { c.at.Add(int64(d)) }

func newClock() *clockwork {
	c := &clockwork{}
	c.at.Store(earliest.Add(time.Hour).UnixNano())
	return c
}

func zoneWith(d *steering.DNSSEC) []steering.Zone {
	return []steering.Zone{{Name: "video.example.", TTL: 5 * time.Minute, DNSSEC: d, Place: steering.Place{File: "z.yaml", Line: 3}}}
}

func newTestKeeper(t testing.TB, clock *clockwork, change ...func(*Config)) *Keeper {
	t.Helper()
	c := Config{Vault: Folder(t.TempDir()), Writes: func() bool { return true }, Now: clock.now, Signatures: 64}
	for _, f := range change {
		f(&c)
	}
	k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func address(name string, ttl uint32) []dns.RR {
	return []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}, A: net.IPv4(192, 0, 2, 1).To4()}}
}

// checked signs and verifies.
func checked(t *testing.T, k *Keeper, set []dns.RR) *dns.RRSIG {
	t.Helper()
	sigs, err := k.Sign("video.example.", set, nil)
	if err != nil || len(sigs) != 1 {
		t.Fatalf("%v, %v", sigs, err)
	}
	for _, rr := range k.Apex("video.example.", dns.TypeDNSKEY) {
		if key := rr.(*dns.DNSKEY); key.KeyTag() == sigs[0].KeyTag {
			if err := sigs[0].Verify(key, set); err != nil || !sigs[0].ValidityPeriod(k.Now()) {
				t.Fatalf("%v: %v", sigs[0], err)
			}
			return sigs[0]
		}
	}
	t.Fatalf("%v: its key is not published", sigs[0])
	return nil
}

// TestSignedByContent: the same content has one signature, in any case of letters;
// other data or another TTL has another.
func TestSignedByContent(t *testing.T) {
	for _, algorithm := range []uint8{dns.ECDSAP256SHA256, dns.ED25519} {
		d := testPlan(false).DNSSEC
		d.Algorithm = algorithm
		k := newTestKeeper(t, newClock())
		if err := k.Prepare(zoneWith(&d)); err != nil {
			t.Fatal(err)
		}
		first := checked(t, k, address("www.video.example.", 300))
		if checked(t, k, address("WWW.Video.Example.", 300)).Signature != first.Signature {
			t.Error("another case of letters is signed again")
		}
		if checked(t, k, address("www.video.example.", 200)).Signature == first.Signature {
			t.Error("another original TTL has the same signature")
		}
		if c := k.Counts(); c.Made != 2 || c.Reused != 1 || c.Standing != 2 {
			t.Errorf("%+v", c)
		}
	}
}

// TestRenewed: a signature is renewed in good time; signatures made at once end at
// different times.
func TestRenewed(t *testing.T) {
	clock := newClock()
	k := newTestKeeper(t, clock)
	d := testPlan(false).DNSSEC
	if err := k.Prepare(zoneWith(&d)); err != nil {
		t.Fatal(err)
	}
	first := checked(t, k, address("www.video.example.", 300))
	ends := make(map[uint32]bool)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		ends[checked(t, k, address(name+".video.example.", 300)).Expiration] = true
	}
	if len(ends) < 5 {
		t.Errorf("signatures end at the same time: %v", ends)
	}
	renewed := false
	for range 13 * 24 {
		clock.forward(time.Hour)
		sig := checked(t, k, address("www.video.example.", 300))
		if left := time.Unix(int64(sig.Expiration), 0).Sub(clock.now()); left < d.Validity/4 {
			t.Fatalf("a signature is served with %v left", left)
		}
		renewed = renewed || sig.Signature != first.Signature
	}
	if !renewed {
		t.Error("never renewed")
	}
	clock.forward(-5 * 24 * time.Hour) // somebody sets the clock back
	checked(t, k, address("www.video.example.", 300))
}

// TestWrongClock: before this release was made it cannot be now.
func TestWrongClock(t *testing.T) {
	clock := newClock()
	k := newTestKeeper(t, clock)
	d := testPlan(false).DNSSEC
	if err := k.Prepare(zoneWith(&d)); err != nil {
		t.Fatal(err)
	}
	clock.forward(-24 * time.Hour)
	if _, err := k.Sign("video.example.", address("www.video.example.", 300), nil); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("signed: %v", err)
	}
}

// TestLimit: what a question makes up is signed by consent, and kept apart.
func TestLimit(t *testing.T) {
	k := newTestKeeper(t, newClock())
	d := testPlan(false).DNSSEC
	if err := k.Prepare(zoneWith(&d)); err != nil {
		t.Fatal(err)
	}
	set := address("n.video.example.", 60)
	no, yes := func() bool { return false }, func() bool { return true }
	if _, err := k.Sign("video.example.", set, no); !errors.Is(err, ErrLimited) {
		t.Errorf("%v", err)
	}
	if _, err := k.Sign("video.example.", set, yes); err != nil {
		t.Error(err)
	}
	if _, err := k.Sign("video.example.", set, no); err != nil {
		t.Errorf("what was signed is refused: %v", err)
	}
	for i := range 500 {
		if _, err := k.Sign("video.example.", address("n"+strings.Repeat("x", i%60)+strings.Repeat(".y", i/60)+".video.example.", 60), yes); err != nil {
			t.Fatal(err)
		}
	}
	if c := k.Counts(); c.Made != 0 || c.MintedKept > 16 || c.Standing != 0 {
		t.Errorf("%+v", c)
	}
}

// TestConcurrentSigning is for the race detector.
func TestConcurrentSigning(t *testing.T) {
	clock := newClock()
	k := newTestKeeper(t, clock)
	d := testPlan(false).DNSSEC
	if err := k.Prepare(zoneWith(&d)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 50 {
				name := strings.Repeat("x", 1+i%20) + ".video.example."
				if _, err := k.Sign("video.example.", address(name, 60), nil); err != nil {
					t.Error(err)
				}
				k.Apex("video.example.", dns.TypeDNSKEY)
			}
		})
	}
	for range 20 {
		clock.forward(10 * time.Minute)
		k.look(context.Background())
		k.Roll("video.example.", "")
		k.Status()
	}
	all.Wait()
}

// TestKeysSurvive: a restart has the same keys; a follower has them too, learns of
// new ones, and changes nothing itself.
func TestKeysSurvive(t *testing.T) {
	clock, vault := newClock(), Folder(filepath.Join(t.TempDir(), "keys"))
	d := testPlan(false).DNSSEC
	with := func(writer bool) *Keeper {
		k := newTestKeeper(t, clock, func(c *Config) { c.Vault, c.Writes = vault, func() bool { return writer } })
		if err := k.Prepare(zoneWith(&d)); err != nil {
			t.Fatal(err)
		}
		return k
	}
	early := with(false)
	if _, err := early.Sign("video.example.", address("a.video.example.", 1), nil); err == nil || len(early.Apex("video.example.", dns.TypeDNSKEY)) > 0 {
		t.Error("a follower has made keys")
	}
	if s := early.Status(); len(s) != 1 || s[0].Error == "" {
		t.Errorf("%+v: nothing says that keys are missing", s)
	}
	writer := with(true)
	key := writer.Status()[0].Keys[0]
	if again := with(true).Status()[0].Keys[0]; again.DNSKEY != key.DNSKEY {
		t.Error("a restart makes another key")
	}
	if info, err := os.Stat(filepath.Join(string(vault), "video.example.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	early.look(t.Context())
	if got := early.Status()[0]; len(got.Keys) != 1 || got.Keys[0].DNSKEY != key.DNSKEY || got.Error != "" {
		t.Errorf("%+v: the follower has not taken up the key", got)
	}
	if err := early.Roll("video.example.", ""); err == nil {
		t.Error("a follower rolls")
	}
	before := early.Epoch()
	if err := writer.Roll("video.example", ""); err != nil {
		t.Fatal(err)
	}
	early.look(t.Context())
	if len(early.Apex("video.example.", dns.TypeDNSKEY)) != 2 || early.Epoch() == before {
		t.Error("the follower has not learnt of the roll")
	}
	clock.forward(2 * time.Hour)
	early.look(t.Context())
	if sig := checked(t, early, address("www.video.example.", 60)); sig.KeyTag != key.Tag {
		t.Error("a follower takes steps by itself")
	}
	writer.look(t.Context())
	early.look(t.Context())
	if sig := checked(t, early, address("www.video.example.", 60)); sig.KeyTag == key.Tag {
		t.Error("the follower has not learnt of the step")
	}
}

// TestOpenVault: keys that others may read are not used.
func TestOpenVault(t *testing.T) {
	vault := Folder(t.TempDir())
	d := testPlan(false).DNSSEC
	if err := newTestKeeper(t, newClock(), func(c *Config) { c.Vault = vault }).Prepare(zoneWith(&d)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(vault.path("video.example."), 0o640); err != nil {
		t.Fatal(err)
	}
	err := newTestKeeper(t, newClock(), func(c *Config) { c.Vault = vault }).Prepare(zoneWith(&d))
	if err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%v", err)
	}
}

// TestRefusedPlan: keys cannot be turned into others by configuration.
func TestRefusedPlan(t *testing.T) {
	k := newTestKeeper(t, newClock())
	d := testPlan(false).DNSSEC
	if err := k.Prepare(zoneWith(&d)); err != nil {
		t.Fatal(err)
	}
	split, other := d, d
	split.SplitKeys, other.Algorithm = true, dns.ECDSAP256SHA256
	split.Place = steering.Place{File: "z.yaml", Line: 5}
	for _, d := range []*steering.DNSSEC{&split, &other} {
		if err := k.Prepare(zoneWith(d)); err == nil || !strings.Contains(err.Error(), "leave DNSSEC first") {
			t.Errorf("%v", err)
		}
	}
}

// TestSealed: what lies in the vault is of no use without the secret, nor for
// another zone.
func TestSealed(t *testing.T) {
	folder := Folder(t.TempDir())
	secret := []byte("0123456789abcdef")
	vault, err := Seal(folder, secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := vault.Save("a.example.", []byte("the keys")); err != nil {
		t.Fatal(err)
	}
	raw, _ := folder.Load("a.example.")
	if strings.Contains(string(raw), "keys") {
		t.Error("it can be read")
	}
	if got, err := vault.Load("a.example."); err != nil || string(got) != "the keys" {
		t.Errorf("%q, %v", got, err)
	}
	folder.Save("b.example.", raw)
	if _, err := vault.Load("b.example."); err == nil {
		t.Error("one zone's keys open as another's")
	}
	other, _ := Seal(folder, []byte("another secret 16"))
	if _, err := other.Load("a.example."); err == nil {
		t.Error("another secret opens it")
	}
	if _, err := Seal(folder, []byte("short")); err == nil {
		t.Error("a short secret is accepted")
	}
	if _, err := vault.Load("c.example."); !absent(err) {
		t.Errorf("%v", err)
	}
}

// TestParentAsked: where servers of the parent are named, the DS is looked for
// there; all of them must have it.
func TestParentAsked(t *testing.T) {
	clock := newClock()
	var has [2]atomic.Bool
	var ds atomic.Pointer[dns.DS]
	var servers []string
	for i := range has {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, pc.LocalAddr().String())
		server := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
			m := new(dns.Msg)
			m.SetReply(r)
			if has[i].Load() {
				m.Answer = append(m.Answer, ds.Load())
			}
			w.WriteMsg(m)
		})}
		go server.ActivateAndServe()
		t.Cleanup(func() { server.Shutdown() })
	}
	k := newTestKeeper(t, clock)
	d := testPlan(false).DNSSEC
	d.ParentServers = servers
	if err := k.Prepare(zoneWith(&d)); err != nil {
		t.Fatal(err)
	}
	clock.forward(3 * time.Hour)
	k.look(t.Context())
	rr, err := dns.NewRR(k.Status()[0].Keys[0].DS)
	if err != nil || !k.Status()[0].Waiting {
		t.Fatalf("%v, %+v", err, k.Status())
	}
	ds.Store(rr.(*dns.DS))
	has[0].Store(true)
	clock.forward(time.Hour)
	k.look(t.Context())
	if !k.Status()[0].Waiting {
		t.Error("one of two servers is enough")
	}
	has[1].Store(true)
	k.look(t.Context())
	if !k.Status()[0].Waiting {
		t.Error("the parent is asked again at once")
	}
	clock.forward(time.Hour)
	k.look(t.Context())
	if s := k.Status()[0]; s.Waiting || s.Keys[0].Parent != ParentHas {
		t.Errorf("%+v", s)
	}
}

// TestRemovedFile: keys that serve are kept again when somebody removes their file,
// and not replaced by others.
func TestRemovedFile(t *testing.T) {
	vault := Folder(t.TempDir())
	k := newTestKeeper(t, newClock(), func(c *Config) { c.Vault = vault })
	d := testPlan(false).DNSSEC
	if err := k.Prepare(zoneWith(&d)); err != nil {
		t.Fatal(err)
	}
	key := k.Status()[0].Keys[0].DNSKEY
	for _, again := range []func(){func() { k.look(t.Context()) }, func() { k.Prepare(zoneWith(&d)) }} {
		if err := os.Remove(vault.path("video.example.")); err != nil {
			t.Fatal(err)
		}
		again()
		if s := k.Status()[0]; len(s.Keys) != 1 || s.Keys[0].DNSKEY != key || s.Error != "" {
			t.Errorf("%+v", s)
		}
	}
}

// TestMendedLater: a node that starts while its keys cannot be read takes them up when
// they can, and signs with what it has where the configuration asks for something else.
func TestMendedLater(t *testing.T) {
	vault := Folder(t.TempDir())
	d := testPlan(false).DNSSEC
	if err := newTestKeeper(t, newClock(), func(c *Config) { c.Vault = vault }).Prepare(zoneWith(&d)); err != nil {
		t.Fatal(err)
	}
	os.Chmod(vault.path("video.example."), 0o644)
	k := newTestKeeper(t, newClock(), func(c *Config) { c.Vault = vault })
	if err := k.Prepare(zoneWith(&d)); err == nil || k.Status()[0].Error == "" || len(k.Status()[0].Keys) != 0 {
		t.Errorf("%v, %+v", err, k.Status())
	}
	os.Chmod(vault.path("video.example."), 0o600)
	k.look(t.Context())
	if s := k.Status()[0]; len(s.Keys) != 1 || s.Error != "" {
		t.Errorf("%+v", s)
	}
	checked(t, k, address("www.video.example.", 60))

	split := d
	split.SplitKeys = true
	k = newTestKeeper(t, newClock(), func(c *Config) { c.Vault = vault })
	if err := k.Prepare(zoneWith(&split)); err == nil {
		t.Error("another kind of keys is taken for fine")
	}
	checked(t, k, address("www.video.example.", 60))
}

// TestUnwritable: keys that cannot be kept are not used.
func TestUnwritable(t *testing.T) {
	k := newTestKeeper(t, newClock(), func(c *Config) { c.Vault = broken{} })
	d := testPlan(false).DNSSEC
	if err := k.Prepare(zoneWith(&d)); err == nil || !strings.Contains(err.Error(), "disk") {
		t.Errorf("%v", err)
	}
	if len(k.Apex("video.example.", dns.TypeDNSKEY)) != 0 {
		t.Error("the key serves")
	}
}

type broken struct{}

func (broken) Load(string) ([]byte, error) { return nil, os.ErrNotExist }
func (broken) Save(string, []byte) error   { return errors.New("no space left on disk") }
