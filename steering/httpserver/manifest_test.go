package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"fairway/steering"
)

// texts is an origin's manifests by path.
type texts struct {
	mu    sync.Mutex
	has   map[string]string
	asked []string
}

type notFoundError struct{}

func (notFoundError) Error() string  { return "none" }
func (notFoundError) NotFound() bool { return true }

func (o *texts) fetch(_ context.Context, _ *steering.Manifests, path string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, path)
	name, _, _ := strings.Cut(path, "?")
	text, ok := o.has[name]
	switch {
	case !ok:
		return "", notFoundError{}
	case text == "dead":
		return "", errors.New("no origin answers")
	}
	return text, nil
}

func newTexts() *texts {
	return &texts{has: map[string]string{
		"a/main.m3u8":  "#EXTM3U\n#EXT-X-UNKNOWN:x=\"1\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8\n",
		"a/main.mpd":   "<MPD>\n<!-- kept -->\n<Period/>\n</MPD>\n",
		"a/media.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n",
		"dead.m3u8":    "dead",
	}}
}

// startManifests runs a server whose services have manifests.
func startManifests(t *testing.T, o *texts, change func(*steering.Manifests)) *running {
	c := fromNA
	c.Fetch = o.fetch
	r := start(t, c, nil)
	for _, sl := range r.snapshot.Layout.Services {
		m := &steering.Manifests{Origins: []string{"https://origin.test"}, Query: []string{"lang"}}
		if change != nil {
			change(m)
		}
		sl.Service.Manifests = m
	}
	return r
}

func TestManifestHLS(t *testing.T) {
	r := startManifests(t, newTexts(), nil)
	resp, body := r.do(t, "GET", "/manifest/v1/live/a/main.m3u8?s=viewer%201&lang=de&CMCD=x", "X-Forwarded-For", naClient)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/vnd.apple.mpegurl" ||
		resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v\n%s", resp.StatusCode, resp.Header, body)
	}
	last := 0
	for _, want := range []string{
		`#EXT-X-CONTENT-STEERING:SERVER-URI="http://` + r.addr + `/steer/v1/live/hls?s=viewer+1",PATHWAY-ID="C"`,
		"#EXT-X-UNKNOWN:x=\"1\"\n",
		"\n" + charlie + "/a/v1.m3u8\n",
		"\nhttps://bravo.cdn.test:8443/live/a/v1.m3u8\n",
		"\nhttps://alpha.cdn.test/live/a/v1.m3u8\n", // down: declared all the same, last
	} {
		at := strings.Index(body, want)
		if at < last {
			t.Errorf("%q is missing, or too early:\n%s", want, body)
		}
		last = max(at, 0)
	}
}

func TestManifestDASH(t *testing.T) {
	r := startManifests(t, newTexts(), func(m *steering.Manifests) {
		m.Door, m.CMCD = "https://go.test", &steering.CMCD{Version: 1, Keys: []string{"br", "sid"}}
	})
	resp, body := r.do(t, "GET", "/manifest/v1/live/a/main.mpd?s=v1", "X-Forwarded-For", naClient)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/dash+xml" {
		t.Fatalf("%d %v\n%s", resp.StatusCode, resp.Header, body)
	}
	for _, want := range []string{
		`<BaseURL serviceLocation="C">` + charlie + `/a/</BaseURL>`,
		`queryBeforeStart="true">https://go.test/steer/v1/live/dash?s=v1</ContentSteering>`,
		`<CMCDParameters schemeIdUri="urn:mpeg:dash:cta-5004:2023" version="1" mode="query" includeInRequests="segment" keys="br sid" sessionID="v1"/>`,
		"<!-- kept -->",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}

