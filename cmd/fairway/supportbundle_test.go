package main

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSupportBundle plants secrets wherever a node knows or shows them, and looks for
// them in a bundle, which has what helps all the same.
func TestSupportBundle(t *testing.T) {
	d, temp := newDoors(t), t.TempDir()
	secrets := map[string]string{
		"the API's token": "planted-api-token-7d1f", "a TSIG secret": "cGxhbnRlZC10c2lnLXNlY3JldA==", "a CDN's key": "706c616e7465642d63646e2d6b6579aa",
		"a header in a comment": "planted-basic-credential", "a word in a reason": "planted-reason-4711", "a URL's signature": "plantedsignature",
	}
	private := func(name, what string) {
		if err := os.WriteFile(filepath.Join(temp, name), []byte(secrets[what]+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	private("token", "the API's token")
	private("tsig.secret", "a TSIG secret")
	private("cdn.key", "a CDN's key")
	config := write(t, temp, "fairway.yaml", fmt.Sprintf(`# curl -H 'Authorization: Basic %s' https://a.example/?sig=%s
# The CDN's key is %s.
listen: {dns: %q, http: %q, api: %q}
api: {token_file: token}
tsig: {ns2: {algorithm: hmac-sha256, secret_file: tsig.secret}}
providers: {a: {token: {scheme: akamai, keys: [{id: one, file: cdn.key}]}}}
services: {live: {hostnames: [live.example], endpoints: [{provider: a, url: "https://a.example"}]}}
`, secrets["a header in a comment"], secrets["a URL's signature"], secrets["a CDN's key"], d.dns, d.http, d.api))
	start(t, temp, "run", "--config", config, "--data", filepath.Join(temp, "data"))
	d.token = secrets["the API's token"]
	at := []string{"--api", "http://" + d.api, "--token-file", filepath.Join(temp, "token")}
	until(t, patience, "the node takes an order", func() bool {
		_, _, code := run(t, temp, append([]string{"drain", "a", "--for", "1h", "--reason", "password: " + secrets["a word in a reason"]}, at...)...)
		return code == 0
	})
	out := filepath.Join(temp, "bundle.tar.gz")
	said, errs, code := run(t, temp, append([]string{"support-bundle", "--config", config, "--out", out}, at...)...)
	if code != 0 || !strings.Contains(said, "known secret: ") || strings.Contains(said, "Could not be had") {
		t.Fatalf("exit %d\n%s%s", code, said, errs)
	}
	files := unpacked(t, out)
	for name, wanted := range map[string]string{
		"README.txt": "Taken out", "status.json": `"services"`, "overrides.json": "[removed]", "overrides-log.json": `"a"`, "metrics.txt": "fairway_build_info", "goroutines.txt": "goroutine profile",
		"in-force/fairway.yaml": "live.example", "on-disk/fairway.yaml": "live.example", "program.txt": "fairway ", "fleet.json": `"nodes"`,
	} {
		if !strings.Contains(files[name], wanted) {
			t.Errorf("%s has no %q: %.500s", name, wanted, files[name])
		}
	}
	for name, text := range files {
		for what, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", name, what)
			}
		}
	}
	if _, _, code := run(t, temp, append([]string{"support-bundle", "--out", out}, at...)...); code == 0 {
		t.Error("a file that was there is written over")
	}
}

// unpacked are the files of an archive, by their names below its folder.
func unpacked(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		files[name] = string(text)
	}
}
