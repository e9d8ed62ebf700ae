package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a vault, which may be broken.
type memory struct {
	mu     sync.Mutex
	held   map[string][]byte
	broken error
}

func (m *memory) Load(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return nil, m.broken
	}
	data, ok := m.held[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(data), nil
}

func (m *memory) Save(name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	m.held[name] = slices.Clone(data)
	return nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

// notary certifies whatever it is asked to, for so long, or says no; it remembers when it
// was asked. It stands for an authority where time runs as tests want it to.
type notary struct {
	mu     sync.Mutex
	life   time.Duration
	refuse map[string]error
	window func(*x509.Certificate) (window, error)
	asked  map[string][]time.Time
	serial int64
}

func newNotary(life time.Duration) *notary {
	return &notary{life: life, refuse: make(map[string]error), asked: make(map[string][]time.Time)}
}

func (n *notary) Obtain(_ context.Context, name string, _ *x509.Certificate) (chain, key []byte, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[name] = append(n.asked[name], time.Now())
	if err := n.refuse[name]; err != nil {
		return nil, nil, err
	}
	n.serial++
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(n.serial), DNSNames: []string{name}, NotBefore: time.Now(), NotAfter: time.Now().Add(n.life)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	key, err = encode(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, err
}

func (n *notary) Window(_ context.Context, leaf *x509.Certificate) (window, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.window == nil {
		return window{}, errors.New("it does not say")
	}
	return n.window(leaf)
}

func (n *notary) say(name string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse[name] = err
}

func (n *notary) times(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.asked[name])
}

// keeper runs a keeper until the test, or stop, ends it.
func keeper(t *testing.T, v Vault, n *notary, leads bool, names ...string) (k *Keeper, stop func()) {
	t.Helper()
	return keeperAt(t, "https://authority.example/dir", v, n, leads, names...)
}

func keeperAt(t *testing.T, directory string, v Vault, n *notary, leads bool, names ...string) (k *Keeper, stop func()) {
	t.Helper()
	nothing := func(context.Context, Challenge) error { return nil }
	k, err := New(Config{
		Names: names, Directory: directory, Kind: DNS, Vault: v,
		Publish: nothing, Withdraw: nothing, Leads: func() bool { return leads },
	})
	if err != nil {
		t.Fatal(err)
	}
	k.authority = n
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return k, stop
}

// serial is that of the certificate which a client is shown that asks for a name; 0 for
// none.
func serial(k *Keeper, name string) int64 {
	c, err := k.TLS().GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		return 0
	}
	return c.Leaf.SerialNumber.Int64()
}

const days = 24 * time.Hour

// A name has its certificate at once, and a new one when a third of its life is left,
// again and again.
func TestObtainsAndRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, v := newNotary(12*days), &memory{held: make(map[string][]byte)}
		k, stop := keeper(t, v, n, true, "go.video.example")
		time.Sleep(2 * time.Second)
		if got := serial(k, "go.video.example"); got != 1 {
			t.Errorf("serves certificate %d, want 1", got)
		}
		time.Sleep(7 * days)
		if got := n.times("go.video.example"); got != 1 {
			t.Errorf("asked %d times in 7 days", got)
		}
		time.Sleep(2 * days)
		if got := serial(k, "go.video.example"); got != 2 {
			t.Errorf("serves certificate %d after 9 days, want 2", got)
		}
		time.Sleep(16 * days)
		if got := n.times("go.video.example"); got != 4 {
			t.Errorf("asked %d times in 25 days, want 4", got)
		}
		if s := k.Status(); len(s) != 1 || s[0].NotAfter.Before(time.Now().Add(3*days)) || s[0].Failures != 0 || k.Tally().Failed != 0 {
			t.Errorf("status: %+v", s)
		}
		stop()
	})
}

