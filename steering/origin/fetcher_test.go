package origin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// site is an origin that can be changed while it runs.
type site struct {
	url    string
	asked  atomic.Int64
	handle atomic.Pointer[http.HandlerFunc]
}

func newSite(t *testing.T, handle http.HandlerFunc) *site {
	s := &site{}
	s.handle.Store(&handle)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		(*s.handle.Load())(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *site) become(handle http.HandlerFunc) { s.handle.Store(&handle) }

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
}

func fails(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func newFetcher(t *testing.T) *Fetcher {
	f := New(Config{})
	t.Cleanup(f.Close)
	return f
}

func request(path string, origins ...*site) Request {
	r := Request{Path: path, Fresh: time.Hour, Stale: time.Hour, Timeout: 30 * time.Second}
	for _, o := range origins {
		r.Origins = append(r.Origins, o.url)
	}
	return r
}

func get(t *testing.T, f *Fetcher, r Request, want string) {
	t.Helper()
	if text, err := f.Get(t.Context(), r); err != nil || text != want {
		t.Errorf("%s: %q, %v; want %q", r.Path, text, err, want)
	}
}

// RFC 9111 §4: what is fresh is used without asking, and a failing origin is left
// for the next.
func TestFailoverAndCache(t *testing.T) {
	a, b := newSite(t, fails(503)), newSite(t, says("from b"))
	f := newFetcher(t)
	get(t, f, request("live/main.m3u8", a, b), "from b")
	get(t, f, request("live/main.m3u8", a, b), "from b")
	if a.asked.Load() != 1 || b.asked.Load() != 1 {
		t.Errorf("asked a %d and b %d times, want once each", a.asked.Load(), b.asked.Load())
	}
	// The origin that failed just now is asked after the others.
	get(t, f, request("live/other.m3u8", a, b), "from b")
	if a.asked.Load() != 1 {
		t.Errorf("a was asked again while b answers")
	}
}

// A hanging origin costs its timeout, not the answer.
func TestHangingOrigin(t *testing.T) {
	over := make(chan struct{})
	a, b := newSite(t, func(http.ResponseWriter, *http.Request) { <-over }), newSite(t, says("from b"))
	defer close(over)
	r := request("main.mpd", a, b)
	f := newFetcher(t)
	r.Timeout = time.Second
	get(t, f, r, "from b")
}

// RFC 5861 §4 (stale-if-error): "the cached stale response MAY be used to satisfy
// the request" when the origin answers 500, 502, 503 or 504, or not at all.
func TestStaleWhileNoOriginAnswers(t *testing.T) {
	a := newSite(t, says("old"))
	f := newFetcher(t)
	r := request("main.mpd", a)
	get(t, f, r, "old")
	a.become(fails(500))
	r.Fresh = 0
	get(t, f, r, "old")
	if _, err := f.Get(t.Context(), Request{Origins: r.Origins, Path: r.Path, Timeout: r.Timeout}); err == nil {
		t.Error("served beyond its time")
	}
	a.become(says("new"))
	for deadline := time.Now().Add(30 * time.Second); ; {
		text, err := f.Get(t.Context(), r)
		if text == "new" {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("after the origin came back: %q, %v", text, err)
		}
	}
}

// What an origin says it does not have is no failure of the origin, and is not
// answered from an old copy.
func TestMissing(t *testing.T) {
	a, b := newSite(t, fails(404)), newSite(t, says("from b"))
	f := newFetcher(t)
	for _, path := range []string{"none.m3u8", "none2.m3u8"} {
		_, err := f.Get(t.Context(), request(path, a, b))
		var missing *Error
		if !errors.As(err, &missing) || !missing.NotFound() {
			t.Errorf("%s: %v, want not found", path, err)
		}
	}
	if a.asked.Load() != 2 || b.asked.Load() != 0 {
		t.Errorf("asked a %d and b %d times, want 2 and 0", a.asked.Load(), b.asked.Load())
	}
	// Asked again at once, the failure is remembered.
	_, _ = f.Get(t.Context(), request("none.m3u8", a, b))
	_, _ = f.Get(t.Context(), request("none.m3u8", a, b))
	if n := a.asked.Load(); n > 3 {
		t.Errorf("a missing text was asked for %d times", n)
	}
}

// RFC 9110 §13.1.2: with If-None-Match the origin need not send what we have.
func TestRevalidation(t *testing.T) {
	a := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte("text"))
	})
	f := newFetcher(t)
	r := request("main.mpd", a)
	get(t, f, r, "text")
	r.Fresh = 0
	get(t, f, r, "text")
	if a.asked.Load() != 2 {
		t.Errorf("asked %d times, want 2", a.asked.Load())
	}
}

