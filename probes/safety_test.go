package probes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
	"fairway/steering/token"
)

// What is not public is not asked: as an address of the configuration, as one that
// a name has, as the goal of a redirect, and where a playlist leads.
func TestSafety(t *testing.T) {
	knocked := make(chan string, 100)
	inside := handle(t, listen(t, "127.0.0.99:0"), func(_ http.ResponseWriter, r *http.Request) { knocked <- r.URL.Path })
	outside := func(text string) netip.AddrPort {
		return handle(t, listen(t, "127.0.0.1:0"), func(w http.ResponseWriter, r *http.Request) {
			if text == "302" {
				http.Redirect(w, r, fmt.Sprintf("http://%s/latest/meta-data?key=hunter2", inside), http.StatusFound)
				return
			}
			fmt.Fprint(w, text)
		})
	}
	server, _ := resolver(t, func(name string, qtype uint16) ([]dns.RR, int) {
		if qtype != dns.TypeA {
			return nil, dns.RcodeSuccess
		}
		r, _ := dns.NewRR(name + " 1 IN A 127.0.0.99")
		return []dns.RR{r}, dns.RcodeSuccess
	})
	only := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	segments := fmt.Sprintf("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://%s/seg.ts\n", inside)
	tests := []struct {
		name   string
		at     netip.AddrPort
		kind   steering.ProbeType
		change func(*Target, *steering.Probe)
	}{
		{"address", inside, steering.ProbeHTTP, nil},
		{"TCP", inside, steering.ProbeTCP, nil},
		{"name", inside, steering.ProbeHTTP, func(target *Target, p *steering.Probe) { target.Host, p.Resolver = "rebound.example", server }},
		{"redirect", outside("302"), steering.ProbeHTTP, func(_ *Target, p *steering.Probe) { p.Redirects = 3 }},
		{"segment", outside(segments), steering.ProbeHLS, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := at(test.at, test.kind, test.change)
			a.probing.Allow = only
			m := measureOne(t, a)
			if m.Outcome != steering.OutcomeDenied || !strings.Contains(m.Detail, "127.0.0.99 is no public address") || strings.Contains(m.Detail, "hunter2") {
				t.Errorf("measured %s %q", m.Outcome, m.Detail)
			}
		})
	}
	if len(knocked) > 0 {
		t.Errorf("somebody inside was asked for %s", <-knocked)
	}
}

// Redirects are followed as far as the probe allows, with the right Host; the
// last response counts.
func TestRedirects(t *testing.T) {
	last := handle(t, listen(t, "127.0.0.2:0"), func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "here, "+r.Host) })
	server := handle(t, listen(t, "127.0.0.1:0"), func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/next?x=1", http.StatusTemporaryRedirect)
		case "/next":
			http.Redirect(w, r, "http://"+last.String()+"/", http.StatusFound)
		default:
			http.Redirect(w, r, "ftp://files.example/", http.StatusFound)
		}
	})
	for _, test := range []struct {
		allowed int
		path    string
		outcome steering.Outcome
		detail  string
	}{
		{2, "/", steering.OutcomeOK, ""},
		{1, "/", steering.OutcomeStatus, "got 302, want 200-299"},
		{9, "/ftp", steering.OutcomeStatus, `sent on to what is no plain http or https URL (scheme "ftp")`},
	} {
		m := measureOne(t, at(server, steering.ProbeHTTP, func(target *Target, p *steering.Probe) {
			target.Path, p.Redirects, p.BodyContains = test.path, test.allowed, "here, "+last.String()
		}))
		if m.Outcome != test.outcome || m.Detail != test.detail {
			t.Errorf("%d redirects from %s: %s %q, want %s %q", test.allowed, test.path, m.Outcome, m.Detail, test.outcome, test.detail)
		}
	}
}

