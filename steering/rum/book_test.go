package rum

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"fairway/steering"

	"pgregory.net/rapid"
)

// fill has sessions of a network report on a CDN: each one n requests.
func fill(k *Collector, s *steering.Snapshot, asn, sessions, n int, cdn string, ttfb, kbps float64) {
	for i := range sessions {
		k.Events(s, 0, address(10, asn, i%256, 1+i/256), "", []byte(answers(cdn, fmt.Sprint(cdn, asn, "/", i), n, ttfb, kbps)))
	}
}

func believed(t testing.TB, j Judged, endpoint string) steering.Played {
	t.Helper()
	p, known := j.Table[steering.PlayedKey{Endpoint: endpoint, Region: "eu"}]
	if !known {
		t.Fatalf("nothing is believed of %s: %+v", endpoint, j.Rows)
	}
	return p
}

// TestBelieved: with many sessions what players measure is what is believed, with
// few it is drawn to what the others say, with fewer than enough nothing is.
func TestBelieved(t *testing.T) {
	s, k, b := newSnapshot(t), newCollector(t, Config{}), NewBook(Terms{})
	fill(k, s, 1, 200, 10, "a", 40, 8000)
	fill(k, s, 1, 40, 10, "b", 400, 1000)
	fill(k, s, 1, 20, 50, "c", 4000, 100)
	b.Add(k.Take(), layoutTime)
	j := b.Judge(layoutTime)
	a, bb := believed(t, j, "live/a"), believed(t, j, "live/b")
	if a.Sessions < 180 || a.Sessions > 220 || a.TTFB < 40*time.Millisecond || a.TTFB > 70*time.Millisecond || a.Availability != 1 {
		t.Errorf("a: %+v", a)
	}
	if bb.TTFB < 300*time.Millisecond || bb.TTFB > 399*time.Millisecond {
		t.Errorf("b, of few sessions, is believed to take %v, want less than what they say", bb.TTFB)
	}
	if p, known := j.Table[steering.PlayedKey{Endpoint: "live/c", Region: "eu"}]; known {
		t.Errorf("c, of 20 sessions: %+v", p)
	}
}

// TestForgets: reports fade, and a cell of which nothing is left is gone.
func TestForgets(t *testing.T) {
	s, k, b := newSnapshot(t), newCollector(t, Config{}), NewBook(Terms{})
	fill(k, s, 1, 100, 10, "a", 40, 8000)
	b.Add(k.Take(), layoutTime)
	now := layoutTime
	for range 15 {
		now = now.Add(10 * time.Second)
		b.Advance(now)
	}
	for _, e := range b.cells {
		if want := 1000 / math.E; math.Abs(e.Requests-want) > 1 {
			t.Errorf("%g requests after 150 s, want %g", e.Requests, want)
		}
	}
	if j := b.Judge(now.Add(time.Hour)); len(j.Rows) != 0 || len(j.Table) != 0 {
		t.Errorf("an hour later: %+v", j)
	}
}

// TestOneNetworkIsNotEnough: however much a /24 says, by however many sessions,
// nothing of it is believed.
func TestOneNetworkIsNotEnough(t *testing.T) {
	s, k, b := newSnapshot(t), newCollector(t, Config{}), NewBook(Terms{})
	for step := range 20 {
		for i := range 400 {
			k.Events(s, 0, address(10, 1, 1, i%256), "", []byte(answers("a", fmt.Sprint(step, i), 10, 4000, 10)))
		}
		b.Add(k.Take(), layoutTime.Add(time.Duration(step)*10*time.Second))
	}
	if j := b.Judge(layoutTime.Add(200 * time.Second)); len(j.Table) != 0 {
		t.Errorf("%+v", j.Table)
	}
}

