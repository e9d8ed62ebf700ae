package decisionlog

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/history"
)

// everywhere is a network map of one cell.
type everywhere struct{ cells []steering.Cell }

func (e everywhere) Cells() []steering.Cell          { return e.cells }
func (e everywhere) Locate(netip.Addr) (uint32, int) { return 0, 0 }

// halved is a generation in which the clients of a service are split between two
// endpoints.
func halved(t testing.TB, weights ...float64) *steering.Snapshot {
	t.Helper()
	policy := &steering.Policy{Name: "p", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "default"}}}
	live := &steering.Service{Key: "live", Policy: policy}
	var list []steering.Candidate
	for i, w := range weights {
		e := &steering.Endpoint{ID: "live/" + string(rune('a'+i)), Service: "live", Weight: 1}
		live.Endpoints = append(live.Endpoints, e)
		list = append(list, steering.Candidate{Endpoint: e, Weight: w, Score: float64(i + 1), Verdict: steering.Healthy, Reason: steering.Reason{Code: steering.ReasonWeighted}})
	}
	layout, err := steering.NewLayout(&steering.Revision{Services: []*steering.Service{live}, Policies: []*steering.Policy{policy}},
		everywhere{[]steering.Cell{{Region: "eu", Attributes: steering.Attributes{Country: "DE", ASN: 64496}}}})
	if err != nil {
		t.Fatal(err)
	}
	split, err := steering.NewSplit(list, 20*time.Second, steering.Reason{Code: steering.ReasonWeighted}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := steering.NewSnapshot(7, time.Unix(1e9, 0), layout, [][]*steering.Split{{split}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newLog(t testing.TB, s *steering.Snapshot, c Config) *Log {
	t.Helper()
	c.Snapshot = func() *steering.Snapshot { return s }
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func client(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}) }

func TestDecisionWithItsOdds(t *testing.T) {
	s := halved(t, 0.75, 0.25)
	l := newLog(t, s, Config{Share: 1})
	d := s.Decide(steering.Query{Client: client(1)})
	for range 3 {
		l.Decided("redirect", &d)
	}
	other := s.Decide(steering.Query{Client: client(1), Session: "viewer"})
	l.Decided("redirect", &other)
	decisions, _ := l.Take()
	if len(decisions) != 2 {
		t.Fatalf("%d entries: %+v", len(decisions), decisions)
	}
	network, session := decisions[0], decisions[1]
	if network.Client != "" {
		network, session = session, network
	}
	if network.Count != 3 || network.Client != "" || session.Count != 1 || session.Client == "" {
		t.Errorf("a network's: %+v\na session's: %+v", network, session)
	}
	first, _ := d.First()
	if network.Told != first.Endpoint.ID || network.Network.String() != "10.0.1.0/24" || network.Region != "eu" || network.Country != "DE" ||
		network.ASN != 64496 || network.Generation != 7 || network.Rule != "default" || network.TTL != 20 || network.Door != "redirect" {
		t.Errorf("%+v", network)
	}
	if len(network.Odds) != 2 || network.Odds[0] != (history.Odds{Endpoint: "live/a", Share: 0.75, Score: 1, Verdict: "healthy"}) || network.Odds[1].Share != 0.25 {
		t.Errorf("odds: %+v", network.Odds)
	}
	if again, outcomes := l.Take(); len(again)+len(outcomes) != 0 {
		t.Error("taken twice")
	}
}

// A client is in the sample with all that it is told and all that it reports, or with
// nothing; and the share of those who are is what was asked for.
func TestSampleOfClients(t *testing.T) {
	s := halved(t, 0.5, 0.5)
	l := newLog(t, s, Config{Share: 0.1})
	const all = 20_000
	in := map[string]int{}
	for i := range all {
		q := steering.Query{Client: client(i), Session: fmt.Sprint("viewer ", i)}
		d := s.Decide(q)
		l.Decided("steering", &d)
		decisions, _ := l.Take()
		if wants := l.Wants(q); wants != (len(decisions) == 1) {
			t.Fatalf("client %d: its reports are wanted: %v, its decisions logged: %d", i, wants, len(decisions))
		}
		for _, d := range decisions {
			in[d.Told]++
		}
	}
	// By its network or by its session: 1 − 0.9².
	if got := float64(in["live/a"]+in["live/b"]) / all; math.Abs(got-0.19) > 0.01 {
		t.Errorf("%.3f of the clients are in the sample", got)
	}
	if got := float64(in["live/a"]) / float64(in["live/a"]+in["live/b"]); math.Abs(got-0.5) > 0.03 {
		t.Errorf("%.3f of the sample are told the first endpoint: it is no sample of the clients", got)
	}
}

func TestOutcomesNameTheirClient(t *testing.T) {
	s := halved(t, 0.5, 0.5)
	l := newLog(t, s, Config{Share: 1})
	q := steering.Query{Client: client(3), Session: "viewer"}
	d := s.Decide(q)
	l.Decided("decide", &d)
	l.Reported(q, history.Outcome{Endpoint: "live/a", Playing: 10})
	l.Reported(steering.Query{Client: client(3)}, history.Outcome{Endpoint: "live/b"})
	decisions, outcomes := l.Take()
	if len(outcomes) != 2 || outcomes[0].Client != decisions[0].Client || outcomes[0].Client == "" || outcomes[1].Client != "" {
		t.Fatalf("%+v\n%+v", decisions, outcomes)
	}
	if o := outcomes[0]; o.Service != "live" || o.Network.String() != "10.0.3.0/24" || o.Playing != 10 || o.At.IsZero() {
		t.Errorf("%+v", o)
	}
}

func TestBounded(t *testing.T) {
	s := halved(t, 0.5, 0.5)
	l := newLog(t, s, Config{Share: 1, Most: 10})
	for i := range 50 {
		d := s.Decide(steering.Query{Client: client(i)})
		l.Decided("dns", &d)
		l.Reported(steering.Query{Client: client(i)}, history.Outcome{})
	}
	if decisions, outcomes := l.Take(); len(decisions) != 10 || len(outcomes) != 10 || l.Lost() != 80 {
		t.Errorf("%d decisions, %d outcomes, %d lost", len(decisions), len(outcomes), l.Lost())
	}
}

// Who is not in the sample costs no memory, and neither does who asks again.
func TestDecidedDoesNotAllocate(t *testing.T) {
	s := halved(t, 0.5, 0.5)
	l := newLog(t, s, Config{Share: 1})
	d := s.Decide(steering.Query{Client: client(1)})
	l.Decided("dns", &d)
	if n := testing.AllocsPerRun(100, func() { l.Decided("dns", &d) }); n != 0 {
		t.Errorf("%v allocations for a client that asks again", n)
	}
	none := newLog(t, s, Config{Share: 1e-9})
	if n := testing.AllocsPerRun(100, func() { none.Decided("dns", &d) }); n != 0 {
		t.Errorf("%v allocations for a client that is not in the sample", n)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := halved(t, 0.5, 0.5)
	l := newLog(t, s, Config{Share: 1})
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range 200 {
				q := steering.Query{Client: client(200*worker + i)}
				d := s.Decide(q)
				l.Decided("dns", &d)
				if l.Wants(q) {
					l.Reported(q, history.Outcome{})
				}
			}
		})
	}
	total := 0
	for range 50 {
		_, outcomes := l.Take()
		total += len(outcomes)
	}
	wait.Wait()
	if _, outcomes := l.Take(); total+len(outcomes) != 800 {
		t.Errorf("%d outcomes of 800", total+len(outcomes))
	}
}

func TestConfig(t *testing.T) {
	for _, share := range []float64{0, -1, 1.5, math.NaN()} {
		if _, err := New(Config{Share: share, Snapshot: func() *steering.Snapshot { return nil }}); err == nil {
			t.Errorf("a share of %v is taken", share)
		}
	}
	if _, err := New(Config{Share: 1}); err == nil {
		t.Error("no snapshot is taken")
	}
}