// After a restart the certificate is there, and nobody is asked. Who does not lead takes up
// what the leader saved and never asks.
func TestRestartAndFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, v := newNotary(90*days), &memory{held: make(map[string][]byte)}
		follower, stopFollower := keeper(t, v, n, false, "go.video.example")
		time.Sleep(time.Hour)
		if n.times("go.video.example") != 0 {
			t.Error("who does not lead asked for a certificate")
		}
		_, stop := keeper(t, v, n, true, "go.video.example")
		time.Sleep(2 * time.Second)
		stop()
		follower.Changed()
		synctest.Wait()
		if got := serial(follower, "go.video.example"); got != 1 {
			t.Errorf("who does not lead serves certificate %d, want 1", got)
		}
		again, stopAgain := keeper(t, v, n, true, "go.video.example")
		if got := serial(again, "go.video.example"); got != 1 {
			t.Errorf("after a restart serves certificate %d, want 1", got)
		}
		time.Sleep(days)
		if got := n.times("go.video.example"); got != 1 {
			t.Errorf("asked %d times, want 1", got)
		}
		stopAgain()
		stopFollower()
	})
}

// A refused name keeps no other from its certificate. Its attempts become rare, and a
// restart does not make them more; what serves goes on, past its end. Once the authority
// gives way, the name has its certificate and the failures are forgotten.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, v := newNotary(6*days), &memory{held: make(map[string][]byte)}
		names := []string{"a.video.example", "b.video.example"}
		k, stop := keeper(t, v, n, true, names...)
		time.Sleep(2 * time.Second)
		n.say("a.video.example", errors.New("rate limited"))
		time.Sleep(4 * days)
		if a, b := serial(k, "a.video.example"), serial(k, "b.video.example"); a != 1 || b != 3 {
			t.Errorf("serve certificates %d and %d, want the old one 1 and the new one 3", a, b)
		}
		tried := n.times("a.video.example")
		if tried < 5 || tried > 12 {
			t.Errorf("asked %d times in the day since it was due", tried-1)
		}
		stop()
		k, stop = keeper(t, v, n, true, names...)
		time.Sleep(2 * time.Second)
		if got := n.times("a.video.example"); got != tried {
			t.Error("a restart asks before the pause is over")
		}
		time.Sleep(3 * days)
		if got := serial(k, "a.video.example"); got != 1 {
			t.Errorf("serves certificate %d past its end, want the old one", got)
		}
		s := k.Status()[0]
		if s.Failures < 10 || !strings.Contains(s.Error, "rate limited") || !s.NotAfter.Before(time.Now()) || k.Tally().Failed == 0 {
			t.Errorf("status: %+v", s)
		}
		n.say("a.video.example", nil)
		time.Sleep(6*time.Hour + 2*time.Second)
		if s := k.Status()[0]; s.Failures != 0 || s.Error != "" || s.NotAfter.Before(time.Now()) {
			t.Errorf("status: %+v", s)
		}
		stop()
	})
}

// An order asks at once, whatever the pause; one for another name is refused, and nobody is
// asked.
func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, v := newNotary(90*days), &memory{held: make(map[string][]byte)}
		n.say("a.video.example", errors.New("no"))
		k, stop := keeper(t, v, n, true, "a.video.example")
		time.Sleep(2 * time.Second)
		n.say("a.video.example", nil)
		if err := k.Renew("other.example"); err == nil || !strings.Contains(err.Error(), "a.video.example") {
			t.Errorf("an order for another name: %v", err)
		}
		if err := k.Renew("a.video.example"); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if err := k.Renew(""); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if got := n.times("a.video.example"); got != 3 || serial(k, "a.video.example") != 2 {
			t.Errorf("asked %d times, want 3", got)
		}
		for name := range n.asked {
			if name != "a.video.example" {
				t.Errorf("asked for %s", name)
			}
		}
		stop()
	})
}

// From trials to production: the authority is another one, so a certificate is asked for
// although the old one lasts; until it comes the old one serves.
func TestAnotherAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, v := newNotary(90*days), &memory{held: make(map[string][]byte)}
		_, stop := keeper(t, v, n, true, "a.video.example")
		time.Sleep(2 * time.Second)
		stop()
		n.say("a.video.example", errors.New("no"))
		k, stop := keeperAt(t, "https://other.example/dir", v, n, true, "a.video.example")
		time.Sleep(2 * time.Second)
		if got := serial(k, "a.video.example"); got != 1 || n.times("a.video.example") != 2 {
			t.Errorf("serves certificate %d after %d requests", got, n.times("a.video.example"))
		}
		n.say("a.video.example", nil)
		time.Sleep(2 * time.Minute)
		if got := serial(k, "a.video.example"); got != 2 {
			t.Errorf("serves certificate %d, want 2", got)
		}
		stop()
	})
}

