package sample

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering"
)

func decision(service string, network uint32) *steering.Decision {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], network<<8)
	return &steering.Decision{
		Service: &steering.Service{Key: service}, Network: netip.PrefixFrom(netip.AddrFrom4(b), 24),
	}
}

func total(list []steering.Traffic) (queries uint64) {
	for _, t := range list {
		queries += t.Count
	}
	return queries
}

func TestQuietNodeKeepsEveryQuery(t *testing.T) {
	s := New(Config{Size: 100})
	for range 3 {
		s.Decided("dns", decision("live", 7))
	}
	s.Decided("redirect", decision("live", 7))
	s.Decided("dns", &steering.Decision{Service: &steering.Service{Key: "live"}}) // nobody knows who
	got := s.Traffic()
	want := steering.Traffic{Door: "dns", Service: "live", Client: netip.MustParsePrefix("0.0.7.0/24"), Count: 3}
	if len(got) != 2 || got[0] != want || got[1].Door != "redirect" || got[1].Count != 1 {
		t.Errorf("kept %+v, want %+v first and one of the redirect door", got, want)
	}
}

func TestOffKeepsNothing(t *testing.T) {
	s := New(Config{})
	s.Decided("dns", decision("live", 7))
	if got := s.Traffic(); len(got) != 0 {
		t.Errorf("kept %+v", got)
	}
}

// A busy node looks at fewer queries, and what it keeps still stands for all
// that were asked meanwhile, in the right proportions.
func TestBusyNodeStaysBoundedAndFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Size: 1000, Span: 10 * time.Second})
		r := rand.New(rand.NewPCG(1, 2))
		const perSecond = 20_000
		for range 60 {
			for range perSecond {
				service := "live"
				if r.IntN(10) == 0 {
					service = "vod"
				}
				s.Decided("dns", decision(service, r.Uint32N(5000)))
			}
			time.Sleep(time.Second)
		}
		if every := s.every.Load(); every < 64 || every > 1024 {
			t.Errorf("one query in %d is looked at, want about 200: 1000 kept in 10 s of 20,000 a second", every)
		}
		list, vod := s.Traffic(), uint64(0)
		if len(list) > 1000 {
			t.Errorf("%d networks are kept, want 1000 at most", len(list))
		}
		for _, x := range list {
			if x.Service == "vod" {
				vod += x.Count
			}
		}
		if share := float64(vod) / float64(total(list)); share < 0.05 || share > 0.15 {
			t.Errorf("vod has %.3f of the sample, want about 0.1", share)
		}
	})
}

// When the rush is over, the rate comes back.
func TestRateFollowsTheTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Size: 10, Span: time.Second})
		for range 10_000 {
			s.Decided("dns", decision("live", 1))
		}
		rush := s.every.Load()
		for range 10_000 {
			time.Sleep(time.Second)
			s.Decided("dns", decision("live", 1))
		}
		if calm := s.every.Load(); rush < 16 || calm != 1 {
			t.Errorf("one in %d in the rush and one in %d afterwards, want many and 1", rush, calm)
		}
	})
}

func TestDecidedDoesNotAllocate(t *testing.T) {
	s, d := New(Config{Size: 16}), decision("live", 1)
	if n := testing.AllocsPerRun(1000, func() { s.Decided("dns", d) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := New(Config{Size: 64, Span: time.Nanosecond})
	var doors sync.WaitGroup
	for i := range 8 {
		doors.Go(func() {
			for n := range 2000 {
				s.Decided("dns", decision("live", uint32(i*2000+n)))
			}
		})
	}
	for range 50 {
		if n := len(s.Traffic()); n > 64 {
			t.Errorf("%d kept, want 64 at most", n)
		}
	}
	doors.Wait()
	if total(s.Traffic()) == 0 {
		t.Error("nothing was kept")
	}
}
