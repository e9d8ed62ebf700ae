package main

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"fairway/steering"
)

const tokenConfig = `
providers:
  a: {token: {scheme: akamai, ttl: 1h, keys: [{file: a.key}]}}
  b: {token: {scheme: cloudflare, keys: [{env: FAIRWAY_TEST_KEY}]}}
  c: {}
services:
  live:
    endpoints:
      - {provider: a, url: "https://a.example", pathway: A}
      - {provider: b, url: "https://b.example", pathway: B}
      - {provider: c, url: "https://c.example", pathway: C}
`

// Keys come from files and variables; without one its provider has no tokens, the
// check says so, and nothing that is said holds a secret.
func TestSigners(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	folder := t.TempDir()
	config, key := write(t, folder, "fairway.yaml", tokenConfig), write(t, folder, "a.key", secret+"\n")
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAIRWAY_TEST_KEY", secret)
	sign := func() (made, told string) {
		c, findings, err := loadFiles(config)
		if err != nil {
			t.Fatal(err)
		}
		s := newSigners()
		if err := s.set(c, nil); err != nil {
			told = err.Error()
		}
		for _, e := range c.Revision.Services[0].Endpoints {
			url, err := s.Sign(e, e.URL+"/x/main.m3u8", netip.Addr{}, "")
			made += url + "\n"
			if err != nil {
				told += err.Error()
			}
		}
		for _, f := range findings {
			told += f.String()
		}
		return made, told
	}
	made, told := sign()
	if !strings.Contains(made, "https://a.example/x/main.m3u8?hdnts=exp=") || !strings.Contains(made, "~acl=/x/*~hmac=") ||
		!strings.Contains(made, "https://b.example/x/main.m3u8?verify=") || !strings.HasSuffix(made, "\nhttps://c.example/x/main.m3u8\n") {
		t.Errorf("made %s", made)
	}
	t.Setenv("FAIRWAY_TEST_KEY", "")
	write(t, folder, "a.key", secret+"X")
	made, broken := sign()
	if !strings.Contains(broken, "hexadecimal") || !strings.Contains(broken, "FAIRWAY_TEST_KEY") || made != "\n\nhttps://c.example/x/main.m3u8\n" {
		t.Errorf("made %q, told %s", made, broken)
	}
	if strings.Contains(made+told+broken, secret) {
		t.Errorf("a secret is told:\n%s%s%s", made, told, broken)
	}
}

// A key that others may read is refused, like any secret.
func TestSignersRefuseOpenKeys(t *testing.T) {
	folder := t.TempDir()
	key := write(t, folder, "a.key", "00")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readKey(steering.TokenKey{File: key}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%v", err)
	}
}
