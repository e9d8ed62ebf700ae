package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fairway/cmd/fairway/localfleet"
	"fairway/steering/store/consultest"
	"fairway/tools/freeport"

	consul "github.com/hashicorp/consul/api"
	"github.com/klauspost/compress/zstd"
)

// TestSecretsStay plants a secret of every kind that a configuration can name, has a node
// with all roles use them, and looks for them where they must not be: in all that a real
// Consul holds, in the node's copy of it, in its log, in what the API exports, in a
// support bundle. The keys that the node makes itself for a signed zone are in Consul
// only sealed.
func TestSecretsStay(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	d, temp := newDoors(t), t.TempDir()
	secrets := make(map[string]string) // by what they are, as they lie in their files
	plant := func(name, secret string) {
		secrets[name] = secret
		if err := os.WriteFile(filepath.Join(temp, name), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"token", "control.token", "import.token", "import.password", "acme.secret", "dnssec.secret", "steering.secret"} {
		plant(name, rand.Text()+rand.Text())
	}
	plant("consul.token", "4711aaaa-bbbb-4ccc-8ddd-4711eeeeffff")
	plant("akamai.key", hex.EncodeToString([]byte(rand.Text())))
	plant("akamai.salt", hex.EncodeToString([]byte(rand.Text())))
	plant("tsig.secret", base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text())))
	plant("eab.key", base64.RawURLEncoding.EncodeToString([]byte(rand.Text()+rand.Text())))
	secrets["the environment"] = hex.EncodeToString([]byte(rand.Text()))
	t.Setenv("FAIRWAY_TEST_CDN_KEY", secrets["the environment"])
	if out, errs, code := run(t, temp, "cookies", "new", filepath.Join(temp, "cookies.secret")); code != 0 {
		t.Fatalf("cookies new: %s%s", out, errs)
	}
	authority, err := localfleet.NewAuthority()
	if err == nil {
		err = authority.Issue(temp, "go.video.example", netip.MustParseAddr("127.0.0.1"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cookies.secret", "node.key"} { // their first lines say what they are
		text, err := os.ReadFile(filepath.Join(temp, name))
		if err != nil {
			t.Fatal(err)
		}
		secrets[name] = strings.TrimSpace(strings.Split(string(text), "\n")[1])
	}
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1")) }
	config := write(t, temp, "fairway.yaml", fmt.Sprintf(`
listen: {dns: %q, dot: %q, http: %q, https: %q, api: %q}
zones:
  - {name: video.example, ns: [ns1.video.example], dnssec: {}, records: [{name: ns1, type: A, value: 192.0.2.53}], transfer: {allow: [{network: 192.0.2.54, key: ns2}]}}
tsig: {ns2: {secret_file: tsig.secret}}
dns: {cookies: {secret_file: cookies.secret}, tls: {certificate: node.pem, key: node.key}}
dnssec: {keys: store, secret_file: dnssec.secret}
http: {tls: {certificate: node.pem, key: node.key}, steering_secret_file: steering.secret}
acme: {directory: "https://127.0.0.1:1/directory", terms: accepted, names: [go.video.example], secret_file: acme.secret, eab: {key_id: one, key_file: eab.key}}
api: {token_file: token}
control: {addresses: ["http://%[5]s"], token_file: control.token}
store: {consul: {address: %[6]q, prefix: secrets, token_file: consul.token}}
imports:
  one: {prometheus: "http://127.0.0.1:1", token_file: import.token, signals: {errors: {query: up, provider: cdn}}}
  two: {prometheus: "http://127.0.0.1:1", user: fairway, password_file: import.password, signals: {faults: {query: up, provider: cdn}}}
providers:
  a: {token: {scheme: akamai, keys: [{id: one, file: akamai.key}, {id: two, env: FAIRWAY_TEST_CDN_KEY}], salt: {file: akamai.salt}}}
services: {live: {hostnames: [live.video.example], endpoints: [{provider: a, url: "https://a.example"}]}}
`, d.dns, address(), d.http, address(), d.api, server.Address))
	data := filepath.Join(temp, "data")
	node := start(t, temp, "run", "--config", config, "--data", data, "--log", "debug")
	d.token = secrets["token"]
	at := []string{"--api", "http://" + d.api, "--token-file", filepath.Join(temp, "token")}
	until(t, patience, "the node leads and takes an order", func() bool {
		_, _, code := run(t, temp, append([]string{"drain", "a", "--for", "1h", "--reason", "test"}, at...)...)
		return code == 0
	})
	var kept map[string]string
	until(t, patience, "the revision and the zone's keys are in Consul", func() bool {
		kept = consulDump(t, server.Address)
		all := ""
		for _, text := range kept {
			all += text
		}
		return strings.Contains(all, "secret_file: dnssec.secret") && strings.Contains(fmt.Sprint(kept), "values/dnssec/")
	})
	bundle := filepath.Join(temp, "bundle.tar.gz")
	if said, errs, code := run(t, temp, append([]string{"support-bundle", "--config", config, "--out", bundle}, at...)...); code != 0 {
		t.Fatalf("support-bundle: exit %d\n%s%s", code, said, errs)
	}
	for name, text := range unpacked(t, bundle) {
		kept["the bundle's "+name] = text
	}
	for _, args := range [][]string{{"status"}, {"revisions"}, {"explain", "--service", "live", "--client", "192.0.2.1"}} {
		said, errs, _ := run(t, temp, append(args, at...)...)
		kept["fairway "+args[0]] = said + errs
	}
	if code := node.stop(syscall.SIGTERM, patience); code != 0 {
		t.Errorf("the node ends with %d", code)
	}
	kept["the log"] = node.output.String()
	err = filepath.WalkDir(filepath.Join(data, "fleet"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		kept[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range kept {
		for what, secret := range secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
				if strings.Contains(text, form) {
					t.Errorf("%s holds the secret of %s", where, what)
				}
			}
		}
		if strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, "Private-key-format") {
			t.Errorf("%s holds a key in the clear", where)
		}
	}
}

// consulDump is all that a Consul holds, by its keys: as it is, and unpacked where it is
// packed.
func consulDump(t *testing.T, address string) map[string]string {
	t.Helper()
	client, err := consul.NewClient(&consul.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	pairs, _, err := client.KV().List("", nil)
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	kept := make(map[string]string)
	for _, p := range pairs {
		kept["Consul's key "+p.Key] = string(p.Value)
		if plain, err := decoder.DecodeAll(p.Value, nil); err == nil {
			kept["Consul's key "+p.Key+", unpacked"] = string(plain)
		}
	}
	return kept
}
