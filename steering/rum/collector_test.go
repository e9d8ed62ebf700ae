package rum

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"fairway/steering"
)

// TestCollected: what players say is in the cell of the endpoint that it is about,
// in the network that it comes from.
func TestCollected(t *testing.T) {
	s, k := newSnapshot(t), newCollector(t, Config{})
	client := address(10, 3, 1, 1)
	k.Events(s, 0, client, "", []byte(answers("a", "one", 10, 40, 8000)))
	k.Events(s, 0, client, "", []byte(
		`e=rr,rc=503,sid="one",ts=1700000030000,url="https://B.cdn.test:443/live/s.m4s?x=1"`+"\n"+
			`e=ps,sid="one",sta=p,ts=1700000031000`+"\n"+
			`e=ps,sid="one",sta=r,ts=1700000041000`+"\n"+
			`e=ps,sid="one",sta=p,ts=1700000043500`+"\n"+
			`e=t,sid="one",msd=900,sta=p,ts=1700000053500`+"\n"+
			`e=e,sid="one",sta=f,ts=1700000053600`))
	cells := k.Take()
	a, b := one(t, cells, "live/a"), one(t, cells, "live/b")
	if a.Region != "eu" || a.Country != "DE" || a.ASN != 103 {
		t.Errorf("the cell is of %+v", a.Key)
	}
	if a.Requests != 10 || a.Failures != 0 || a.TTFB.Count() != 10 || math.Abs(a.TTFB.Quantile(0.5)-40) > 1 || math.Abs(a.Throughput.Quantile(0.5)-8000) > 200 {
		t.Errorf("a: %g of %g failed, TTFB %g ms, %g kbit/s", a.Failures, a.Requests, a.TTFB.Quantile(0.5), a.Throughput.Quantile(0.5))
	}
	if b.Requests != 1 || b.Failures != 1 || math.Abs(b.Playing-20.1) > 1e-9 || b.Stalled != 2.5 || b.Stalls != 1 || b.Start.Count() != 1 || b.Fatal != 1 {
		t.Errorf("b: %g of %g failed, played %g s, stalled %g s in %g, %g starts, %g fatal", b.Failures, b.Requests, b.Playing, b.Stalled, b.Stalls, b.Start.Count(), b.Fatal)
	}
	if n := len(k.Take()); n != 0 {
		t.Errorf("%d cells once more", n)
	}
}

// TestNotOurs: URLs that lie below no endpoint are about none, whatever they begin
// with.
func TestNotOurs(t *testing.T) {
	s, k := newSnapshot(t), newCollector(t, Config{})
	for i, url := range []string{
		"https://a.cdn.test/lively/s.m4s", "https://a.cdn.test.evil.test/live/s", "https://a.cdn.test:8443/live/s", "ftp://a.cdn.test/live/s", "/live/s", "https://", "a.cdn.test/live",
	} {
		k.Events(s, 0, address(10, 1, 1, 1), "", fmt.Appendf(nil, `e=rr,rc=503,sid="%d",url="%s",ts=1`, i, url))
	}
	if cells := k.Take(); len(cells) != 0 || k.Counts().Unknown != 7 {
		t.Errorf("%d cells, %+v", len(cells), k.Counts())
	}
	k.Events(s, 0, address(10, 1, 1, 1), "", []byte(`e=rr,rc=200,url="https://user@A.CDN.test/live?x",ts=1`))
	if c := one(t, k.Take(), "live/a"); c.Requests != 1 {
		t.Errorf("%+v", c)
	}
}

// TestCaches: what came out of the browser's own cache, and the first fill of the
// buffer, is no measurement.
func TestCaches(t *testing.T) {
	s, k := newSnapshot(t), newCollector(t, Config{})
	for _, line := range []string{
		`e=rr,rc=200,ttfb=1,ttlb=1`, `e=rr,rc=200,ttfb=30,ttlb=30`, `e=rr,rc=200,mtp=900,su`,
	} {
		k.Events(s, 0, address(10, 1, 1, 1), "", []byte(line+`,sid="s",ts=1,url="https://a.cdn.test/live/s"`))
	}
	c := one(t, k.Take(), "live/a")
	if c.Requests != 3 || c.TTFB.Count() != 0 || c.Throughput.Count() != 0 {
		t.Errorf("%g requests, %g TTFB, %g throughputs", c.Requests, c.TTFB.Count(), c.Throughput.Count())
	}
}

// TestRequested: CMCD in a redirected request is about the endpoint that the session
// had before.
func TestRequested(t *testing.T) {
	s, k := newSnapshot(t), newCollector(t, Config{})
	a, b := s.Layout.Revision.Services[0].Endpoints[0], s.Layout.Revision.Services[0].Endpoints[1]
	client := address(20, 1, 1, 1)
	ask := func(e *steering.Endpoint, data string) { k.Requested(s, 0, e, client, "?CMCD="+data, http.Header{}) }
	ask(a, "sid%3D%22x%22%2Cmtp%3D5000%2Cd%3D2000")
	if n := len(k.Take()); n != 0 {
		t.Fatalf("the first request of a session made %d cells", n)
	}
	ask(a, "sid%3D%22x%22%2Cmtp%3D4000%2Cd%3D2000")
	ask(b, "sid%3D%22x%22%2Cmtp%3D3000%2Cd%3D2000%2Cbs")
	c := one(t, k.Take(), "live/a")
	if c.Throughput.Count() != 2 || c.Playing != 4 || c.Stalls != 1 || c.Region != "na" {
		t.Errorf("%g throughputs, %g s played, %g stalls in %s", c.Throughput.Count(), c.Playing, c.Stalls, c.Region)
	}
}

