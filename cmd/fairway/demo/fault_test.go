package demo

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestFaultsMoveRegionsByScore does the arithmetic of the demo's policies: with
// the delays of cdns(), each fault that should move a region by score alone
// lifts the next CDN above the best one by more than the margin, and mending
// lifts the best one above the next again. It also holds that vod's split has
// two CDNs in every region, whether this machine is idle or busy.
func TestFaultsMoveRegionsByScore(t *testing.T) {
	t.Parallel()
	if want := "0.5 * latency + 0.2 * availability + 0.3 * throughput"; score != want || !strings.Contains(configTemplate, "margin: 5%") || !strings.Contains(configTemplate, "within: 12%") {
		t.Fatal("the policies have changed: change this arithmetic with them")
	}
	const margin, within = 0.05, 0.12
	const line = 50e6                                                                   // bit/s; loopback is faster
	for _, overhead := range []time.Duration{time.Millisecond, 20 * time.Millisecond} { // of connecting, on this machine
		value := func(p50 time.Duration, throughput float64) float64 {
			ms := float64(p50+overhead) / float64(time.Millisecond)
			return 0.5*100/(100+ms) + 0.2 + 0.3*throughput/(throughput+1e6)
		}
		for i, region := range regionNames {
			list := cdns()
			slices.SortFunc(list, func(a, b cdn) int { return cmp.Compare(a.firstByte[i], b.firstByte[i]) })
			best, delay := list[0].name, list[0].firstByte[i]
			if want := map[string]string{"na": "alpha", "eu": "bravo", "as": "charlie", "sa": "alpha"}[region]; best != want {
				t.Errorf("%s: best is %s, want %s", region, best, want)
			}
			chosen, next, third := value(delay, line), value(list[1].firstByte[i], line), value(list[2].firstByte[i], line)
			slow, narrow := value(delay+300*time.Millisecond, line), value(delay, 60e3)
			t.Logf("%s: %.3f %.3f %.3f; %s with +300 ms %.3f, at 60 kbit/s %.3f", region, chosen, next, third, best, slow, narrow)
			for _, move := range []struct {
				what     string
				from, to float64
			}{
				{"+300 ms on " + best, slow, next},
				{"60 kbit/s on " + best, narrow, next},
				{"mending " + best, next, chosen},
			} {
				if move.to <= move.from*(1+margin) {
					t.Errorf("%s: %s: %.3f does not beat %.3f by the margin", region, move.what, move.to, move.from)
				}
			}
			if bound := chosen * (1 - within); next < bound || third >= bound {
				t.Errorf("%s: scores %.3f and %.3f: want only the first within %.0f %% of %.3f", region, next, third, 100*within, chosen)
			}
		}
	}
}

func TestLatencyFault(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.set(Fault{CDN: "bravo", Region: "eu", Latency: 300 * time.Millisecond})
	if got := fetch(t, r.client(source["eu"]), r.plain("127.0.20.1", "/live/main.m3u8")); got.ttfb < 305*time.Millisecond {
		t.Errorf("eu: first byte after %v, want 312 ms or so", got.ttfb)
	}
	if got := fastest(t, r.client(source["as"]), r.plain("127.0.20.1", "/live/main.m3u8")); got.ttfb > 250*time.Millisecond {
		t.Errorf("as: first byte after %v, want its usual 60 ms", got.ttfb)
	}
	r.set(Fault{CDN: "bravo", Clear: true})
	if got := fastest(t, r.client(source["eu"]), r.plain("127.0.20.1", "/live/main.m3u8")); got.ttfb > 250*time.Millisecond {
		t.Errorf("mended: first byte after %v, want its usual 12 ms", got.ttfb)
	}
}

// A request that waits out a fault's latency goes on when the fault is cleared.
func TestClearFreesWaitingRequests(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.set(Fault{CDN: "alpha", Latency: time.Hour})
	answered := make(chan error, 1)
	go func() {
		response, err := r.client("127.0.0.1").Get(r.plain("127.0.10.1", "/probe"))
		if err == nil {
			response.Body.Close()
		}
		answered <- err
	}()
	eventually(t, "the request has arrived", func() bool { return r.relays() == 1 })
	r.set(Fault{CDN: "alpha", Clear: true})
	if err := <-answered; err != nil {
		t.Errorf("GET = %v", err)
	}
}

func TestErrorRateFault(t *testing.T) {
	t.Parallel()
	r := start(t)
	c := r.client(source["na"])
	count := func() (errors int) {
		for range 60 {
			switch got := fetch(t, c, r.plain("127.0.10.2", "/live/main.m3u8")); got.status {
			case 503:
				errors++
			case 200:
			default:
				t.Fatalf("status %d, want 200 or 503", got.status)
			}
		}
		return errors
	}
	r.set(Fault{CDN: "alpha", ErrorRate: 0.5})
	if n := count(); n < 15 || n > 45 {
		t.Errorf("%d of 60 answers were 503, want about half", n)
	}
	r.set(Fault{CDN: "alpha", ErrorRate: 1})
	if n := count(); n != 60 {
		t.Errorf("%d of 60 answers were 503, want all", n)
	}
	r.set(Fault{CDN: "alpha", Clear: true})
	if n := count(); n != 0 {
		t.Errorf("mended: %d of 60 answers were 503, want none", n)
	}
}

