package transfer

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// origin is a primary that answers as it is told to.
type origin struct {
	mu     sync.Mutex
	serial uint32
	down   bool
	asked  []time.Duration // when, since the beginning
	began  time.Time
	whole  int
}

func (o *origin) Serial(context.Context, string, netip.AddrPort, *Key) (*dns.SOA, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, time.Since(o.began))
	if o.down {
		return nil, errors.New("down")
	}
	return o.soa(), nil
}

func (o *origin) soa() *dns.SOA {
	return &dns.SOA{Hdr: dns.RR_Header{Name: apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: "ns.", Mbox: "h.", Serial: o.serial,
		Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 60}
}

func (o *origin) Transfer(_ context.Context, _ string, _ netip.AddrPort, _ *Key, have *dns.SOA) ([]dns.RR, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.down:
		o.asked = append(o.asked, time.Since(o.began))
		return nil, errors.New("down")
	case have != nil:
		return nil, errors.New("no increments here")
	}
	o.whole++
	ns := &dns.NS{Hdr: dns.RR_Header{Name: apex, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "ns."}
	return []dns.RR{o.soa(), ns, o.soa()}, nil
}

func (o *origin) set(serial uint32, down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.serial, o.down, o.asked, o.began = serial, down, nil, time.Now()
}

func (o *origin) times() []time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

var fromElsewhere = []steering.Zone{{Name: apex, Primaries: []steering.Peer{{Address: netip.MustParseAddrPort("192.0.2.1:53")}}}}

// following runs a Secondary in a bubble.
func following(t *testing.T, o *origin, folder string, check func(string, *Copy) error) *Secondary {
	t.Helper()
	s, err := NewSecondary(SecondaryConfig{Folder: folder, Fetch: o, Check: check})
	if err != nil {
		t.Fatal(err)
	}
	s.Set(fromElsewhere, nil)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return s
}

func serialOf(s *Secondary) uint32 {
	if c := s.Copy(apex); c != nil {
		return c.SOA.Serial
	}
	return 0
}

// RFC 1034 §4.3.5: the primary is asked when refresh is over, and where it does not
// answer, again after retry. The last copy stands, also beyond expire.
func TestTimers(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{serial: 1, began: time.Now()}
		s := following(t, o, folder, nil)
		synctest.Wait()
		if serialOf(s) != 1 || o.whole != 1 {
			t.Fatalf("serial %d after the start, %d transfers", serialOf(s), o.whole)
		}
		o.set(2, false)
		time.Sleep(59 * time.Minute)
		if serialOf(s) != 1 {
			t.Error("asked before refresh was over")
		}
		time.Sleep(2 * time.Minute)
		if serialOf(s) != 2 {
			t.Errorf("serial %d after refresh", serialOf(s))
		}
		o.set(3, true)
		time.Sleep(85 * time.Minute)
		asked := o.times()
		if len(asked) < 3 || asked[1]-asked[0] < 600*time.Second || asked[1]-asked[0] > 610*time.Second {
			t.Errorf("while it is down it was asked at %v", asked)
		}
		time.Sleep(48 * time.Hour)
		if serialOf(s) != 2 {
			t.Error("the last good copy is gone")
		}
		o.set(4, false)
		time.Sleep(11 * time.Minute)
		if serialOf(s) != 4 {
			t.Errorf("serial %d when it is back", serialOf(s))
		}
	})
}

// TestRestart: the copy on disk serves at once, and the primary is not asked before
// its time.
func TestRestart(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{serial: 5, began: time.Now()}
		first := following(t, o, folder, nil)
		synctest.Wait()
		if serialOf(first) != 5 {
			t.Fatal("no copy")
		}
		o.set(5, true)
		again, err := NewSecondary(SecondaryConfig{Folder: folder, Fetch: o})
		if err != nil {
			t.Fatal(err)
		}
		if again.Set(fromElsewhere, nil); serialOf(again) != 5 || len(o.times()) != 0 {
			t.Errorf("serial %d after a restart, asked at %v", serialOf(again), o.times())
		}
	})
}

// TestFirstCopy: without one the primary is asked again soon, and ever less often.
func TestFirstCopy(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{serial: 1, down: true, began: time.Now()}
		s := following(t, o, folder, nil)
		time.Sleep(10 * time.Minute)
		if n := len(o.times()); n < 8 || n > 20 {
			t.Errorf("asked %d times in ten minutes: %v", n, o.times())
		}
		o.set(1, false)
		time.Sleep(2 * time.Minute)
		if serialOf(s) != 1 {
			t.Error("no copy two minutes after the primary is back")
		}
	})
}

// TestNotice: who may, has us ask at once; many at a time are one.
func TestNotice(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{serial: 1, began: time.Now()}
		s := following(t, o, folder, nil)
		synctest.Wait()
		time.Sleep(time.Minute)
		o.set(2, false)
		if got := s.Notice(apex, netip.MustParseAddr("192.0.2.66"), ""); got != dns.RcodeRefused {
			t.Errorf("a stranger: %s", dns.RcodeToString[got])
		}
		if got := s.Notice("other.example.", netip.MustParseAddr("192.0.2.1"), ""); got != dns.RcodeNotAuth {
			t.Errorf("another zone: %s", dns.RcodeToString[got])
		}
		time.Sleep(5 * time.Second)
		if serialOf(s) != 1 {
			t.Error("a stranger's NOTIFY was followed")
		}
		for range 100 {
			if got := s.Notice(apex, netip.MustParseAddr("192.0.2.1"), ""); got != dns.RcodeSuccess {
				t.Fatal(dns.RcodeToString[got])
			}
		}
		time.Sleep(5 * time.Second)
		if serialOf(s) != 2 || len(o.times()) > 3 {
			t.Errorf("serial %d, asked %d times", serialOf(s), len(o.times()))
		}
	})
}

// TestRefusedCopy: what cannot be served is not taken, and the last good copy stands.
func TestRefusedCopy(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{serial: 1, began: time.Now()}
		s := following(t, o, folder, func(_ string, c *Copy) error {
			if c.SOA.Serial == 2 {
				return errors.New("clash")
			}
			return nil
		})
		synctest.Wait()
		o.set(2, false)
		time.Sleep(2 * time.Hour)
		if serialOf(s) != 1 {
			t.Errorf("serial %d", serialOf(s))
		}
		o.set(3, false)
		time.Sleep(time.Hour)
		if serialOf(s) != 3 {
			t.Errorf("serial %d after it was mended", serialOf(s))
		}
	})
}