// TestPolled: a poll after a failover is a failure of the pathway that was told
// first, and throughputs belong to the pathways that they are told for.
func TestPolled(t *testing.T) {
	s, k := newSnapshot(t), newCollector(t, Config{})
	client := address(10, 1, 1, 1)
	k.Polled(s, 0, client, "x", "A", false, []string{"A"}, []float64{5e6})
	k.Polled(s, 0, client, "x", "A", true, []string{"A", "B"}, []float64{1e5, 7e6})
	k.Polled(s, 0, client, "x", "A", false, []string{"A", "nobody's"}, []float64{1})
	cells := k.Take()
	a, b := one(t, cells, "live/a"), one(t, cells, "live/b")
	if a.Requests != 3 || a.Failures != 1 || a.Switched != 1 || a.Throughput.Count() != 2 {
		t.Errorf("a: %g of %g, %g switched, %g throughputs", a.Failures, a.Requests, a.Switched, a.Throughput.Count())
	}
	if b.Requests != 0 || b.Throughput.Count() != 1 {
		t.Errorf("b: %g requests, %g throughputs", b.Requests, b.Throughput.Count())
	}
}

// TestBeacon: what apps send, and what of it is believed.
func TestBeacon(t *testing.T) {
	s, k := newSnapshot(t), newCollector(t, Config{})
	client := address(10, 1, 1, 1)
	body := `{"session":"x","reports":[
		{"pathway":"A","requests":12,"failures":1,"ttfb_ms":80,"throughput_kbps":4000,"playing_ms":20000,"stalled_ms":500,"start_ms":700},
		{"url":"https://b.cdn.test/live/x","requests":1000000,"failures":-4,"playing_ms":1e12,"stalled_ms":1e12,"start_ms":1e12},
		{"endpoint":"live/c","failures":7,"fatal":true,"switched":true},{"pathway":"Z"}]}`
	if status := k.Beacon(s, 0, client, "", []byte(body)); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	cells := k.Take()
	a, b, c := one(t, cells, "live/a"), one(t, cells, "live/b"), one(t, cells, "live/c")
	if a.Requests != 12 || a.Failures != 1 || a.Playing != 20 || a.Stalled != 0.5 || a.TTFB.Count()+a.Throughput.Count()+a.Start.Count() != 3 {
		t.Errorf("a: %+v", a)
	}
	if b.Requests != maxEntryCounts || b.Failures != 0 || b.Playing != 60 || b.Stalled != 60 || b.Start.Quantile(1) > 1.03*maxWait {
		t.Errorf("b: %+v", b)
	}
	if c.Requests != 7 || c.Failures != 7 || c.Fatal != 1 || c.Switched != 1 || k.Counts().Unknown != 1 {
		t.Errorf("c: %+v", c)
	}
	for _, body := range []string{"", "[]", "{", `{"reports":[` + repeat(`{}`, maxEntries+1) + `]}`} {
		if status := k.Beacon(s, 0, client, "", []byte(body)); status != http.StatusBadRequest {
			t.Errorf("%.20q: status %d", body, status)
		}
	}
}

func repeat(entry string, n int) string {
	text := entry
	for range n - 1 {
		text += "," + entry
	}
	return text
}

// TestQuotas: one session, and one network, count for so much and no more.
func TestQuotas(t *testing.T) {
	s, k := newSnapshot(t), newCollector(t, Config{PerSession: 20, PerNetwork: 50})
	for range 10 {
		k.Events(s, 0, address(10, 1, 1, 1), "", []byte(answers("a", "one", 10, 40, 8000)))
	}
	if c := one(t, k.Take(), "live/a"); c.Requests != 20 || k.Counts().Bounded != 80 {
		t.Errorf("one session counts for %g, %d bounded", c.Requests, k.Counts().Bounded)
	}
	for i := range 30 {
		k.Events(s, 0, address(10, 1, 1, i), "", []byte(answers("a", fmt.Sprint(i), 10, 40, 8000)))
	}
	if c := one(t, k.Take(), "live/a"); c.Requests != 50 {
		t.Errorf("one network counts for %g", c.Requests)
	}
}