func TestThrottleFault(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.set(Fault{CDN: "charlie", ThrottleBps: 60_000})
	got := fetch(t, r.client("127.0.0.1"), r.plain("127.0.30.1", "/probe"))
	// 4096 bytes at 7500 a second are 546 ms, of which the first piece's 50 ms
	// lie before the first byte that a client can see.
	if got.transfer < 450*time.Millisecond || len(got.body) != 4096 {
		t.Errorf("%d bytes took %v, want 4096 in about 500 ms", len(got.body), got.transfer)
	}
	rate := float64(len(got.body)*8) / got.transfer.Seconds()
	if rate > 75_000 {
		t.Errorf("body came at %.0f bit/s, want about 60,000", rate)
	}
	if got := fetch(t, r.client("127.0.0.1"), r.plain("127.0.10.1", "/probe")); got.transfer > 200*time.Millisecond {
		t.Errorf("another CDN took %v", got.transfer)
	}
}

// TestBlackholeFreezesAndRecovers: in a black hole connections are accepted and
// nothing comes back, on open ones neither; those go on when it ends.
func TestBlackholeFreezesAndRecovers(t *testing.T) {
	t.Parallel()
	r := start(t)
	open := dial(t, source["eu"], "127.0.10.1", r.ports.http)
	request(t, open)
	if status, err := answer(open, 5*time.Second); err != nil || status != 200 {
		t.Fatalf("before: %d, %v", status, err)
	}

	r.set(Fault{CDN: "alpha", Region: "eu", Blackhole: true})
	request(t, open)
	fresh := dial(t, source["eu"], "127.0.10.2", r.ports.http) // dial succeeds: the connection is accepted
	request(t, fresh)
	for name, c := range map[string]net.Conn{"open": open, "fresh": fresh} {
		if status, err := answer(c, 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s connection: %d, %v, want silence", name, status, err)
		}
	}
	handshake := tls.Client(dial(t, source["eu"], "127.0.10.1", r.ports.https), &tls.Config{InsecureSkipVerify: true})
	_ = handshake.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if err := handshake.Handshake(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("TLS handshake: %v, want silence", err)
	}
	if got := fetch(t, r.client(source["na"]), r.plain("127.0.10.1", "/probe")); got.status != 200 {
		t.Errorf("na, meanwhile: %d, want 200", got.status)
	}

	r.set(Fault{CDN: "alpha", Region: "eu", Clear: true})
	for name, c := range map[string]net.Conn{"open": open, "fresh": fresh} {
		if status, err := answer(c, 5*time.Second); err != nil || status != 200 {
			t.Errorf("%s connection, mended: %d, %v, want the answer that was held", name, status, err)
		}
	}
}

// TestBlackholeStopsABody: a transfer stands still in the middle, and goes on.
func TestBlackholeStopsABody(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.set(Fault{CDN: "bravo", ThrottleBps: 20_000}) // 4096 bytes in 1.6 s
	response, err := r.client("127.0.0.1").Get(r.plain("127.0.20.1", "/probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read := make(chan int, 64)
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := response.Body.Read(buffer)
			read <- n
			if err != nil {
				return
			}
		}
	}()
	total := <-read
	r.set(Fault{CDN: "bravo", Blackhole: true})
	quiet := time.NewTimer(500 * time.Millisecond)
	for drained := false; !drained; {
		select {
		case n, more := <-read:
			if total += n; !more {
				t.Fatalf("the body ended, at %d bytes, in a black hole", total)
			}
			quiet.Reset(500 * time.Millisecond)
		case <-quiet.C:
			drained = true
		}
	}
	if total >= 4096 {
		t.Fatalf("all %d bytes came through a black hole", total)
	}
	r.set(Fault{CDN: "bravo", Clear: true})
	for n := range read {
		total += n
	}
	if total != 4096 {
		t.Errorf("%d bytes in all, want 4096", total)
	}
}

// TestBlackholeLetsGoOfClientsThatLeave: probes that time out must not leave a
// socket behind each, however long the fault lasts.
func TestBlackholeLetsGoOfClientsThatLeave(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.set(Fault{CDN: "alpha", Blackhole: true})
	for _, port := range []int{r.ports.http, r.ports.https} {
		var list []net.Conn
		for range 20 {
			c := dial(t, "127.0.0.1", "127.0.10.2", port)
			request(t, c) // on the HTTPS port: bytes that are no handshake, held as well
			list = append(list, c)
		}
		eventually(t, "20 relays hold them", func() bool { return r.relays() == 20 })
		for _, c := range list {
			c.Close()
		}
		eventually(t, "no relay is left", func() bool { return r.relays() == 0 })
	}
}

