package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNewReportsEverything(t *testing.T) {
	_, err := New(Config{
		Listen: []string{"0.0.0.0:8400", "nonsense", "127.0.0.1:"},
		Token:  "", Extra: map[string]http.Handler{"/api/v1/status": nil, "demo": nil},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"no Control", `0.0.0.0:8400`, "127.0.0.1:8400", `"nonsense"`, "no port", `"/api/v1/status"`, `"demo"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("findings do not say %s:\n%v", want, err)
		}
	}
}

func TestListenBeyondLoopbackNeedsToken(t *testing.T) {
	for address, local := range map[string]bool{
		"127.0.0.1:8400": true, "127.9.9.9:8400": true, "[::1]:8400": true, "localhost:8400": true, "[::ffff:127.0.0.1]:8400": true,
		"0.0.0.0:8400": false, ":8400": false, "[::]:8400": false, "192.0.2.1:8400": false, "node.example:8400": false,
		"localhost.example:8400": false,
	} {
		_, err := New(Config{Listen: []string{address}, Control: &node{}})
		if (err == nil) != local {
			t.Errorf("without a token, %s: %v", address, err)
		}
		if err != nil && (!strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "token file")) {
			t.Errorf("%s: the error names no address or no remedy: %v", address, err)
		}
		if _, err := New(Config{Listen: []string{address}, Control: &node{}, Token: "secret"}); err != nil {
			t.Errorf("with a token, %s: %v", address, err)
		}
	}
	for _, token := range []string{"two words", "line\n", "ümlaut"} {
		if _, err := New(Config{Listen: []string{"127.0.0.1:0"}, Control: &node{}, Token: token}); err == nil {
			t.Errorf("token %q accepted", token)
		}
	}
}

func TestRunServesUntilTheContextEnds(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Listen = []string{"127.0.0.1:0", "[::1]:0"} })
	if got := f.Addrs(); len(got) != 0 {
		t.Errorf("bound before Listen: %v", got)
	}
	if err := f.Listen(); err != nil {
		t.Fatal(err)
	}
	addrs := f.Addrs()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	for _, addr := range addrs {
		r, err := http.Get("http://" + addr + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != http.StatusOK || string(body) != "ok\n" {
			t.Errorf("%s: %d %q", addr, r.StatusCode, body)
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Run did not return")
	}
	if _, err := net.Dial("tcp", addrs[0]); err == nil {
		t.Error("it still listens")
	}
}

func TestListenBindsAllOrNothing(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	f := newFixture(t, func(c *Config) { c.Listen = []string{"127.0.0.1:0", held.Addr().String()} })
	err = f.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), held.Addr().String()) {
		t.Errorf("Run on a held address: %v", err)
	}
	if got := f.Addrs(); len(got) != 0 {
		t.Errorf("bound: %v", got)
	}
}

// An oversized header must be refused by the server and leave the next client
// served, on a real socket.
func TestHostileConnections(t *testing.T) {
	f := newFixture(t, nil)
	if err := f.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go f.Run(ctx)
	addr := f.Addrs()[0]
	for name, row := range map[string]struct{ request, want string }{
		"garbage":       {"\x00\x01\x02\r\n\r\n", "HTTP/1.1 400"},
		"huge header":   {"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "HTTP/1.1 431"},
		"no host":       {"GET /api/v1/status HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
		"rebound":       {"GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "HTTP/1.1 421"},
		"double length": {"POST /api/v1/overrides HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 400"},
		"traversal":     {"GET /console/../api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 307"},
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		go io.WriteString(conn, row.request)
		reply := make([]byte, 12)
		if _, err := io.ReadFull(conn, reply); err != nil || !strings.HasPrefix(string(reply), row.want) {
			t.Errorf("%s: %q, %v, want %s", name, reply, err, row.want)
		}
		conn.Close()
	}
	r, err := http.Get("http://" + addr + "/api/v1/status")
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("afterwards: %v %v", r, err)
	}
	r.Body.Close()
}

func TestHealthAndReadiness(t *testing.T) {
	var ready error
	f := newFixture(t, func(c *Config) { c.Ready = func() error { return ready } })
	if w := f.ask("GET", "/readyz", ""); w.Code != http.StatusOK || w.Body.String() != "ok\n" {
		t.Errorf("ready: %d %q", w.Code, w.Body)
	}
	ready = errors.New("draining")
	if w := f.ask("GET", "/readyz", ""); w.Code != http.StatusServiceUnavailable || w.Body.String() != "draining\n" {
		t.Errorf("not ready: %d %q", w.Code, w.Body)
	}
	if w := f.ask("GET", "/healthz", ""); w.Code != http.StatusOK {
		t.Errorf("alive: %d", w.Code)
	}
}

func TestWrongPathsAndMethods(t *testing.T) {
	f := newFixture(t, nil)
	for _, path := range []string{"/api/v1/nope", "/api/", "/metrics", "/", "/nope", "/console/x"} {
		wantError(t, f.ask("GET", path, ""), http.StatusNotFound, "/api/v1/")
	}
	w := f.ask("PUT", "/api/v1/overrides", "{}")
	wantError(t, w, http.StatusMethodNotAllowed, "DELETE, GET, POST")
	if got := w.Header().Get("Allow"); !slices.Equal(strings.Split(got, ", "), []string{"DELETE", "GET", "POST"}) {
		t.Errorf("Allow: %q", got)
	}
	if w := f.ask("HEAD", "/api/v1/status", ""); w.Code != http.StatusOK {
		t.Errorf("HEAD: %d", w.Code)
	}
}