// TestSigned: where a service asks for signed URLs, nothing else is heard.
func TestSigned(t *testing.T) {
	key := SigningKey([]byte("secret"))
	s, k := newSnapshot(t), newCollector(t, Config{Key: key, Signed: func(service string) bool { return service == "live" }})
	now := time.Now()
	good := Sign(key, "live", now.Add(time.Hour))
	for _, c := range []struct {
		name, query string
		service     int
		taken       bool
	}{
		{"signed", "?" + good, 0, true},
		{"signed, among other parameters", "?a=b&" + good, 0, true},
		{"not signed", "", 0, false},
		{"run out", "?" + Sign(key, "live", now.Add(-time.Minute)), 0, false},
		{"of another service", "?" + Sign(key, "other", now.Add(time.Hour)), 0, false},
		{"by another secret", "?" + Sign(SigningKey([]byte("other")), "live", now.Add(time.Hour)), 0, false},
		{"for longer than signed", "?x=9999999999&" + good[len("x=0000000000&"):], 0, false},
		{"malformed", "?%zz", 0, false},
		{"a service that asks for none", "", 1, true},
	} {
		if status := k.Events(s, c.service, address(10, 1, 1, 1), c.query, []byte(`e=rr,rc=200,url="https://a.cdn.test/live/s",ts=1`)); status != http.StatusNoContent {
			t.Errorf("%s: status %d", c.name, status)
		}
		if taken := len(k.Take()) > 0; taken != c.taken {
			t.Errorf("%s: taken %v", c.name, taken)
		}
	}
}

// TestCellsAreBounded: many networks cost detail, not memory.
func TestCellsAreBounded(t *testing.T) {
	s, k := newSnapshot(t), newCollector(t, Config{MaxCells: 10})
	for a := range 200 {
		k.Events(s, 0, address(10, a, 1, 1), "", []byte(answers("a", fmt.Sprint(a), 1, 40, 8000)))
	}
	cells := k.Take()
	total := 0.0
	for _, c := range cells {
		total += c.Requests
	}
	if len(cells) > 11 || total != 200 {
		t.Errorf("%d cells hold %g requests", len(cells), total)
	}
}

// TestCellsTravel: a cell that was sent says the same, and cells that are no cells
// are refused or empty, never a panic.
func TestCellsTravel(t *testing.T) {
	s, k := newSnapshot(t), newCollector(t, Config{})
	k.Events(s, 0, address(10, 1, 1, 1), "", []byte(answers("a", "one", 50, 40, 8000)))
	sent := one(t, k.Take(), "live/a")
	text, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var got Cell
	if err := json.Unmarshal(text, &got); err != nil || got.Check() != nil {
		t.Fatal(err, got.Check())
	}
	if got.Key != sent.Key || got.Requests != 50 || got.TTFB.Quantile(0.5) != sent.TTFB.Quantile(0.5) || got.Sessions != sent.Sessions || got.Start.Count() != 0 {
		t.Errorf("%s became %+v", text, got)
	}
}

func FuzzSketch(f *testing.F) {
	var s Sketch
	for i := range 100 {
		s.add(float64(i + 1))
	}
	var b []byte
	s.of.Encode(&b, false)
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<12 {
			return
		}
		var s, sum Sketch
		if s.decode(b) == nil {
			sum.merge(&s)
			sum.fade(0.9)
			sum.Quantile(0.5)
		}
	})
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	s, k := newSnapshot(t), newCollector(t, Config{})
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 50 {
				client := netip.AddrFrom4([4]byte{10, byte(w), byte(i), 1})
				k.Events(s, 0, client, "", []byte(answers("a", fmt.Sprint(w, i), 5, 40, 8000)))
				k.Polled(s, 0, client, "", "A", true, []string{"B"}, []float64{1e6})
			}
		})
	}
	total := 0.0
	for range 10 {
		for _, c := range k.Take() {
			total += c.Requests
		}
	}
	all.Wait()
	for _, c := range k.Take() {
		total += c.Requests
	}
	if total != 8*50*6 {
		t.Errorf("%g requests, want %d", total, 8*50*6)
	}
}

// watcher wants the reports of one session.
type watcher struct {
	session string
	seen    []Cell
}

func (w *watcher) Wants(q steering.Query) bool { return q.Session == w.session }

func (w *watcher) Reported(q steering.Query, c *Cell) { w.seen = append(w.seen, *c) }

// What one client reports is shown by itself, and counts among the others all the same.
func TestWatch(t *testing.T) {
	s, w := newSnapshot(t), &watcher{session: "seen"}
	k := newCollector(t, Config{Watch: w})
	for _, session := range []string{"seen", "unseen"} {
		body := fmt.Sprintf(`{"session": %q, "reports": [{"endpoint": "live/b", "requests": 4, "failures": 1, "playing_ms": 9000, "stalled_ms": 1000}]}`, session)
		if status := k.Beacon(s, 0, address(10, 1, 2, 3), "", []byte(body)); status != 204 {
			t.Fatal(status)
		}
	}
	if len(w.seen) != 1 {
		t.Fatalf("%d reports were shown", len(w.seen))
	}
	if c := w.seen[0]; c.Endpoint != "live/b" || c.Requests != 4 || c.Failures != 1 || c.Playing != 9 || c.Stalled != 1 {
		t.Errorf("%+v", c)
	}
	if c := one(t, k.Take(), "live/b"); c.Requests != 8 {
		t.Errorf("%v requests of two clients", c.Requests)
	}
}