func TestSetFault(t *testing.T) {
	t.Parallel()
	w, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		set  Fault
		want []Fault
	}{
		{Fault{CDN: "alpha", Latency: time.Second}, []Fault{{CDN: "alpha", Latency: time.Second}}},
		{Fault{CDN: "alpha", ErrorRate: 0.5}, []Fault{{CDN: "alpha", Latency: time.Second, ErrorRate: 0.5}}},
		{Fault{CDN: "alpha", Clear: true, ThrottleBps: 9}, []Fault{{CDN: "alpha", ThrottleBps: 9}}},
		{Fault{CDN: "alpha", Clear: true}, []Fault{}},
		{Fault{CDN: "bravo", Region: "eu", Blackhole: true}, []Fault{{CDN: "bravo", Region: "eu", Blackhole: true}}},
		{Fault{CDN: "bravo", Region: Local, Latency: 1}, []Fault{{CDN: "bravo", Region: "eu", Blackhole: true}, {CDN: "bravo", Region: Local, Latency: 1}}},
		{Fault{CDN: "bravo", Clear: true}, []Fault{}},
		// Broken everywhere, then mended in one region: broken in the others.
		{Fault{CDN: "charlie", Blackhole: true}, []Fault{{CDN: "charlie", Blackhole: true}}},
		{Fault{CDN: "charlie", Region: "na", Clear: true}, []Fault{
			{CDN: "charlie", Region: "eu", Blackhole: true}, {CDN: "charlie", Region: "as", Blackhole: true},
			{CDN: "charlie", Region: "sa", Blackhole: true}, {CDN: "charlie", Region: Local, Blackhole: true}}},
	} {
		if err := w.SetFault(step.set); err != nil {
			t.Fatalf("SetFault(%+v) = %v", step.set, err)
		}
		if got := w.Faults(); !reflect.DeepEqual(got, step.want) {
			t.Errorf("after SetFault(%+v): Faults() = %+v, want %+v", step.set, got, step.want)
		}
	}
	for _, test := range []struct {
		fault Fault
		want  []string
	}{
		{Fault{CDN: "alpha"}, []string{"nothing to do to alpha"}},
		{Fault{CDN: "delta", Region: "mars", Clear: true}, []string{`no CDN "delta"`, `no region "mars"`, "alpha, bravo, charlie"}},
		{Fault{CDN: "alpha", ErrorRate: 1.5, Latency: -1, ThrottleBps: -1}, []string{"error rate 1.5", "latency -1ns", "throttle -1"}},
	} {
		err := w.SetFault(test.fault)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("SetFault(%+v) = %v, want %q in it", test.fault, err, want)
			}
		}
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	w, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method, body string
		status       int
		want         string
	}{
		{"GET", "", 200, `{"faults":[]}`},
		{"POST", `{"cdn":"alpha","region":"eu","latency":"300ms","throttle_bps":60000}`, 200,
			`{"faults":[{"cdn":"alpha","region":"eu","latency":"300ms","throttle_bps":60000}]}`},
		{"GET", "", 200, `{"faults":[{"cdn":"alpha","region":"eu","latency":"300ms","throttle_bps":60000}]}`},
		{"POST", `{"cdn":"alpha","latencies":"1s"}`, 400, "latencies"},
		{"POST", `{"cdn":"alpha","latency":"soon"}`, 400, "300ms"},
		{"POST", `{"cdn":"zeta","clear":true}`, 400, "want one of alpha, bravo, charlie"},
		{"POST", `[`, 400, "error"},
		{"POST", strings.Repeat(" ", 5000), 400, "too large"},
		{"POST", `{"cdn":"alpha","clear":true}`, 200, `{"faults":[]}`},
		{"DELETE", "", 405, "Method"},
	} {
		recorder := httptest.NewRecorder()
		w.Handler().ServeHTTP(recorder, httptest.NewRequest(test.method, "/demo/v1/faults", strings.NewReader(test.body)))
		if recorder.Code != test.status || !strings.Contains(recorder.Body.String(), test.want) {
			t.Errorf("%s %.70s = %d %s, want %d %s", test.method, test.body, recorder.Code, recorder.Body, test.status, test.want)
		}
	}
}

func TestFaultJSONGoesRound(t *testing.T) {
	t.Parallel()
	want := Fault{CDN: "alpha", Region: "sa", Latency: 1500 * time.Millisecond, ErrorRate: 0.25, Blackhole: true, ThrottleBps: 7, Clear: true}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Fault
	if err := json.Unmarshal(data, &got); err != nil || got != want {
		t.Errorf("Unmarshal(%s) = %+v, %v; want %+v", data, got, err, want)
	}
}

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"60kbps": 60_000, "1.5Mbps": 1_500_000, " 800bps": 800, "2Gbps": 2_000_000_000} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("ParseRate(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "bps", "60", "60k", "kbps", "-1bps", "0bps", "NaNbps", "9e99bps", "fastbps"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %d, want an error", text, got)
		}
	}
}

func dial(t *testing.T, from, to string, port int) net.Conn {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
	c, err := dialer.Dial("tcp", net.JoinHostPort(to, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func request(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "GET /live/main.m3u8 HTTP/1.1\r\nHost: eu.alpha.fairway.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

// answer reads one response to its end.
func answer(c net.Conn, within time.Duration) (status int, err error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}
