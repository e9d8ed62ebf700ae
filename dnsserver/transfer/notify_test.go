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

// inbox is secondaries that answer when they are ready to.
type inbox struct {
	mu    sync.Mutex
	times []time.Time
	got   []*dns.Msg
	deaf  int // messages that are lost before one arrives
	rcode int
}

func (b *inbox) send(_ context.Context, _ steering.Peer, packet []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return nil, err
	}
	b.times, b.got = append(b.times, time.Now()), append(b.got, m)
	if b.deaf > 0 {
		b.deaf--
		return nil, errors.New("lost")
	}
	reply := new(dns.Msg).SetReply(m)
	reply.Opcode, reply.Rcode = dns.OpcodeNotify, b.rcode
	sig, _ := check(map[string]*Key{testKey.Name: &testKey}, packet, m)
	return sig.pack(reply)
}

// notified runs a notifier for ten minutes.
func notified(t *testing.T, b *inbox, key string) {
	t.Helper()
	current, _ := steering.NewCurrent(nil)
	p, err := New(Config{Current: current, Keys: []Key{testKey}, Send: b.send})
	if err != nil {
		t.Fatal(err)
	}
	copies := &steering.Copies{Notify: []steering.Peer{{Address: netip.MustParseAddrPort("192.0.2.54:53"), Key: key}}}
	p.notifier.tell(t.Context(), copies, soaOf(7))
	time.Sleep(10 * time.Minute)
	p.notifier.wait()
}

// RFC 1996 §3.6: NOTIFY is sent until it is answered, at growing intervals, and not
// for ever.
func TestNotifyRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &inbox{deaf: 3}
		began := time.Now()
		notified(t, b, testKey.Name)
		var after []time.Duration
		for _, at := range b.times {
			after = append(after, at.Sub(began))
		}
		if len(after) != 4 || after[1] != time.Second || after[2] != 3*time.Second || after[3] != 7*time.Second {
			t.Errorf("sent after %v", after)
		}
		m := b.got[0]
		if m.Opcode != dns.OpcodeNotify || !m.Authoritative || m.Question[0].Qtype != dns.TypeSOA || m.Question[0].Name != apex ||
			m.Answer[0].(*dns.SOA).Serial != 7 || m.IsTsig() == nil {
			t.Errorf("not what RFC 1996 §3.7 wants: %v", m)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := &inbox{deaf: 1000}
		if notified(t, b, ""); len(b.times) != attempts {
			t.Errorf("%d messages to one that never answers", len(b.times))
		}
	})
}

// TestNotifyRefused: one that refuses will go on refusing.
func TestNotifyRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &inbox{rcode: dns.RcodeRefused}
		if notified(t, b, ""); len(b.times) != 1 {
			t.Errorf("%d messages", len(b.times))
		}
	})
}

// TestNotifyNewest: a newer version takes the place of the one that nobody answered.
func TestNotifyNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &inbox{deaf: 2}
		current, _ := steering.NewCurrent(nil)
		p, err := New(Config{Current: current, Send: b.send})
		if err != nil {
			t.Fatal(err)
		}
		copies := &steering.Copies{Notify: []steering.Peer{{Address: netip.MustParseAddrPort("192.0.2.54:53")}}}
		p.notifier.tell(t.Context(), copies, soaOf(7))
		synctest.Wait()
		p.notifier.tell(t.Context(), copies, soaOf(8))
		p.notifier.wait()
		serials := make(map[uint32]int)
		for _, m := range b.got {
			serials[m.Answer[0].(*dns.SOA).Serial]++
		}
		if serials[7] != 1 || serials[8] != 2 {
			t.Errorf("messages by serial: %v", serials)
		}
	})
}
