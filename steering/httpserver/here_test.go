package httpserver

import (
	"crypto/tls"
	"net/http"
	"testing"

	"fairway/steering"
)

// What players are told to ask again is where they have asked, by the scheme and the
// name that they used, whatever is in between (RFC 7239 §5.3, §5.4); and no request
// leads the next one to a stranger.
func TestHere(t *testing.T) {
	snapshot := newSnapshot(t, 1)
	trusting := newAccess(fromNA.TrustedProxies, []string{"go.video.test"})
	for _, c := range []struct {
		name   string
		peer   string
		tls    bool
		host   string
		header map[string]string
		door   string
		want   string
	}{
		{"plain", "127.0.0.1:1", false, "live.video.test:8080", nil, "", "http://live.video.test:8080"},
		{"TLS", "127.0.0.1:1", true, "live.video.test", nil, "", "https://live.video.test"},
		{"an address", "127.0.0.1:1", true, "[2001:db8::1]:8443", nil, "", "https://[2001:db8::1]:8443"},
		{"configured", "127.0.0.1:1", false, "127.0.0.1", nil, "https://go.video.test/a", "https://go.video.test/a"},
		{"behind a proxy that ends TLS", "127.0.0.1:1", false, "live.video.test", map[string]string{"X-Forwarded-Proto": "https"}, "", "https://live.video.test"},
		{"that asks by an address", "127.0.0.1:1", false, "10.0.0.1:8080", map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "go.video.test"}, "", "https://go.video.test"},
		{"that speaks RFC 7239", "127.0.0.1:1", false, "10.0.0.1:8080", map[string]string{"Forwarded": `for=192.0.2.1;proto=http, for=192.0.2.2;host="live.video.test:8443";proto=HTTPS`}, "", "https://live.video.test:8443"},
		{"that is not trusted", "192.0.2.9:1", false, "live.video.test", map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "go.video.test"}, "", "http://live.video.test"},
		{"a stranger's name", "127.0.0.1:1", false, "live.video.test", map[string]string{"X-Forwarded-Host": "evil.test"}, "", "http://live.video.test"},
		{"a stranger's address", "127.0.0.1:1", false, "live.video.test", map[string]string{"X-Forwarded-Host": "192.0.2.66"}, "", "http://live.video.test"},
		{"brackets around a name", "127.0.0.1:1", false, "live.video.test", map[string]string{"X-Forwarded-Host": "[live.video.test]"}, "", "http://live.video.test"},
		{"no URL's host", "127.0.0.1:1", false, "live.video.test", map[string]string{"X-Forwarded-Host": `live.video.test:80"/`}, "", "http://live.video.test"},
		{"another scheme", "127.0.0.1:1", false, "live.video.test", map[string]string{"X-Forwarded-Proto": "javascript"}, "", "http://live.video.test"},
		{"malformed", "127.0.0.1:1", false, "live.video.test", map[string]string{"Forwarded": `proto=https;host="`}, "", "http://live.video.test"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Host: c.host, Header: http.Header{}}
		for name, value := range c.header {
			r.Header.Set(name, value)
		}
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if got := here(trusting.visit(r), trusting, snapshot, &steering.Manifests{Door: c.door}); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
