package httpserver

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairway/steering"
)

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestDecide(t *testing.T) {
	r := start(t, Config{}, nil)
	resp, body := r.do(t, "GET", "/decide/v1/live?client="+naClient)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" ||
		resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("status %d, header %v", resp.StatusCode, resp.Header)
	}
	const rule = " (rule default, live.yaml:41)"
	var got any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	endpoint := func(provider, url string, weight float64, reason string) any {
		return map[string]any{
			"id": "live/" + provider + "/main", "provider": provider, "pool": "main", "host": provider + ".cdn.test",
			"url": url, "pathway": strings.ToUpper(provider[:1]), "weight": weight, "reason": reason + rule,
		}
	}
	equal(t, body, got, any(map[string]any{
		"service": "live", "region": "na", "generation": 7.0, "ttl": 20.0, "scope": 8.0, "reason": "best: score 0.91" + rule,
		"endpoints": []any{
			endpoint("charlie", charlie, 1, "best: score 0.91"),
			endpoint("bravo", "https://bravo.cdn.test:8443/live", 0, "worse"),
			endpoint("alpha", "https://alpha.cdn.test/live", 0, "down"),
		},
	}))
}

func TestDecideParameters(t *testing.T) {
	r := start(t, fromNA, nil)
	for _, c := range []struct {
		query  string
		status int
		region string // or the beginning of the error
	}{
		{"", 200, "na"}, // the request's own client
		{"?client=10.1.2.3", 200, "eu"},
		{"?client=10.0.0.0/8", 200, "eu"},
		{"?client=10.1.2.3/24", 200, "eu"},
		{"?client=2001:db8::1", 200, "eu"},
		{"?client=2001:db8::/48", 200, "eu"},
		{"?client=2001%3Adb8%3A%3A1", 200, "eu"},
		{"?client=::ffff:10.1.2.3", 200, "eu"},
		{"?client=::ffff:10.1.2.0/120", 200, "eu"},
		{"?client=192.0.2.1", 200, "default"},
		{"?client=10.1.2.3&client=20.1.2.3", 200, "eu"},
		{"?session=a&other=b", 200, "na"},
		{"?client=", 400, "client is neither"},
		{"?client=10.1.2", 400, "client is neither"},
		{"?client=10.1.2.3/33", 400, "client is neither"},
		{"?client=10.1.2.3:80", 400, "client is neither"},
		{"?client=fe80::1%25eth0", 400, "client is neither"},
		{"?client=fe80::1%25eth0/64", 400, "client is neither"},
		{"?client=evil.example", 400, "client is neither"},
		{"?client=%00", 400, "client is neither"},
		{"?client=%zz", 400, "the query string is malformed"},
		{"?client=10.1.2.3;x", 400, "the query string is malformed"},
	} {
		resp, body := r.do(t, "GET", "/decide/v1/live"+c.query, "X-Forwarded-For", naClient)
		var got struct{ Region, Error string }
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Errorf("%s: %v in %q", c.query, err, body)
		}
		if resp.StatusCode != c.status || (got.Region != c.region && (got.Error == "" || !strings.HasPrefix(got.Error, c.region))) {
			t.Errorf("%s: %d %s, want %d %q", c.query, resp.StatusCode, body, c.status, c.region)
		}
		if resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: Content-Type %q", c.query, resp.Header.Get("Content-Type"))
		}
	}
}

func TestDecideNothing(t *testing.T) {
	r := start(t, Config{}, nil)
	resp, body := r.do(t, "GET", "/decide/v1/dark?client=10.0.0.1")
	var got decisionBody
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "20" || resp.Header.Get("Fairway-Reason") != "all-down" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if got.Reason != "all-down: none (rule default, live.yaml:41)" || got.Error == "" || len(got.Endpoints) != 1 || got.Endpoints[0].Weight != 0 {
		t.Errorf("body %s", body)
	}
}

func TestDecideKeepsEndpointsWithoutURL(t *testing.T) {
	r := start(t, Config{}, nil)
	_, body := r.do(t, "GET", "/decide/v1/mixed?client=10.0.0.1")
	if want := `"provider":"addresses","pool":"main","host":"addresses.cdn.test","url":""`; !strings.Contains(body, want) {
		t.Errorf("%s\nlacks %s", body, want)
	}
}

// All doors agree: the redirect's endpoint is decide's first, which is what
// Decide itself says.
func TestAgreement(t *testing.T) {
	r := start(t, fromNA, nil)
	random := rand.New(rand.NewPCG(1, 2))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	get := func(path, from string) (*http.Response, []byte) {
		req, _ := http.NewRequest("GET", "http://"+r.addr+path, nil)
		req.Header.Set("X-Forwarded-For", from)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, body
	}
	live := r.snapshot.Layout.ByKey("live")
	firsts := map[string]int{}
	for range 2000 {
		addr := randomAddr(random)
		session, query := "", ""
		if random.IntN(4) == 0 {
			session = fmt.Sprint(random.Uint64())
			query = "&session=" + session
		}
		redirected, _ := get("/r/live/x", addr.String())
		_, body := get("/decide/v1/live?client="+addr.String(), "192.0.2.1")
		var decided decisionBody
		if err := json.Unmarshal(body, &decided); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		d := r.snapshot.Decide(steering.Query{Service: live, Client: addr})
		first, _ := d.First()
		if got := redirected.Header.Get("Location"); got != first.Endpoint.URL+"/x" || decided.Endpoints[0].ID != first.Endpoint.ID {
			t.Fatalf("client %s: redirect to %q, decide says %s, Decide says %s", addr, got, decided.Endpoints[0].ID, first.Endpoint.ID)
		}
		firsts[first.Endpoint.Provider]++
		if session != "" {
			_, body := get("/decide/v1/live?client="+addr.String()+query, "192.0.2.1")
			d := r.snapshot.Decide(steering.Query{Service: live, Client: addr, Session: session})
			first, _ := d.First()
			if err := json.Unmarshal(body, &decided); err != nil || decided.Endpoints[0].ID != first.Endpoint.ID {
				t.Fatalf("client %s session %s: decide says %s, Decide says %s", addr, session, decided.Endpoints[0].ID, first.Endpoint.ID)
			}
		}
	}
	if len(firsts) != 3 {
		t.Errorf("2,000 clients only saw %v", firsts)
	}
}

func randomAddr(random *rand.Rand) netip.Addr {
	switch random.IntN(4) {
	case 0:
		return netip.AddrFrom4([4]byte{20, byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
	case 1:
		b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
		for i := 4; i < 16; i++ {
			b[i] = byte(random.Uint32())
		}
		return netip.AddrFrom16(b)
	}
	// 127.0.0.0/8 is the trusted proxy's.
	return netip.AddrFrom4([4]byte{byte(1 + random.IntN(126)), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
}
