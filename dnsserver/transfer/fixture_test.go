package transfer

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
)

const (
	apex = "cdn.example."
	live = "live." + apex
)

var testKey = Key{Name: "ns2.", Algorithm: dns.HmacSHA256, Secret: []byte("0123456789abcdef0123456789abcdef")}

func secret() string { return base64.StdEncoding.EncodeToString(testKey.Secret) }

// nowhere is a network map without regions.
type nowhere struct{}

func (nowhere) Cells() []steering.Cell { return []steering.Cell{{Region: steering.DefaultRegion}} }

func (nowhere) Locate(netip.Addr) (uint32, int) { return 0, 0 }

// world is a zone with a steered name, a primary and the door that it stands
// behind.
type world struct {
	t       testing.TB
	primary *Primary
	door    *dnsserver.Server
	publish func(*steering.Snapshot)
	current *steering.Current
	zone    steering.Zone
	service *steering.Service
	number  uint64
}

func newWorld(t testing.TB, change func(*Config, *steering.Zone)) *world {
	t.Helper()
	return newWorldWith(t, nil, change)
}

// newWorldWith has a signer; nil for none.
func newWorldWith(t testing.TB, signer dnsserver.Signer, change func(*Config, *steering.Zone)) *world {
	t.Helper()
	w := &world{t: t}
	w.zone = steering.Zone{
		Name: apex, TTL: 5 * time.Minute, NS: []string{"ns1." + apex, "ns2." + apex},
		SOA: steering.SOA{
			MName: "ns1." + apex, RName: "hostmaster." + apex, Refresh: time.Hour, Retry: 10 * time.Minute,
			Expire: 14 * 24 * time.Hour, Minimum: time.Minute, TTL: 5 * time.Minute,
		},
		Records: []steering.Record{
			record("ns1."+apex, dns.TypeA, "\x7f\x00\x00\x01"), record("ns2."+apex, dns.TypeA, "\x7f\x00\x00\x02"),
			record(apex, dns.TypeTXT, "\x05hello"), record("*.wild."+apex, dns.TypeA, "\xc0\x00\x02\x09"),
		},
		Copies: steering.Copies{Allow: []steering.CopyRule{{Network: netip.MustParsePrefix("127.0.0.0/8"), Key: testKey.Name}}, Journal: 10},
	}
	policy := &steering.Policy{Name: "p", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "all"}}}
	w.service = &steering.Service{Key: "live", Hostnames: []string{live}, TTL: 20 * time.Second, Policy: policy}
	for _, cdn := range []string{"alpha", "bravo"} {
		w.service.Endpoints = append(w.service.Endpoints, &steering.Endpoint{ID: "live/" + cdn, Service: "live", Provider: cdn, Host: cdn + ".example.net.", Weight: 1})
	}
	w.current, w.publish = steering.NewCurrent(nil)
	config := Config{Current: w.current, Keys: []Key{testKey}, Settle: time.Millisecond}
	if change != nil {
		change(&config, &w.zone)
	}
	var err error
	if w.primary, err = New(config); err != nil {
		t.Fatal(err)
	}
	w.door, err = dnsserver.New(dnsserver.Config{Listen: []string{"127.0.0.1:0"}, Backend: dnsserver.BackendPortable, Current: w.current, Copies: w.primary, Signer: signer})
	if err != nil {
		t.Fatal(err)
	}
	w.primary.Serve(w.door)
	w.reload(0)
	w.primary.Look()
	return w
}

func record(name string, rrtype uint16, data string) steering.Record {
	return steering.Record{Name: name, Type: rrtype, Data: data, TTL: 5 * time.Minute}
}

// reload publishes a new layout of the zone as it is now, with an endpoint chosen.
func (w *world) reload(chosen int) {
	w.t.Helper()
	revision := &steering.Revision{
		Hash: fmt.Sprint("r", w.number), Zones: []steering.Zone{w.zone}, Services: []*steering.Service{w.service}, Policies: []*steering.Policy{w.service.Policy},
	}
	layout, err := steering.NewLayout(revision, nowhere{})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.door.Prepare(layout); err != nil {
		w.t.Fatal(err)
	}
	w.steer(layout, chosen)
}

// steer publishes a generation that hands an endpoint out.
func (w *world) steer(layout *steering.Layout, chosen int) {
	w.t.Helper()
	if layout == nil {
		layout = w.current.Load().Layout
	}
	split, err := steering.NewSplit([]steering.Candidate{{Endpoint: w.service.Endpoints[chosen], Weight: 1}}, w.service.TTL, steering.Reason{Code: steering.ReasonBest}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.number++
	snapshot, err := steering.NewSnapshot(w.number, time.Now(), layout, [][]*steering.Split{{split}}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(snapshot)
}

// look makes new versions, whatever time has passed, and returns the serial.
func (w *world) look() uint32 {
	w.t.Helper()
	w.primary.made = make(map[string]time.Time)
	w.primary.Look()
	serial, known := w.primary.Serial(apex)
	if !known {
		w.t.Fatal("the zone has no version")
	}
	return serial
}

// run serves until the test ends, and returns the door's address.
func (w *world) run() string {
	w.t.Helper()
	if err := w.door.Listen(); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- w.door.Run(ctx) }()
	go func() { done <- w.primary.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				w.t.Error(err)
			}
		}
	})
	return w.door.Addrs()[0]
}

// transferred asks for a zone as a secondary does and returns its records.
func transferred(t *testing.T, server string, q *dns.Msg, key *Key) ([]dns.RR, error) {
	t.Helper()
	in := &dns.Transfer{DialTimeout: 30 * time.Second, ReadTimeout: 30 * time.Second}
	if key != nil {
		in.TsigProvider = key
		q.SetTsig(key.Name, key.Algorithm, 300, time.Now().Unix())
	}
	envelopes, err := in.In(q, server)
	if err != nil {
		return nil, err
	}
	var records []dns.RR
	for e := range envelopes {
		if e.Error != nil {
			return records, e.Error
		}
		records = append(records, e.RR...)
	}
	return records, nil
}

func axfr() *dns.Msg { return new(dns.Msg).SetAxfr(apex) }

func ixfr(serial uint32) *dns.Msg { return new(dns.Msg).SetIxfr(apex, serial, "ns1."+apex, "h."+apex) }

func file(t *testing.T) string { return filepath.Join(t.TempDir(), "transfer.json") }

// until waits for a condition.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain: " + what)
		}
	}
}