// RFC 9773 §4.2: the authority's window counts, also when it moves; and one that lies in
// the past does not have it asked without end.
func TestAuthorityWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, v := newNotary(90*days), &memory{held: make(map[string][]byte)}
		var early time.Time // of the first certificate: when it is revoked
		n.window = func(leaf *x509.Certificate) (window, error) {
			w := window{start: leaf.NotBefore.Add(10 * days), end: leaf.NotBefore.Add(11 * days)}
			if leaf.SerialNumber.Int64() == 1 && !early.IsZero() {
				w = window{start: early.Add(-time.Hour), end: early}
			}
			return w, nil
		}
		k, stop := keeper(t, v, n, true, "a.video.example")
		time.Sleep(9 * days)
		if got := serial(k, "a.video.example"); got != 1 {
			t.Errorf("serves certificate %d after 9 days, want 1", got)
		}
		n.mu.Lock()
		early = time.Now()
		n.mu.Unlock()
		time.Sleep(7 * time.Hour)
		if got := serial(k, "a.video.example"); got != 2 {
			t.Errorf("serves certificate %d after its authority wanted the first one back, want 2", got)
		}
		time.Sleep(12 * days)
		if got := serial(k, "a.video.example"); got != 3 {
			t.Errorf("serves certificate %d, want 3", got)
		}
		n.mu.Lock()
		n.window = func(*x509.Certificate) (window, error) {
			return window{start: noon.AddDate(-50, 0, 0), end: noon.AddDate(-50, 0, 1)}, nil
		}
		n.mu.Unlock()
		before := n.times("a.video.example")
		time.Sleep(days)
		if got := n.times("a.video.example") - before; got > 24 || got < 2 {
			t.Errorf("asked %d times in a day when its window is long past", got)
		}
		stop()
	})
}

// A vault that cannot be read has nobody asked, since it may hold a certificate; once it
// can be, that one serves. One that cannot be written costs nothing but a restart's memory.
func TestVaultFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, v := newNotary(90*days), &memory{held: make(map[string][]byte)}
		_, stop := keeper(t, v, n, true, "a.video.example")
		time.Sleep(2 * time.Second)
		stop()
		v.fail(errors.New("the secret does not open them"))
		k, stop := keeper(t, v, n, true, "a.video.example")
		time.Sleep(time.Hour)
		if n.times("a.video.example") != 1 || serial(k, "a.video.example") != 0 {
			t.Error("asked although the vault cannot be read")
		}
		if s := k.Status()[0]; !strings.Contains(s.Error, "does not open") {
			t.Errorf("status: %+v", s)
		}
		v.fail(nil)
		time.Sleep(2 * time.Second)
		if got := serial(k, "a.video.example"); got != 1 || n.times("a.video.example") != 1 {
			t.Errorf("serves certificate %d once the vault can be read", got)
		}
		v.fail(errors.New("disk full"))
		if err := k.Renew(""); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if got := serial(k, "a.video.example"); got != 2 {
			t.Errorf("serves certificate %d, want the new one although it cannot be saved", got)
		}
		time.Sleep(days)
		if got := n.times("a.video.example"); got != 2 {
			t.Errorf("asked %d times, want 2", got)
		}
		stop()
	})
}

// Which certificate a client is shown.
func TestChoiceByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, v := newNotary(90*days), &memory{held: make(map[string][]byte)}
		k, stop := keeper(t, v, n, true, "go.video.example", "*.video.example", "*.eu.video.example")
		time.Sleep(2 * time.Second)
		for name, want := range map[string]int64{
			"go.video.example": 1, "GO.video.example.": 1, "x.video.example": 2, "x.eu.video.example": 3, "y.x.video.example": 1,
			"video.example": 1, "": 1, "other.example": 1,
		} {
			if got := serial(k, name); got != want {
				t.Errorf("who asks for %q is shown certificate %d, want %d", name, got, want)
			}
		}
		stop()
	})
}

// All findings come at once.
func TestConfigFindings(t *testing.T) {
	_, err := New(Config{Names: []string{"*.video.example"}, Directory: "http://a.example", Kind: HTTP})
	for _, want := range []string{"not an https URL", "a wildcard needs dns-01", "Leads are needed"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("findings lack %q: %v", want, err)
		}
	}
}
