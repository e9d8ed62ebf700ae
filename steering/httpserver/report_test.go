package httpserver

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
)

// listener is a Players that writes down what it hears.
type listener struct {
	mu    sync.Mutex
	heard []string
}

func (l *listener) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, fmt.Sprintf(format, args...))
}

func (l *listener) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.heard)
}

func (l *listener) Events(s *steering.Snapshot, service int, client netip.Addr, query string, body []byte) int {
	l.note("events %s %s %s %s", s.Layout.Revision.Services[service].Key, client, query, body)
	return http.StatusNoContent
}

func (l *listener) Beacon(s *steering.Snapshot, service int, client netip.Addr, query string, body []byte) int {
	l.note("beacon %s %s", s.Layout.Revision.Services[service].Key, body)
	if string(body) == "bad" {
		return http.StatusBadRequest
	}
	return http.StatusNoContent
}

func (l *listener) Requested(_ *steering.Snapshot, _ int, e *steering.Endpoint, client netip.Addr, query string, header http.Header) {
	l.note("requested %s %s %s", e.Provider, query, header.Get("CMCD-Request"))
}

func (l *listener) Polled(_ *steering.Snapshot, _ int, _ netip.Addr, session, told string, failed bool, used []string, throughputs []float64) {
	l.note("polled %s told %s failed %v used %v %v", session, told, failed, used, throughputs)
}

// TestReports: what is posted is heard, as browsers and apps post it; what may not
// be posted is told why.
func TestReports(t *testing.T) {
	players := &listener{}
	r := start(t, Config{Players: players}, nil)
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		method, path, kind, body string
		status                   int
		heard                    string
	}{
		{"POST", "/cmcd/v2/live?x=1", "application/cmcd", "e=t,ts=1\n", 204, "events live 127.0.0.1 ?x=1 e=t,ts=1\n"},
		{"POST", "/cmcd/v2/live", "text/cmcd; charset=utf-8", "e=t", 204, "events live 127.0.0.1  e=t"},
		{"POST", "/cmcd/v2/live", "", "e=t", 204, "events live 127.0.0.1  e=t"},
		{"POST", "/cmcd/v2/live", "application/cmcd", "", 204, "events live 127.0.0.1  "},
		{"POST", "/cmcd/v2/live", "application/json", "{}", 415, ""},
		{"POST", "/cmcd/v2/nothing", "application/cmcd", "e=t", 404, ""},
		{"GET", "/cmcd/v2/live", "", "", 405, ""},
		{"POST", "/cmcd/v2/live", "application/cmcd", strings.Repeat("x", reportLimit+1), 413, ""},
		{"POST", "/beacon/v1/live", "application/json", `{}`, 204, "beacon live {}"},
		{"POST", "/beacon/v1/live", "text/plain", `{}`, 204, "beacon live {}"},
		{"POST", "/beacon/v1/live", "application/json", `bad`, 400, "beacon live bad"},
		{"POST", "/r/live/x", "application/json", `{}`, 405, ""},
	} {
		before := len(players.all())
		req, err := http.NewRequest(c.method, "http://"+r.addr+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.kind != "" {
			req.Header.Set("Content-Type", c.kind)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", c.method, c.path, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s %s %s: %d %v, want %d", c.method, c.path, c.kind, resp.StatusCode, resp.Header, c.status)
		}
		if c.status == 405 && strings.HasPrefix(c.path, "/cmcd") && resp.Header.Get("Allow") != "POST, OPTIONS" {
			t.Errorf("Allow is %q", resp.Header.Get("Allow"))
		}
		heard := strings.Join(players.all()[before:], "|")
		if heard != c.heard {
			t.Errorf("%s %s %s: heard %q, want %q", c.method, c.path, c.kind, heard, c.heard)
		}
	}
}

// TestReportPreflight: CTA-5004-B's media type is none that browsers send without
// asking (Fetch §4.8), so they ask.
func TestReportPreflight(t *testing.T) {
	r := start(t, Config{Players: &listener{}}, nil)
	resp, _ := r.do(t, "OPTIONS", "/cmcd/v2/live", "Origin", "https://player.test", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
	h := resp.Header
	if resp.StatusCode != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") ||
		!strings.Contains(strings.ToLower(h.Get("Access-Control-Allow-Headers")), "content-type") || h.Get("Access-Control-Max-Age") == "" {
		t.Errorf("%d %v", resp.StatusCode, h)
	}
}

// TestReportKeepsConnection: players report every few seconds; one whose body was
// read to its end may go on, one that never sends its body is not waited for.
func TestReportKeepsConnection(t *testing.T) {
	players := &listener{}
	r := start(t, Config{Players: players}, func(s *Server) { s.limits.header = 2 * time.Second })
	post := "POST /cmcd/v2/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\ne=t"
	answer := r.raw(t, post+post+"POST /cmcd/v2/live HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ne=t\r\n0\r\n\r\n"+
		"POST /cmcd/v2/live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\ne=t", 30*time.Second)
	if strings.Count(answer, "204 No Content") != 3 || strings.Count(answer, "400 Bad Request") != 1 || len(players.all()) != 3 {
		t.Errorf("%s\nheard %d", answer, len(players.all()))
	}
}

// TestNoPlayers: where nobody listens there is nothing to post to.
func TestNoPlayers(t *testing.T) {
	r := start(t, Config{}, nil)
	resp, err := http.Post("http://"+r.addr+"/cmcd/v2/live", "application/cmcd", bytes.NewReader([]byte("e=t")))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Errorf("%d", resp.StatusCode)
	}
}

// TestOverheard: redirects and polls say what players say beside.
func TestOverheard(t *testing.T) {
	players := &listener{}
	r := start(t, Config{Players: players}, nil)
	resp, _ := r.do(t, "GET", "/r/live/x.m4s?CMCD=mtp%3D1", "CMCD-Request", "mtp=2")
	if heard := players.all(); len(heard) != 1 || !strings.Contains(heard[0], "?CMCD=mtp%3D1 mtp=2") || !strings.Contains(resp.Header.Get("Location"), strings.Fields(heard[0])[1]+".cdn.test") && !strings.Contains(resp.Header.Get("Location"), "192.0.2.80") {
		t.Errorf("%v, redirected to %s", heard, resp.Header.Get("Location"))
	}
	r.do(t, "GET", "/r/dark/x?CMCD=mtp%3D1")
	s := r.Server
	ask := func(uri string) string {
		req := &http.Request{Method: "GET", RequestURI: uri, Host: "127.0.0.1", RemoteAddr: "10.1.2.3:4", Header: http.Header{}}
		tt, _ := parseTarget(req)
		a := s.route(nil, req, tt)
		return between(string(a.json), `"RELOAD-URI":"http://127.0.0.1`, `"`)
	}
	before := len(players.all())
	reload := ask("/steer/v1/live/dash?s=me")
	ask(reload + "&_DASH_pathway=%22Z,Y%22&_DASH_throughput=5000,")
	heard := players.all()[before:]
	if len(heard) != 1 || !strings.Contains(heard[0], "failed true used [Z Y] [5000 0]") || !strings.HasPrefix(heard[0], "polled me told ") {
		t.Errorf("%v", heard)
	}
}

func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return strings.ReplaceAll(text, `\u0026`, "&")
}