func TestManifestRefusals(t *testing.T) {
	o := newTexts()
	r := startManifests(t, o, nil)
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/manifest/v1/live/none.m3u8", 404, noSuchText.message},
		{"/manifest/v1/live/a/segment.ts", 404, noFormat.message},
		{"/manifest/v1/live", 404, noFormat.message},
		{"/manifest/v1/nothere/a/main.m3u8", 404, noService.message},
		{"/manifest/v1/live/a/media.m3u8", 502, "line 2: a media playlist"},
		{"/manifest/v1/live/dead.m3u8", 502, noOrigin.message},
		{"/manifest/v1/dark/a/main.m3u8", 503, "no endpoint"},
		{"/manifest/v1/live/../a/main.m3u8", 400, "leaves"},
		{"/manifest/v1/live/%2e%2e/main.m3u8", 400, "leaves"},
		{"/manifest/v1/live/a/main.m3u8?s=%zz", 400, "malformed"},
	} {
		resp, body := r.do(t, "GET", c.path)
		if resp.StatusCode != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s: %d %s, want %d %s", c.path, resp.StatusCode, body, c.status, c.body)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if got := fmt.Sprint(o.asked); got != "[none.m3u8 a/media.m3u8 dead.m3u8]" {
		t.Errorf("the origins were asked for %s", got)
	}
}

// Where the configuration says so, what cannot be made steerable comes from the CDN.
func TestManifestRedirects(t *testing.T) {
	r := startManifests(t, newTexts(), func(m *steering.Manifests) { m.Redirect = true })
	for path, want := range map[string]string{
		"/manifest/v1/live/a/media.m3u8?x=1": charlie + "/a/media.m3u8?x=1",
		"/manifest/v1/live/dead.m3u8":        charlie + "/dead.m3u8",
	} {
		resp, _ := r.do(t, "GET", path, "X-Forwarded-For", naClient)
		if resp.StatusCode != 302 || resp.Header.Get("Location") != want {
			t.Errorf("%s: %d %s, want %s", path, resp.StatusCode, resp.Header.Get("Location"), want)
		}
	}
}

// Where the configuration says so, everything behind a manifest is asked of the
// redirect door, by the name that the player knows it by, and nothing is to be steered.
func TestManifestLeadsToRedirects(t *testing.T) {
	r := startManifests(t, newTexts(), func(m *steering.Manifests) { m.Redirected, m.Unsteered = true, true })
	for path, want := range map[string]string{
		"/manifest/v1/live/a/main.m3u8": "\nhttp://" + r.addr + "/r/live/a/v1.m3u8\n",
		"/manifest/v1/live/a/main.mpd":  `<BaseURL serviceLocation="redirect">http://` + r.addr + `/r/live/a/</BaseURL>`,
	} {
		resp, body := r.do(t, "GET", path, "X-Forwarded-For", naClient)
		if resp.StatusCode != 200 || !strings.Contains(body, want) || strings.Contains(body, "cdn.test") || strings.Contains(body, "/steer/") {
			t.Errorf("%s: %d, want %s\n%s", path, resp.StatusCode, want, body)
		}
	}
	resp, _ := r.do(t, "GET", "/r/live/a/seg1.m4s", "X-Forwarded-For", naClient)
	if to := resp.Header.Get("Location"); to != charlie+"/a/seg1.m4s" {
		t.Errorf("a segment is redirected to %q", to)
	}
}

// The origin gets the parameters that are named, and no others.
func TestManifestQuery(t *testing.T) {
	o := newTexts()
	r := startManifests(t, o, nil)
	r.do(t, "GET", "/manifest/v1/live/a/main.m3u8?x=1&lang=de%26&s=1")
	r.do(t, "GET", "/manifest/v1/live/a/main.m3u8?x=1")
	o.mu.Lock()
	defer o.mu.Unlock()
	if got := fmt.Sprint(o.asked); got != "[a/main.m3u8?lang=de%26 a/main.m3u8]" {
		t.Errorf("the origin was asked for %s", got)
	}
}