// A provider's URLs are signed, in the query and in the path, and neither
// measurements nor logs hold a token. Without keys nothing is measured.
func TestSigned(t *testing.T) {
	const key = "52a152a152a152a152a152a152a1"
	for _, inPath := range []bool{false, true} {
		signer, err := token.New(token.Config{Scheme: token.Akamai, TTL: time.Minute, InPath: inPath, Keys: []token.Key{{ID: "a", Secret: []byte(key)}}})
		if err != nil {
			t.Fatal(err)
		}
		sign := func(provider, url string) (string, error) {
			if provider != "bravo" {
				return "", errors.New("no keys of " + provider)
			}
			return signer.Sign(token.Request{URL: url}, time.Now())
		}
		var asked atomic.Int32
		s := newStream()
		server := handle(t, listen(t, "127.0.0.1:0"), func(w http.ResponseWriter, r *http.Request) {
			uri, _ := url.PathUnescape(r.URL.RequestURI())
			if strings.Count(uri, "hdnts=exp=") != 1 || strings.Count(uri, "~acl=/x/*~hmac=") != 1 || strings.HasPrefix(uri, "/hdnts=") != inPath {
				http.Error(w, "not a token in "+uri, http.StatusForbidden)
				return
			}
			asked.Add(1)
			s.ServeHTTP(w, r)
		})
		var log bytes.Buffer
		p := newProber(8, slog.New(slog.NewTextHandler(&log, nil)))
		for _, kind := range []steering.ProbeType{steering.ProbeHTTP, steering.ProbeHLS} {
			for provider, want := range map[string]int{"bravo": 200, "": 403, "charlie": 0} {
				a := at(server, kind, func(target *Target, _ *steering.Probe) { target.Path, target.Provider = "/x/media.m3u8", provider })
				a.signer = sign
				batch := p.probe(t.Context(), a)
				text, err := json.Marshal(batch)
				if err != nil || strings.Contains(string(text), "hmac") {
					t.Errorf("%s %v", text, err)
				}
				if got := len(batch); got != min(want, 1) || got > 0 && batch[0].Status != want {
					t.Errorf("in the path %t, %s of provider %q: %s", inPath, kind, provider, text)
				}
			}
		}
		// The page, the playlist and the segment.
		if asked.Load() != 3 || strings.Contains(log.String(), "hmac") || !strings.Contains(log.String(), "no keys of charlie") {
			t.Errorf("%d requests with a token, log:\n%s", asked.Load(), log.String())
		}
	}
}

// What a CDN says of its cache, as RFC 9211 §2 has it and as it was said before.
func TestCache(t *testing.T) {
	tests := []struct {
		name, value string
		want        steering.Cache
	}{
		{"Cache-Status", `ExampleCache; hit`, steering.CacheHit},
		{"Cache-Status", `OriginCache; hit; ttl=1100, "CDN Company Here"; fwd=uri-miss`, steering.CacheHit},
		{"Cache-Status", `ExampleCache; fwd=uri-miss; stored; detail=hit`, steering.CacheMiss},
		{"Cache-Status", `"Edge, the first; hit"; fwd=stale; detail="a; hit"`, steering.CacheMiss},
		{"Cache-Status", `Edge; hit=?0; fwd=miss`, steering.CacheMiss},
		{"Cache-Status", `Edge; hit; fwd="`, ""},
		{"X-Cache", "Hit from cloudfront", steering.CacheHit},
		{"X-Cache", "MISS, MISS", steering.CacheMiss},
		{"X-Cache", "TCP_MEM_HIT from a1-2-3-4.deploy.akamaitechnologies.com", steering.CacheHit},
		{"Cf-Cache-Status", "EXPIRED", steering.CacheMiss},
		{"Cf-Cache-Status", "DYNAMIC", ""},
		{"Server", "hit", ""},
	}
	for _, test := range tests {
		if got := cacheOf(http.Header{test.name: {test.value}}); got != test.want {
			t.Errorf("%s: %s gives %q, want %q", test.name, test.value, got, test.want)
		}
	}
}
