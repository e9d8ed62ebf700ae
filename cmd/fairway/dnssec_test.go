package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"fairway/dnsserver/dnssec"
	"fairway/tools/freeport"
)

// TestDNSSEC: the node with the role control makes and replaces keys, the one with
// the role dns signs with them; the commands show and order it.
func TestDNSSEC(t *testing.T) {
	d, temp, data := newDoors(t), t.TempDir(), t.TempDir()
	config := filepath.Join(temp, "fairway.yaml")
	write(t, temp, "fairway.yaml", fmt.Sprintf(`
listen: {dns: %q, http: %q, api: %q}
drain: 0s
zones:
  - name: signed.example
    ns: [ns1.signed.example]
    dnssec: {keys: ksk-zsk, key_ttl: 1s, propagation: 0s}
    records: [{name: ns1, type: A, value: 127.0.0.1}]
providers: {alpha: {}}
services:
  live: {hostnames: [live.signed.example], endpoints: [{provider: alpha, host: live.alpha.example}]}
`, d.dns, d.http, d.api))
	start(t, temp, "run", "--config", config, "--data", data, "--role", "control")
	keys := filepath.Join(data, "dnssec", "signed.example.json")
	until(t, patience, "control makes the keys", func() bool {
		info, err := os.Stat(keys)
		return err == nil && info.Mode().Perm() == 0o600
	})
	api := fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1"))
	start(t, temp, "run", "--config", config, "--data", data, "--role", "dns", "--api", api)

	ask := func(name string, qtype uint16) *dns.Msg {
		request := new(dns.Msg)
		request.SetQuestion(name, qtype)
		request.SetEdns0(1232, true)
		client := dns.Client{Timeout: oneAnswer}
		reply, _, err := client.Exchange(request, d.dns)
		if err != nil {
			return new(dns.Msg)
		}
		return reply
	}
	dnskeys := func() (set []*dns.DNSKEY) {
		for _, rr := range ask("signed.example.", dns.TypeDNSKEY).Answer {
			if key, ok := rr.(*dns.DNSKEY); ok {
				set = append(set, key)
			}
		}
		return set
	}
	until(t, patience, "the door has the keys", func() bool { return len(dnskeys()) == 2 })
	signer := func() (tag uint16) {
		answer := ask("live.signed.example.", dns.TypeA).Answer
		if len(answer) != 2 {
			t.Fatalf("live: %v", answer)
		}
		sig := answer[1].(*dns.RRSIG)
		for _, key := range dnskeys() {
			if key.KeyTag() == sig.KeyTag && sig.Verify(key, answer[:1]) == nil {
				return sig.KeyTag
			}
		}
		t.Fatalf("no key verifies %v", answer)
		return 0
	}
	before := signer()

	fairway := func(want int, args ...string) string {
		t.Helper()
		out, errs, code := run(t, temp, append([]string{"dnssec"}, args...)...)
		if code != want {
			t.Errorf("fairway dnssec %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, errs)
		}
		return out + errs
	}
	at := "http://" + d.api
	printed := fairway(0, "ds", "signed.example", "--api", at)
	for _, key := range dnskeys() {
		if digest := strings.ToUpper(key.ToDS(dns.SHA256).Digest); strings.Contains(printed, digest) != (key.Flags&1 == 1) {
			t.Errorf("ds prints the DS of %v, or not that of the KSK:\n%s", key, printed)
		}
	}
	if out := fairway(1, "roll", "signed.example", "--ds-seen", "--api", at); !strings.Contains(out, "no DS may be at the parent yet") {
		t.Error(out)
	}
	if out := fairway(1, "roll", "signed.example", "--api", "http://"+api); !strings.Contains(out, "control") {
		t.Error(out)
	}
	if out := fairway(1, "status", "other.example", "--api", at); !strings.Contains(out, "signed.example.") {
		t.Error(out)
	}
	if out := fairway(0, "status", "signed.example", "--api", at); !strings.Contains(out, "ns1.signed.example. does not speak for the zone (RFC 9615): it lies in the zone itself") {
		t.Error(out)
	}
	if out := fairway(0, "roll", "signed.example", "--api", at); strings.Count(out, "zsk") < 2 {
		t.Error(out)
	}
	until(t, patience, "the new key signs at the door", func() bool { return signer() != before })
	var zones []dnssec.Status
	if err := json.Unmarshal([]byte(fairway(0, "status", "-o", "json", "--api", at)), &zones); err != nil || len(zones) != 1 || len(zones[0].Keys) != 3 {
		t.Errorf("%v: %+v", err, zones)
	}
}