// Redirect, manifest, steering manifest and decision agree on the first pathway,
// without a session and with one.
func TestManifestAgrees(t *testing.T) {
	c := newTexts()
	r := startManifests(t, c, nil)
	firsts := map[string]bool{}
	for i := range 60 {
		client := fmt.Sprintf("10.%d.1.1", i)
		session := ""
		if i%2 == 1 {
			session = fmt.Sprintf("viewer-%d", i)
		}
		get := func(path, parameter string) string {
			if session != "" {
				path += "?" + parameter + "=" + session
			}
			resp, body := r.do(t, "GET", path, "X-Forwarded-For", client, sessionHeader, session)
			if path[:3] == "/r/" {
				return resp.Header.Get("Location")
			}
			return body
		}
		var decided struct {
			Endpoints []struct{ URL, Pathway string }
		}
		var steered struct {
			Priority []string `json:"PATHWAY-PRIORITY"`
		}
		if err := errors.Join(json.Unmarshal([]byte(get("/decide/v1/live", "session")), &decided), json.Unmarshal([]byte(get("/steer/v1/live/hls", "s")), &steered)); err != nil {
			t.Fatal(err)
		}
		first := decided.Endpoints[0]
		firsts[first.Pathway] = true
		if got := get("/r/live/a", "x"); !strings.HasPrefix(got, first.URL+"/a") {
			t.Errorf("%s %s: redirected to %s, decided %s", client, session, got, first.URL)
		}
		if steered.Priority[0] != first.Pathway {
			t.Errorf("%s %s: steered to %s, decided %s", client, session, steered.Priority[0], first.Pathway)
		}
		for _, path := range []string{"/manifest/v1/live/a/main.m3u8", "/manifest/v1/live/a/main.mpd"} {
			body := get(path, "s")
			if !strings.Contains(body, `PATHWAY-ID="`+first.Pathway+"\"\n") && !strings.Contains(body, `defaultServiceLocation="`+first.Pathway+`"`) {
				t.Errorf("%s %s: decided %s, the manifest begins otherwise:\n%s", client, session, first.Pathway, body)
			}
		}
	}
	if len(firsts) < 3 {
		t.Errorf("only %v were ever first: the test shows little", firsts)
	}
}

// RFC 7239 §5.4: a trusted proxy tells the scheme; nobody else can.
func TestManifestDoor(t *testing.T) {
	r := startManifests(t, newTexts(), nil)
	for proto, want := range map[string]string{"https": `"https://live.video.test/steer`, "http": `"http://live.video.test/steer`, "javascript": `"http://live.video.test/steer`} {
		_, body := r.do(t, "GET", "/manifest/v1/live/a/main.m3u8", "X-Forwarded-Proto", proto, "Host", "live.video.test")
		if !strings.Contains(body, want) {
			t.Errorf("%s: no %s in\n%s", proto, want, body)
		}
	}
	if resp, _ := r.do(t, "GET", "/manifest/v1/live/a/main.m3u8", "Host", `[fe80::1%25"]`); resp.StatusCode == 200 {
		t.Error("a Host that is no URI's host was taken")
	}
}

// marking is a Signer that marks what it signs.
type marking struct{ fails string }

func (m marking) Sign(e *steering.Endpoint, url string, _ netip.Addr, session string) (string, error) {
	if e.Provider == m.fails {
		return "", errors.New("no key")
	}
	return url + "?token=" + e.Provider + session, nil
}

// Tokens are on redirects and on every pathway's URIs; without one nobody is sent
// to a CDN that would not let them in.
func TestTokens(t *testing.T) {
	c := fromNA
	c.Fetch = newTexts().fetch
	for _, fails := range []string{"", "charlie"} {
		c.Signer = marking{fails}
		r := start(t, c, nil)
		for _, sl := range r.snapshot.Layout.Services {
			sl.Service.Manifests = &steering.Manifests{}
		}
		redirect, _ := r.do(t, "GET", "/r/live/x.m3u8", "X-Forwarded-For", naClient, sessionHeader, "s1")
		manifest, body := r.do(t, "GET", "/manifest/v1/live/a/main.m3u8?s=s1", "X-Forwarded-For", naClient)
		if fails != "" {
			if redirect.StatusCode != 503 || redirect.Header.Get("Location") != "" || manifest.StatusCode != 502 {
				t.Errorf("without a key: %d to %q, manifest %d", redirect.StatusCode, redirect.Header.Get("Location"), manifest.StatusCode)
			}
			continue
		}
		if got, want := redirect.Header.Get("Location"), charlie+"/x.m3u8?token=charlies1"; got != want {
			t.Errorf("redirected to %s, want %s", got, want)
		}
		for _, want := range []string{charlie + "/a/v1.m3u8?token=charlies1\n", "https://alpha.cdn.test/live/a/v1.m3u8?token=alphas1\n"} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s in\n%s", want, body)
			}
		}
	}
}
