package httpserver

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

// Clients in 20.0.0.0/8 always get charlie, so the tables below name it.
var fromNA = Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

const (
	charlie  = "http://192.0.2.80:8081"
	naClient = "20.1.2.3"
)

func TestRedirect(t *testing.T) {
	r := start(t, fromNA, nil)
	for _, c := range []struct{ path, location string }{
		{"/r/live/main.m3u8", charlie + "/main.m3u8"},
		{"/r/live/a/b/c.ts", charlie + "/a/b/c.ts"},
		{"/r/live/a.ts?token=x%2Fy&b=c+d&&=", charlie + "/a.ts?token=x%2Fy&b=c+d&&="},
		{"/r/live/a.ts?u=https://evil.example/&x=%0d%0a", charlie + "/a.ts?u=https://evil.example/&x=%0d%0a"},
		{"/r/live/a.ts?", charlie + "/a.ts?"},
		{"/r/live/a.ts?a?b", charlie + "/a.ts?a?b"},
		{"/r/live/a%2Fb%2fc%20d%3Fe%23f.ts", charlie + "/a%2Fb%2fc%20d%3Fe%23f.ts"},
		{"/r/live/%E2%82%AC.ts", charlie + "/%E2%82%AC.ts"},
		{"/r/live/a;v=1/b,c=(d)!$&'*+:@~.ts", charlie + "/a;v=1/b,c=(d)!$&'*+:@~.ts"},
		{"/r/live", charlie + "/"},
		{"/r/live/", charlie + "/"},
		{"/r/live?x=1", charlie + "/?x=1"},
		{"/r/live//evil.example/x", charlie + "//evil.example/x"},
		{"/r/live/@evil.example/x", charlie + "/@evil.example/x"},
		{"/r/live/http://evil.example/x", charlie + "/http://evil.example/x"},
		{"/r/live/...", charlie + "/..."},
		{"/r/live/..a/.b/c..", charlie + "/..a/.b/c.."},
		{"/r/l%69ve/x", charlie + "/x"},
		{"/r/mixed/x?y", "https://bravo.cdn.test/m/x?y"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			resp, body := r.do(t, method, c.path, "X-Forwarded-For", naClient)
			if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || got != c.location {
				t.Errorf("%s %s: %d to %q, want 302 to %q", method, c.path, resp.StatusCode, got, c.location)
			}
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("%s %s: Cache-Control %q", method, c.path, got)
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("%s %s: Access-Control-Allow-Origin %q", method, c.path, got)
			}
			if want := map[string]string{"GET": "Found\n", "HEAD": ""}[method]; body != want {
				t.Errorf("%s %s: body %q, want %q", method, c.path, body, want)
			}
		}
	}
}

func TestRedirectEscapesBeyondASCII(t *testing.T) {
	r := start(t, fromNA, nil)
	answer := r.raw(t, "GET /r/live/\xe2\x82\xac?\xff HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: "+naClient+"\r\nConnection: close\r\n\r\n", answerTime)
	if got, want := field(answer, "Location"), charlie+"/%E2%82%AC?%FF"; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
}

