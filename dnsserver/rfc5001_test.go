package dnsserver

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func nsidIn(m *dns.Msg) (nsid string, there bool) {
	for _, o := range m.IsEdns0().Option {
		if n, ok := o.(*dns.EDNS0_NSID); ok {
			data, _ := hex.DecodeString(n.Nsid)
			return string(data), true
		}
	}
	return "", false
}

// RFC 5001 §2.1: a server that understands the option answers it, and "MUST ignore
// any NSID payload data that might be present in the query message"; §2.2: it
// "MUST NOT send an NSID option in response to a query that did not have one". One
// without an identity does as if it did not know it (§2.2).
func TestRFC5001(t *testing.T) {
	s, _ := newServer(t, func(c *Config) { c.NSID = []byte("fra-1") })
	address, _ := start(t, s)
	for _, name := range []string{"live.fairway.test.", "x.wild.fairway.test.", "example.com.", "txt.big.test."} {
		for _, payload := range []string{"", "who are you?"} {
			got := ask(t, address, transportUDP, query(name, dns.TypeA, withOption(dns.EDNS0NSID, []byte(payload)...)))
			if nsid, there := nsidIn(got); !there || nsid != "fra-1" {
				t.Errorf("%s: NSID %q", name, nsid)
			}
		}
		if nsid, there := nsidIn(ask(t, address, transportUDP, query(name, dns.TypeA, withEDNS(1232)))); there {
			t.Errorf("%s: unasked for: NSID %q", name, nsid)
		}
	}
	nameless, _ := newServer(t)
	address, _ = start(t, nameless)
	if nsid, there := nsidIn(ask(t, address, transportUDP, query("live.fairway.test.", dns.TypeA, withOption(dns.EDNS0NSID)))); there {
		t.Errorf("no identity: NSID %q", nsid)
	}
}

// The longest identity leaves room for every other option and the longest name
// within the 512 octets that every client takes.
func TestNSIDFits(t *testing.T) {
	s, _ := newServer(t, func(c *Config) { c.NSID = []byte(strings.Repeat("n", MaxNSID)) })
	address, _ := start(t, s)
	name := strings.Repeat("l.", 115) + "nothing.example."
	packet, err := query(name, dns.TypeA, withClient("2001:db8::/128"), withOption(dns.EDNS0NSID), withOption(dns.EDNS0COOKIE, make([]byte, 8)...)).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if answer := exchangeRaw(t, address, transportUDP, packet); len(answer) > dns.MinMsgSize {
		t.Errorf("%d octets", len(answer))
	}
	if _, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: s.current, NSID: make([]byte, MaxNSID+1)}); err == nil || !strings.Contains(err.Error(), "NSID has 65 octets") {
		t.Errorf("a longer one: %v", err)
	}
}