// All who ask at once share one fetch, and one who leaves does not end it.
func TestSingleFlight(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	a := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-answer
		_, _ = w.Write([]byte("text"))
	})
	f := newFetcher(t)
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := f.Get(leaving, request("main.mpd", a))
		left <- err
	}()
	<-arrived
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { get(t, f, request("main.mpd", a), "text") })
	}
	close(answer)
	all.Wait()
	if a.asked.Load() != 1 {
		t.Errorf("asked %d times, want once", a.asked.Load())
	}
}

// A redirect leads to the origins and nowhere else.
func TestRedirects(t *testing.T) {
	b := newSite(t, says("from b"))
	outside := newSite(t, says("secret"))
	a := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"/in": b.url + "/x", "/out": outside.url + "/x", "/round": "/round", "/scheme": "file:///etc/passwd"}[r.URL.Path]
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	})
	b.become(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/x" {
			w.WriteHeader(500)
			return
		}
		_, _ = w.Write([]byte("from b"))
	})
	f := newFetcher(t)
	get(t, f, request("in", a, b), "from b")
	for _, path := range []string{"out", "round", "scheme"} {
		if text, err := f.Get(t.Context(), request(path, a, b)); err == nil {
			t.Errorf("%s: got %q", path, text)
		}
	}
	if outside.asked.Load() != 0 {
		t.Error("a host that the configuration does not name was asked")
	}
}

// A name must not lead to this machine, its link or the cloud's metadata.
func TestRefusedAddresses(t *testing.T) {
	for _, at := range []string{"127.0.0.1:80", "[::1]:80", "169.254.169.254:80", "[fe80::1]:80", "[fd00:ec2::254]:80", "224.0.0.1:80", "0.0.0.0:80", "[::ffff:127.0.0.1]:80"} {
		if refuseLocal("origin.example", at) == nil {
			t.Errorf("%s is allowed behind a name", at)
		}
	}
	for _, at := range []string{"192.0.2.1:443", "10.0.0.1:80", "[2001:db8::1]:443"} {
		if err := refuseLocal("origin.example", at); err != nil {
			t.Error(err)
		}
	}
}

// A path cannot change the host that is asked.
func TestPathStaysOnItsHost(t *testing.T) {
	a := newSite(t, says("ok"))
	f := newFetcher(t)
	for _, path := range []string{"@evil.example/x", "//evil.example/x", "..//evil.example", "?x", "x?http://evil.example"} {
		if _, err := f.Get(t.Context(), request(path, a)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestBounds(t *testing.T) {
	a := newSite(t, says(strings.Repeat("x", mostBytes+1)))
	f := newFetcher(t)
	if _, err := f.Get(t.Context(), request("big", a)); err == nil {
		t.Error("a text beyond the bound was taken")
	}
	c := newCache()
	big := strings.Repeat("x", 1<<20)
	for i := range 200 {
		c.put(strings.Repeat("k", i+1), &entry{text: big})
	}
	if c.memory > mostMemory || c.recent.Len() != len(c.byKey) || c.get("k") != nil {
		t.Errorf("%d bytes in %d entries", c.memory, c.recent.Len())
	}
	for i := range 3 * mostEntries {
		c.put(strings.Repeat("k", i%5000), &entry{})
	}
	if c.recent.Len() > mostEntries {
		t.Errorf("%d entries", c.recent.Len())
	}
}
