package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fairway/tools/freeport"
)

// oneDecision is a configuration that divides clients by weights, so that it is the hash
// that decides; nothing is probed.
const oneDecision = `
listen: {dns: %q, http: %q, api: %q}
drain: 0s
http: {trusted_proxies: [127.0.0.0/8]}
api:
  token_file: admin.token
  tokens:
    reader: {sha256: "%x", scopes: [read]}
    vantage: {sha256: "%x", scopes: [measure]}
zones:
  - {name: video.test, ns: [ns1.video.test], records: [{name: ns1, type: A, value: 127.0.0.1}]}
regions:
  eu: {prefixes: [10.0.0.0/8, "2001:db8::/32"]}
  na: {prefixes: [20.0.0.0/8]}
providers: {alpha: {}, bravo: {}, charlie: {}, delta: {}}
services:
  live:
    hostnames: [live.video.test]
    policy: main
    manifest: {origins: [%q]}
    endpoints:
      - {provider: alpha, host: alpha.cdn.test, url: "https://alpha.cdn.test/live", pathway: alpha}
      - {provider: bravo, host: bravo.cdn.test, url: "https://bravo.cdn.test/live", pathway: bravo}
      - {provider: charlie, host: charlie.cdn.test, url: "https://charlie.cdn.test/live", pathway: charlie}
      - {provider: delta, host: delta.cdn.test, url: "https://delta.cdn.test/live", pathway: delta}
policies:
  main:
    rules:
      - {name: eu, when: client.region == "eu", split: weighted}
      - {name: na, when: client.region == "na", split: {weights: {alpha: 3, bravo: 1, charlie: 1}}}
      - {name: rest, split: {weights: {charlie: 1, delta: 4}}}
`

// TestOneDecision: all doors of two processes, one of which is not control, hand out one
// decision; and of how it came about they tell those alone who may read the API.
func TestOneDecision(t *testing.T) {
	const reader, vantage = "the-token-of-a-reader", "the-token-of-a-vantage"
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, map[string]string{
			"/main.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8\n", "/main.mpd": "<MPD>\n<Period/>\n</MPD>\n",
		}[r.URL.Path])
	}))
	defer origin.Close()
	d, temp, data := newDoors(t), t.TempDir(), t.TempDir()
	text := fmt.Sprintf(oneDecision, d.dns, d.http, d.api, sha256.Sum256([]byte(reader)), sha256.Sum256([]byte(vantage)), origin.URL)
	config := write(t, temp, "fairway.yaml", text)
	control := start(t, temp, "run", "--config", config, "--data", data, "--role", "control,dns,http")
	d.answering("live.video.test.", "live", patience)
	other := *d
	other.http = fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1"))
	door := start(t, temp, "run", "--config", config, "--data", data, "--role", "http", "--http", other.http,
		"--api", fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1")))
	until(t, patience, "the other HTTP door answers by the same generation", func() bool {
		here, err := d.decide("live", clientIn["eu"])
		there, failed := other.decide("live", clientIn["eu"])
		return err == nil && failed == nil && here.Generation == there.Generation
	})

	t.Run("doors", func(t *testing.T) { doorsAgree(t, d, &other) })

	admin, err := readToken(filepath.Join(temp, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("explanations", func(t *testing.T) {
		for token, want := range map[string]int{"": 401, "x": 401, admin: 200, reader: 200, vantage: 403} {
			if status, body := d.explained(t, token); status != want || strings.Contains(body, "explanation\":{") != (want == 200) {
				t.Errorf("with a token that gets %d: %d %s", want, status, body)
			}
		}
		if status, _ := other.explained(t, reader); status != 404 {
			t.Errorf("a node without control: %d, want 404", status)
		}
		// A token that is taken away is one no longer, without a restart.
		write(t, temp, "fairway.yaml", strings.Replace(text, fmt.Sprintf("%x", sha256.Sum256([]byte(reader))), strings.Repeat("0", 64), 1))
		until(t, patience, "the token is one no longer", func() bool { status, _ := d.explained(t, reader); return status == 401 })
	})
	for _, secret := range []string{admin, reader, vantage} {
		if strings.Contains(control.output.String()+door.output.String(), secret) {
			t.Error("a log has a token")
		}
	}
}

// explained asks how a decision came about.
func (d *doors) explained(t *testing.T, token string) (int, string) {
	t.Helper()
	q, _ := http.NewRequest(http.MethodGet, "http://"+d.http+"/decide/v1/live?client=10.0.0.1&explain", nil)
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := direct.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(body)
}

// doorsAgree asks every door of both processes for clients everywhere: without a session
// all begin with the same CDN for a network, with one all but DNS do.
func doorsAgree(t *testing.T, d, other *doors) {
	seen, moved := make(map[string]bool), 0
	for _, network := range []string{"10.1.2.0", "10.7.0.0", "20.1.2.0", "20.9.9.0", "192.0.2.0", "198.51.100.0", "2001:db8:1::", "2001:db8:2:300::", "2a00:1450:4001::", "133.11.1.0"} {
		client := netip.MustParseAddr(network).Next()
		neighbour := client.Next()
		without := strings.TrimSuffix(d.cname("live.video.test.", client), ".cdn.test")
		seen[without] = true
		for _, session := range []string{"", "viewer-1", "viewer-2"} {
			want := without
			if session != "" {
				want = d.first(t, client, session)["decide"]
				if want != without {
					moved++
				}
			}
			for _, of := range []*doors{d, other} {
				for door, first := range of.first(t, neighbour, session) {
					if first != want || first == "" {
						t.Errorf("client %v, session %q: %s at %s begins with %q, want %q", neighbour, session, door, of.http, first, want)
					}
				}
			}
		}
	}
	if len(seen) < 3 || moved == 0 {
		t.Errorf("only %v were handed out, and %d sessions were apart from their network: the test asks too little", seen, moved)
	}
}

var cdnIn = regexp.MustCompile(`https://(\w+)\.cdn\.test/`)

// first is the provider with which each way into the HTTP door begins.
func (d *doors) first(t *testing.T, client netip.Addr, session string) map[string]string {
	t.Helper()
	get := func(path string) (location, body string) {
		q, err := http.NewRequest(http.MethodGet, "http://"+d.http+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("X-Forwarded-For", client.String())
		q.Header.Set("Fairway-Session", session)
		r, err := direct.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.Header.Get("Location"), string(text)
	}
	host := func(text string) string {
		if m := cdnIn.FindStringSubmatch(text); m != nil {
			return m[1]
		}
		return text
	}
	first := make(map[string]string)
	location, _ := get("/r/live/main.m3u8")
	first["redirect"] = host(location)
	_, decision := get("/decide/v1/live?session=" + session)
	first["decide"] = host(decision)
	for _, file := range []string{"main.m3u8", "main.mpd"} {
		_, manifest := get("/manifest/v1/live/" + file + "?s=" + session)
		first[file] = host(manifest)
	}
	for _, protocol := range []string{"hls", "dash"} {
		_, body := get("/steer/v1/live/" + protocol + "?s=" + session)
		var poll struct {
			Pathways []string `json:"PATHWAY-PRIORITY"`
		}
		if err := json.Unmarshal([]byte(body), &poll); err != nil || len(poll.Pathways) == 0 {
			first["steer "+protocol] = body
			continue
		}
		first["steer "+protocol] = poll.Pathways[0]
	}
	return first
}
