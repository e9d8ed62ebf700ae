package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestShapes: what has the shape of a secret is taken out without being known, and
// what only looks similar stays.
func TestShapes(t *testing.T) {
	const secret = "Zm9vYmFyYmF6cXV4"
	for _, text := range []string{
		"headers: {Authorization: Bearer " + secret + "}",
		"  Authorization: \"Basic " + secret + "\"\n",
		`{"authorization":"` + secret + `"}`,
		`log="{\"password\":\"` + secret + `\"}"`,
		"X-Api-Key: " + secret,
		"Cookie: session=" + secret + "\n",
		"consul: http://ops:" + secret + "@10.0.0.1:8500",
		"url: https://cdn.example/a.m3u8?x=1&hdnts=" + secret,
		"url: 'https://cdn.example/a.m3u8?X-Amz-Signature=" + secret + "&y=2'",
		"GET /x?Key-Pair-Id=1&Signature=" + secret + " HTTP/1.1",
		"db_password = " + secret,
		"eyJhbGciOiJIUzI1NiJ9." + secret + "." + secret,
		"-----BEGIN EC PRIVATE KEY-----\n" + secret + "\n-----END EC PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\n" + secret + "\nthe rest is missing",
	} {
		if clean := NewRedactor(nil).Text(text); strings.Contains(clean, secret) || !strings.Contains(clean, removed) {
			t.Errorf("%q became %q", text, clean)
		}
	}
	for _, text := range []string{
		"token_file: /var/lib/fairway/token\n", "score: 0.5 * latency", "url: https://cdn.example/a.m3u8?session=4&client=192.0.2.1",
		"dnssec: {keys: store, secret_file: keys.secret}", "fairway_node_load_ratio 0.5", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
		"reason: the basic rate is too low",
	} {
		if clean := NewRedactor(nil).Text(text); clean != text {
			t.Errorf("%q became %q", text, clean)
		}
	}
}

// TestKnown: a known secret goes in every form that programs write it in.
func TestKnown(t *testing.T) {
	const secret = "pass/word+\"quoted\" 4711"
	r := NewRedactor([]string{secret + "\n", "ab", "", "first line of a key\nsecond line of a key\n"})
	for _, form := range []string{
		secret, fmt.Sprintf("%q", secret), "pass%2Fword%2B%22quoted%22+4711", hex.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)), "second line of a key",
	} {
		if clean := r.Text("x=" + form + ";"); strings.Contains(clean, "4711") || !strings.Contains(clean, removed) {
			t.Errorf("%s became %s", form, clean)
		}
	}
	if clean := r.Text("about"); clean != "about" {
		t.Errorf("a secret of two letters made %q of about", clean)
	}
}

// TestBundle: no secret is in an archive, be it in a text, a name or an error; what
// is missing is told; no name leaves the folder.
func TestBundle(t *testing.T) {
	const secret = "correct horse battery"
	b := New(NewRedactor([]string{secret}), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	b.Add("status.json", `{"x":"`+secret+`"}`)
	b.Add("../../"+secret+".txt", "fine")
	b.Miss("fleet.json", errors.New("GET /?token="+secret))
	var packed bytes.Buffer
	if err := b.Write(&packed, "bundle"); err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		if strings.Contains(header.Name+string(text), secret) {
			t.Errorf("%s holds the secret: %s", header.Name, text)
		}
		if header.Name == "bundle/README.txt" && (!strings.Contains(string(text), "known secret: 3") || !strings.Contains(string(text), "fleet.json: GET")) {
			t.Errorf("README.txt does not say what was taken out or what is missing:\n%s", text)
		}
	}
	if got, want := strings.Join(names, " "), "bundle/README.txt bundle/[removed].txt bundle/status.json"; got != want {
		t.Errorf("in it: %s, want %s", got, want)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("Authorization: Bearer abcdefghijkl", "abcdefghijkl")
	f.Fuzz(func(t *testing.T, text, secret string) {
		secret = strings.TrimSpace(secret)
		if len(secret) < shortest || strings.Contains(removed, secret) {
			return
		}
		clean := NewRedactor([]string{secret}).Text(text + secret)
		if strings.Contains(strings.ReplaceAll(clean, removed, "\x00"), secret) && !strings.Contains(secret, "\x00") {
			t.Errorf("%q is still in %q", secret, clean)
		}
	})
}
