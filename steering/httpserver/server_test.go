package httpserver

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
)

func TestNewFindsEverything(t *testing.T) {
	_, err := New(Config{
		Listen:         []string{"localhost", "127.0.0.1:99999", "example.com:80", "127.0.0.1:80", "127.0.0.1:80", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:"},
		TrustedProxies: []netip.Prefix{{}},
		ProxyProtocol:  []netip.Prefix{{}},
		Hosts:          []string{"https://x.example", "x.example:80", "", "ok.example"},
	})
	if err == nil {
		t.Fatal("New accepted it")
	}
	equal(t, "findings", strings.Split(err.Error(), "\n"), []string{
		`http door: no current snapshot to answer from`,
		`http door: listen "localhost": not host:port; write it as 127.0.0.1:8080, [::1]:8080 or :8080`,
		`http door: listen "127.0.0.1:99999": port "99999" is not within 0 to 65535`,
		`http door: listen "example.com:80": the host is not an address of this machine; write an IP address, or nothing for all`,
		`http door: listen "127.0.0.1:80": named twice; remove one`,
		`http door: listen "127.0.0.1:": port "" is not within 0 to 65535`,
		`http door: a trusted proxy prefix is empty or malformed; write it as 192.0.2.0/24 or 2001:db8::/32`,
		`http door: a prefix of those that send a PROXY header is empty or malformed; write it as 192.0.2.0/24 or 2001:db8::/32`,
		`http door: host "https://x.example" is not a name; leave out scheme, port and path`,
		`http door: host "x.example:80" is not a name; leave out scheme, port and path`,
		`http door: host "" is not a name; leave out scheme, port and path`,
	})
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "no address to listen on") {
		t.Errorf("New without an address: %v", err)
	}
}

func TestListenBindsAllOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	current, _ := steering.NewCurrent(nil)
	s, err := New(Config{Current: current, Listen: []string{"127.0.0.1:0", taken.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("Listen on a taken address: %v", err)
	}
	if got := s.Addrs(); got != nil {
		t.Errorf("Addrs after a failed Listen = %v", got)
	}
}

func TestSeveralListeners(t *testing.T) {
	current, _ := steering.NewCurrent(newSnapshot(t, 1))
	s, err := New(Config{Current: current, Listen: []string{"127.0.0.1:0", "127.0.0.2:0", "[::1]:0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	for _, addr := range s.Addrs() {
		r := running{addr: addr}
		if resp, _ := r.do(t, "GET", "/r/live/x"); resp.StatusCode != 302 {
			t.Errorf("%s: %d", addr, resp.StatusCode)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// On the end of ctx a request in flight is finished, idle and fresh connections
// are closed, and Run returns with all goroutines ended.
func TestDrain(t *testing.T) {
	release, inside := make(chan struct{}), make(chan struct{})
	var once sync.Once
	seen := &recorder{}
	seen.block = func() { once.Do(func() { close(inside) }); <-release }
	r := start(t, Config{Observer: seen}, func(s *Server) { s.limits.grace = 50 * time.Millisecond })

	dial := func(send string) net.Conn {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		_ = nc.SetDeadline(time.Now().Add(answerTime))
		if _, err := io.WriteString(nc, send); err != nil {
			t.Fatal(err)
		}
		return nc
	}
	idle := dial("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := idle.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	fresh, half := dial(""), dial("GET /r/live/x HT")
	inFlight := dial("GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-inside
	r.stop()
	for name, nc := range map[string]net.Conn{"idle": idle, "fresh": fresh, "half a request": half} {
		if answer, err := io.ReadAll(nc); isTimeout(err) || len(answer) > 0 {
			t.Errorf("%s: got %q, %v, want it closed", name, answer, err)
		}
	}
	select {
	case err := <-r.ended:
		t.Fatalf("Run returned %v while a request was in flight", err)
	default:
	}
	if nc, err := net.Dial("tcp", r.addr); err == nil {
		nc.Close()
		t.Error("new connections are accepted while draining")
	}
	close(release)
	answer, err := io.ReadAll(inFlight)
	if err != nil || status(string(answer)) != 302 || field(string(answer), "Connection") != "close" {
		t.Errorf("in flight: %q, %v; want 302 and Connection: close", answer, err)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	r.ended <- nil // for the clean-up
	if left := goroutines("httpserver.(*Server).Run", "net/http.(*conn).serve", "httpserver.(*Server).drain"); left != "" {
		t.Errorf("goroutines left:\n%s", left)
	}
}

// A request that never finishes does not hold the drain longer than the bound.
func TestDrainIsBounded(t *testing.T) {
	r := start(t, Config{}, func(s *Server) { s.limits.drain = 300 * time.Millisecond; s.limits.grace = time.Minute })
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r.do(t, "GET", "/") // the connection before it has been accepted
	began := time.Now()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	r.ended <- nil
	if took := time.Since(began); took < 250*time.Millisecond || took > 30*time.Second {
		t.Errorf("drain took %v, want about 300 ms, and not the minute of grace", took)
	}
}

func TestKeepAlive(t *testing.T) {
	r := start(t, Config{}, nil)
	answer := r.raw(t, strings.Repeat("GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 20)+
		"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", answerTime)
	if got := strings.Count(answer, "HTTP/1.1 302 Found"); got != 20 || !strings.Contains(answer, "HTTP/1.1 404") {
		t.Errorf("%d of 20 pipelined requests were redirected", got)
	}
}

// Publishing and reconfiguring under load: every answer is from the table.
func TestSwapsUnderLoad(t *testing.T) {
	r := start(t, Config{}, nil)
	generations := []*steering.Snapshot{newSnapshot(t, 8), newSnapshot(t, 9)}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				r.publish(generations[n%2])
				r.Reconfigure([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []string{"x.example"})
			}
		}
	})
	for range 300 {
		resp, _ := r.do(t, "GET", "/r/live/x", "X-Forwarded-For", "10.0.0.1")
		if location := resp.Header.Get("Location"); !inTable(r.snapshot, location) {
			t.Errorf("%d to %q", resp.StatusCode, location)
		}
	}
	close(stop)
	wg.Wait()
}

// goroutines returns the stacks that mention one of the names, giving the last
// of them a moment to end: a connection counts as ended in its last deferred
// call.
func goroutines(names ...string) string {
	var found string
	for limit := time.Now().Add(answerTime); ; time.Sleep(2 * time.Millisecond) {
		found = ""
		buf := make([]byte, 1<<20)
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			for _, name := range names {
				if strings.Contains(stack, name) {
					found += stack + "\n\n"
				}
			}
		}
		if found == "" || time.Now().After(limit) {
			return found
		}
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// recorded is a http.ResponseWriter that keeps the header and forgets the body.
type recorded struct {
	header http.Header
	status int
}

func record(do func(*recorded)) *recorded {
	w := &recorded{header: http.Header{}}
	do(w)
	return w
}

func (w *recorded) Header() http.Header         { return w.header }
func (w *recorded) Write(p []byte) (int, error) { return len(p), nil }
func (w *recorded) WriteHeader(status int)      { w.status = status }

func request(method, target string) *http.Request {
	r, err := http.NewRequest(method, target, nil)
	if err != nil {
		panic(err)
	}
	r.RequestURI, r.Host, r.RemoteAddr = target, "live.video.test", "10.1.2.3:4711"
	return r
}

func benchmark(b *testing.B, target string, want int) {
	current, _ := steering.NewCurrent(newSnapshot(b, 1))
	s, err := New(Config{Current: current, Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		b.Fatal(err)
	}
	h, w, r := s.Handler(), &recorded{header: http.Header{}}, request("GET", target)
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
	if w.status != want {
		b.Fatalf("status %d, want %d", w.status, want)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
}

func BenchmarkRedirect(b *testing.B) { benchmark(b, "/r/live/main.m3u8?token=abc", 302) }
func BenchmarkDecide(b *testing.B)   { benchmark(b, "/decide/v1/live?client=10.1.2.3", 200) }