func TestOtherAnswers(t *testing.T) {
	r := start(t, Config{}, nil)
	for _, c := range []struct {
		method, path string
		status       int
		header, want string
		body         string
	}{
		{"GET", "/", 404, "Content-Type", "text/plain; charset=utf-8", "nothing here; ask /r/{service}/{path} for a redirect, /steer/v1/{service}/hls or dash for a steering manifest, /manifest/v1/{service}/{path} for a playlist or an MPD, or /decide/v1/{service} for a decision\n"},
		{"GET", "/r", 404, "Location", "", notFound.message + "\n"},
		{"GET", "/R/live/x", 404, "Location", "", notFound.message + "\n"},
		{"GET", "/healthz", 404, "Location", "", notFound.message + "\n"},
		{"GET", "/decide/v2/live", 404, "Location", "", notFound.message + "\n"},
		{"GET", "/r/", 404, "Location", "", "no such service\n"},
		{"GET", "/r/nothere/x", 404, "Location", "", "no such service\n"},
		{"GET", "/r/live%2Fx", 404, "Location", "", "no such service\n"},
		{"GET", "/r/LIVE/x", 404, "Location", "", "no such service\n"},
		{"GET", "/decide/v1/nothere", 404, "Content-Type", "application/json", `{"error":"no such service"}` + "\n"},
		{"GET", "/decide/v1/live/x", 404, "Content-Type", "application/json", `{"error":"no such service"}` + "\n"},
		{"GET", "/r/dark/x", 503, "Retry-After", "20", "no endpoint of this service is available now\n"},
		{"GET", "/r/dark/x", 503, "Fairway-Reason", "all-down", "no endpoint of this service is available now\n"},
		{"HEAD", "/r/dark/x", 503, "Access-Control-Expose-Headers", "Retry-After, Fairway-Reason", ""},
		{"GET", "/r/plain/x", 503, "Retry-After", "30", "no endpoint of this service can be reached by HTTP\n"},
		{"POST", "/r/live/x", 405, "Allow", "GET, HEAD, OPTIONS", wrongMethod.message + "\n"},
		{"PUT", "/r/live/x", 405, "Allow", "GET, HEAD, OPTIONS", wrongMethod.message + "\n"},
		{"DELETE", "/decide/v1/live", 405, "Allow", "GET, HEAD, OPTIONS", `{"error":"` + wrongMethod.message + `"}` + "\n"},
		{"TRACE", "/r/live/x", 405, "Location", "", wrongMethod.message + "\n"},
		{"BREW", "/r/live/x", 405, "Location", "", wrongMethod.message + "\n"},
		{"OPTIONS", "/r/live/x", 204, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS", ""},
		{"OPTIONS", "/r/live/x", 204, "Access-Control-Max-Age", "86400", ""},
		{"OPTIONS", "/r/live/x", 204, "Location", "", ""},
		{"OPTIONS", "/decide/v1/live", 204, "Access-Control-Allow-Headers", "*, Content-Type, Range, Fairway-Session, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status", ""},
		{"OPTIONS", "/", 404, "Location", "", notFound.message + "\n"},
	} {
		resp, body := r.do(t, c.method, c.path)
		if got := resp.Header.Get(c.header); resp.StatusCode != c.status || got != c.want || body != c.body {
			t.Errorf("%s %s: %d, %s %q, body %q\nwant %d, %q, %q", c.method, c.path, resp.StatusCode, c.header, got, body, c.status, c.want, c.body)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: not open to other origins, or may be stored: %v", c.method, c.path, resp.Header)
		}
	}
}

// RFC 9110 §15.4.8: with 307 "the user agent MUST NOT change the request method". It is
// for the methods that a service allows, at its redirects and nowhere else, whatever the
// size of a body that is never read; Allow and preflights name them (§10.2.1).
func TestOtherMethods(t *testing.T) {
	r := start(t, fromNA, nil)
	r.snapshot.Layout.Services[r.snapshot.Layout.ByKey("live")].Service.Methods = []string{"POST", "PUT"}
	for _, c := range []struct {
		method, path string
		status       int
		header, want string
	}{
		{"POST", "/r/live/license?x=1", 307, "Location", charlie + "/license?x=1"},
		{"PUT", "/r/live/a.mp4", 307, "Location", charlie + "/a.mp4"},
		{"GET", "/r/live/a.mp4", 302, "Location", charlie + "/a.mp4"},
		{"HEAD", "/r/live/a.mp4", 302, "Location", charlie + "/a.mp4"},
		{"DELETE", "/r/live/a.mp4", 405, "Allow", "GET, HEAD, OPTIONS, POST, PUT"},
		{"POST", "/r/mixed/a.mp4", 405, "Allow", "GET, HEAD, OPTIONS"},
		{"POST", "/r/dark/a.mp4", 405, "Allow", "GET, HEAD, OPTIONS"},
		{"PUT", "/steer/v1/live/hls", 405, "Allow", "GET, HEAD, OPTIONS"},
		{"PUT", "/manifest/v1/live/a.m3u8", 405, "Allow", "GET, HEAD, OPTIONS"},
		{"POST", "/r/live/../x", 400, "Location", ""},
		{"OPTIONS", "/r/live/a.mp4", 204, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS, POST, PUT"},
		{"OPTIONS", "/r/mixed/a.mp4", 204, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"},
	} {
		resp, _ := r.do(t, c.method, c.path, "X-Forwarded-For", naClient)
		if got := resp.Header.Get(c.header); resp.StatusCode != c.status || got != c.want {
			t.Errorf("%s %s: %d, %s %q; want %d, %q", c.method, c.path, resp.StatusCode, c.header, got, c.status, c.want)
		}
	}
	// A client that waits for 100 Continue (§10.1.1) learns where to send it to first.
	answer := r.raw(t, "PUT /r/live/big.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000000\r\nExpect: 100-continue\r\n\r\n", 30*time.Second)
	if !strings.HasPrefix(answer, "HTTP/1.1 307 ") {
		t.Errorf("a large upload: %.80q", answer)
	}
}

func TestBeforeFirstSnapshot(t *testing.T) {
	r := start(t, Config{}, nil)
	r.publish(nil)
	for _, path := range []string{"/r/live/x", "/decide/v1/live"} {
		resp, _ := r.do(t, "GET", path, "Host", "live.video.test")
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("GET %s: %d, Retry-After %q; want 503, 1", path, resp.StatusCode, resp.Header.Get("Retry-After"))
		}
	}
	if got, want := r.Preview("live", netip.MustParseAddr(naClient)), "503 "+notReady.message; got != want {
		t.Errorf("Preview = %q, want %q", got, want)
	}
	r.publish(newSnapshot(t, 8))
	if resp, _ := r.do(t, "GET", "/r/live/x"); resp.StatusCode != 302 {
		t.Errorf("after the first snapshot: %d, want 302", resp.StatusCode)
	}
}

func TestSessionBeatsPrefix(t *testing.T) {
	r := start(t, Config{TrustedProxies: fromNA.TrustedProxies}, nil)
	seen := map[string]bool{}
	for _, client := range []string{"10.0.0.1", "10.7.1.1", "10.99.3.1", "10.200.4.1", "10.201.4.1", "10.202.4.1"} {
		plain, _ := r.do(t, "GET", "/r/live/x", "X-Forwarded-For", client)
		seen[plain.Header.Get("Location")] = true
		sticky, _ := r.do(t, "GET", "/r/live/x", "X-Forwarded-For", client, "Fairway-Session", "viewer-1")
		d := r.snapshot.Decide(steering.Query{Service: r.snapshot.Layout.ByKey("live"), Client: netip.MustParseAddr("10.0.0.1"), Session: "viewer-1"})
		first, _ := d.First()
		if got, want := sticky.Header.Get("Location"), first.Endpoint.URL+"/x"; got != want {
			t.Errorf("session viewer-1 from %s: %q, want %q", client, got, want)
		}
	}
	if len(seen) < 2 {
		t.Errorf("six prefixes all got %v: the test cannot tell prefix from session", seen)
	}
}

func TestPreviewIsTheAnswer(t *testing.T) {
	r := start(t, fromNA, nil)
	for _, c := range []struct{ service, client, want string }{
		{"live", naClient, "302 " + charlie + "/"},
		{"mixed", naClient, "302 https://bravo.cdn.test/m/"},
		{"dark", naClient, "503 no endpoint of this service is available now (all-down)"},
		{"nothere", naClient, "404 no such service"},
	} {
		if got := r.Preview(c.service, netip.MustParseAddr(c.client)); got != c.want {
			t.Errorf("Preview(%q, %s) = %q, want %q", c.service, c.client, got, c.want)
		}
		resp, _ := r.do(t, "GET", "/r/"+c.service, "X-Forwarded-For", c.client)
		if resp.StatusCode == 302 && "302 "+resp.Header.Get("Location") != c.want {
			t.Errorf("the door answers %s with %q, the preview says %q", c.client, resp.Header.Get("Location"), c.want)
		}
	}
}

func TestObserver(t *testing.T) {
	seen := &recorder{}
	r := start(t, Config{Observer: seen, TrustedProxies: fromNA.TrustedProxies}, nil)
	for _, path := range []string{"/r/live/x", "/decide/v1/live", "/r/dark/x", "/r/nothere/x", "/decide/v1/live?client=x", "/x", "/r/live/../x"} {
		r.do(t, "GET", path, "X-Forwarded-For", naClient)
	}
	r.Preview("live", netip.MustParseAddr(naClient))
	r.stop()
	if err := <-r.ended; err != nil { // an answer is counted after it is sent
		t.Error(err)
	}
	r.ended <- nil
	decided, answered := seen.seen()
	equal(t, "decided", decided, []string{"redirect live charlie", "decide live charlie", "redirect dark nothing"})
	equal(t, "answered", answered, []string{"redirect Found", "decide OK", "redirect Service Unavailable", "redirect Not Found",
		"decide Bad Request", "other Not Found", "redirect Bad Request"})
}
