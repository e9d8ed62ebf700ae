package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fairway/steering/store/consultest"

	consul "github.com/hashicorp/consul/api"
	"github.com/klauspost/compress/zstd"
	"github.com/miekg/dns"
)

// TestDemoFleet: what `make fleet` starts is a fleet as in production. Its nodes know
// each other, its doors answer, its tokens may do what they are for, none of its
// secrets is in Consul or in a log, and Ctrl-C leaves nothing behind.
func TestDemoFleet(t *testing.T) {
	program, err := consultest.Program()
	if err != nil {
		t.Fatal(err)
	}
	temp, network := t.TempDir(), fmt.Sprintf("127.%d", 3+os.Getpid()%200)
	fleet := start(t, temp, "demo", "fleet", "--consul", program, "--network", network)
	until(t, 3*patience, "the fleet says what to type", func() bool { return strings.Contains(fleet.output.String(), "Ctrl-C ends everything.") })
	said := fleet.output.String()
	processes := regexp.MustCompile(`(?m)^(\S+-\d)  +(\d+)  `).FindAllStringSubmatch(said, -1)
	if len(processes) != 12 {
		t.Fatalf("%d processes are named, want 3 Consul servers and 9 nodes", len(processes))
	}
	folder := regexp.MustCompile(`Files: ([^;]+);`).FindStringSubmatch(said)[1]

	until(t, 3*patience, "all nodes are ready", func() bool {
		var table struct{ Nodes []fleetNode }
		out, _, _ := run(t, temp, "fleet", "-o", "json")
		if json.Unmarshal([]byte(out), &table) != nil || len(table.Nodes) != 9 {
			return false
		}
		for _, n := range table.Nodes {
			if n.Health != "ready" {
				return false
			}
		}
		return true
	})
	viewer := netip.MustParseAddr("5.9.0.1")
	d := &doors{t: t, dns: network + ".4.2" + fleetDNS, http: network + ".5.2" + fleetHTTP}
	until(t, patience, "the doors answer", func() bool {
		to, err := d.redirect("live", "main.m3u8", viewer)
		return err == nil && to != "" && strings.HasSuffix(d.cname("live.fairway.test.", viewer), ".fairway.test")
	})

	// The node that leads has made the zone's key; both DNS nodes sign with it.
	var keys [2]string
	until(t, patience, "both DNS nodes sign", func() bool {
		for i := range keys {
			q := new(dns.Msg).SetQuestion("fairway.test.", dns.TypeDNSKEY)
			q.SetEdns0(4096, true)
			reply, _, err := new(dns.Client).Exchange(q, fmt.Sprintf("%s.4.%d%s", network, i+1, fleetDNS))
			if err != nil || len(reply.Answer) != 2 { // the key and its signature
				return false
			}
			keys[i] = reply.Answer[0].String()
		}
		return keys[0] != "" && keys[0] == keys[1]
	})

	// What lies on a vantage reports for it, and gives no orders.
	_, errs, code := run(t, temp, "drain", "alpha", "--reason", "test", "--for", "1h", "--api", "https://"+network+".2.1"+fleetAPI,
		"--token-file", filepath.Join(folder, "vantage-1/etc/control-token"), "--ca-file", filepath.Join(folder, "shared/fleet-ca.pem"))
	if code == 0 || !strings.Contains(errs, "the token fra may measure; this needs operate") {
		t.Errorf("with a vantage's token, a drain: exit %d, %s", code, errs)
	}
	if out, errs, code := run(t, temp, "drain", "alpha", "--region", "eu", "--reason", "test", "--for", "1h"); code != 0 {
		t.Errorf("with the token of an admin, a drain: exit %d, %s%s", code, out, errs)
	}
	wantNoSecrets(t, folder, secretsBelow(t, folder), regexp.MustCompile(`CONSUL_HTTP_ADDR=http://(\S+) CONSUL_HTTP_TOKEN=(\S+)`).FindStringSubmatch(said)[1:])

	if code := fleet.stop(syscall.SIGINT, 2*patience); code != 0 {
		t.Errorf("exit %d after Ctrl-C", code)
	}
	for _, p := range processes {
		pid, _ := strconv.Atoi(p[2])
		if command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(command), folder) {
			t.Errorf("%s still runs", p[1])
		}
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// secretsBelow are the contents of all files with tokens and keys, by their names.
func secretsBelow(t *testing.T, folder string) map[string]string {
	t.Helper()
	secrets := make(map[string]string)
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		if err != nil || d.IsDir() || strings.HasPrefix(path, filepath.Join(folder, "consul")+"/") || !strings.HasSuffix(name, "token") && !strings.HasSuffix(name, ".key") && !strings.HasSuffix(name, ".secret") {
			return err
		}
		text, err := os.ReadFile(path)
		secret := strings.TrimSpace(string(text))
		if lines := strings.Split(secret, "\n"); len(lines) > 2 { // PEM: a line within tells it
			secret = lines[1]
		}
		secrets[path] = secret
		return err
	})
	if err != nil || len(secrets) < 20 {
		t.Fatalf("%d secrets found, %v; want a token for Consul, one for control and a key of each node", len(secrets), err)
	}
	return secrets
}

// wantNoSecrets looks for secrets in everything that Consul keeps, unpacked, and in
// what the processes logged.
func wantNoSecrets(t *testing.T, folder string, secrets map[string]string, at []string) {
	t.Helper()
	client, err := consul.NewClient(&consul.Config{Address: at[0], Token: at[1]})
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
	var all strings.Builder
	for _, p := range pairs {
		kept["Consul's key "+p.Key] = string(p.Value)
		if plain, err := decoder.DecodeAll(p.Value, nil); err == nil {
			kept["Consul's key "+p.Key+", unpacked"] = string(plain)
			all.Write(plain)
		}
	}
	for _, expected := range []string{"name: fairway.test", "scopes: [operate]"} { // so what is in force was read
		if !strings.Contains(all.String(), expected) {
			t.Errorf("%q is in none of %d keys, unpacked", expected, len(pairs))
		}
	}
	logs, _ := filepath.Glob(filepath.Join(folder, "log", "*.log"))
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		kept[log] = string(text)
	}
	for where, text := range kept {
		for file, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds the secret of %s", where, file)
			}
		}
	}
}