// TestOneASMovesLittle: the reports of one AS, whatever they say and however many
// there are, move what is believed in the region by no more than the AS's bound.
func TestOneASMovesLittle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, k, b := newSnapshot(t), newCollector(t, Config{PerNetwork: 1 << 20}), NewBook(Terms{})
		honest := rapid.IntRange(fewToJudge, 8).Draw(rt, "honest")
		for asn := range honest {
			fill(k, s, asn, 40, 2, "a", 40+float64(asn), 8000)
		}
		forged := ""
		liar := rapid.IntRange(1, 2000).Draw(rt, "records")
		ttfb, kbps := rapid.Float64Range(0, 60_000).Draw(rt, "ttfb"), rapid.Float64Range(0, 1e9).Draw(rt, "kbps")
		status := rapid.SampledFrom([]int{0, 200, 404, 503}).Draw(rt, "status")
		for i := range liar {
			forged = fmt.Sprintf(`e=rr,mtp=%.0f,rc=%d,sid="%d",ts=%d,ttfb=%.0f,ttlb=%.0f,url="https://a.cdn.test/live/s"`, kbps, status, i%300, i, ttfb, ttfb+1)
			k.Events(s, 0, address(10, 200, i%256, 1), "", []byte(forged))
		}
		b.Add(k.Take(), layoutTime)
		p := believed(t, b.Judge(layoutTime), "live/a")
		if p.TTFB < 35*time.Millisecond || p.TTFB > 55*time.Millisecond || p.Throughput < 7e6 || p.Throughput > 9e6 || p.Availability < 0.7 {
			rt.Fatalf("%d records of one AS (such as %s) among %d others make %+v", liar, forged, honest, p)
		}
	})
}

// TestBound: no area keeps more than its part, and those below the bound keep all.
func TestBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Float64Range(0.01, 1e6), 1, 20).Draw(t, "weights")
		part := max(rapid.Float64Range(0.05, 1).Draw(t, "part"), 1/float64(len(weights)))
		limit, sum, largest := bound(weights, part), 0.0, 0.0
		for _, w := range weights {
			sum += min(w, limit)
			largest = max(largest, min(w, limit))
		}
		if largest > part*sum*(1+1e-9) {
			t.Fatalf("%v: bounded at %g one of them has %g of %g, above %g", weights, limit, largest, sum, part)
		}
	})
}

// TestBookIsBounded: a book keeps the cells with the most reports.
func TestBookIsBounded(t *testing.T) {
	b := NewBook(Terms{MaxCells: 50})
	var cells []*Cell
	for i := range 500 {
		cells = append(cells, &Cell{Key: Key{Endpoint: "e", ASN: uint32(i)}, Requests: float64(i + 1)})
	}
	b.Add(cells, layoutTime)
	least := math.Inf(1)
	for _, e := range b.cells {
		least = min(least, e.Requests)
	}
	if len(b.cells) != 50 || least != 451 {
		t.Errorf("%d cells, the smallest of %g reports", len(b.cells), least)
	}
}

// BenchmarkReports: what players send, from socket to cell: bodies of ten records, as
// hls.js batches them, of a hundred thousand sessions in many networks.
func BenchmarkReports(b *testing.B) {
	s, k := newSnapshot(b), newCollector(b, Config{})
	const sessions = 100_000
	bodies := make([][]byte, sessions)
	for i := range bodies {
		bodies[i] = []byte(answers(string("abc"[i%3]), fmt.Sprintf("%08x-1111-4222-8333-444455556666", i), 10, 40+float64(i%50), 8000))
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			at := (i * 7919) % sessions
			k.Events(s, 0, netip.AddrFrom4([4]byte{10, byte(at), byte(at >> 8), byte(at >> 16)}), "", bodies[at])
		}
	})
	b.ReportMetric(float64(b.N)*10/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkJudge: what control does every ten seconds with cells of 2,000 networks.
func BenchmarkJudge(b *testing.B) {
	s, k, book := newSnapshot(b), newCollector(b, Config{}), NewBook(Terms{})
	for asn := range 250 {
		for _, cdn := range []string{"a", "b", "c"} {
			fill(k, s, asn, 20, 5, cdn, 40+float64(asn), 8000)
		}
	}
	cells := k.Take()
	now := layoutTime
	b.ResetTimer()
	for b.Loop() {
		now = now.Add(10 * time.Second)
		book.Add(cells, now)
		book.Judge(now)
	}
	b.ReportMetric(float64(len(cells)), "cells")
}
