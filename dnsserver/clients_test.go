package dnsserver

import (
	"net"
	"os/exec"
	"strings"
	"testing"
)

// TestClients asks by the programs that operators use, with everything that they
// know: what we think is right must be right to others.
func TestClients(t *testing.T) {
	s, address := newTLSServer(t, func(c *Config) {
		c.NSID = []byte("fra-1")
		c.Limits = Limits{Answers: 1000, Negatives: 1000, Errors: 1000, Slip: 2, Amplification: 5, SignedAmplification: 12}
	})
	_, clear, _ := net.SplitHostPort(s.Addrs()[0])
	_, encrypted, _ := net.SplitHostPort(address)
	for _, c := range []struct {
		command string
		port    string
		want    []string
	}{
		{"dig live.fairway.test A +norec +nsid +subnet=192.0.2.0/24", clear,
			[]string{"status: NOERROR", "eu.alpha.example.", "fra-1", "(good)", "CLIENT-SUBNET: 192.0.2.0/24/24"}},
		{"dig a.big.test A +norec", clear, // too much for an address that may be forged: TC, and over TCP
			[]string{"Truncated, retrying in TCP", "ANSWER: 40", "(good)"}},
		{"dig live.fairway.test A +norec +tcp +keepalive +nocookie", clear, []string{"status: NOERROR", "KEEPALIVE: 10.0 secs"}},
		{"dig live.fairway.test A +norec +ednsopt=65001:0102", clear, []string{"status: NOERROR"}},
		{"dig live.fairway.test A +norec +edns=1 +noednsneg", clear, []string{"status: BADVERS"}},
		{"dig live.fairway.test A +norec +opcode=11", clear, []string{"status: NOTIMP", "EDE: 21"}},
		{"dig version.bind CH TXT +norec", clear, []string{"status: REFUSED", "EDE: 21"}},
		{"dig live.fairway.test A +norec +ednsflags=0x7fff", clear, []string{"status: NOERROR"}},
		{"dig example.com A +norec", clear, []string{"status: REFUSED", "EDE: 20"}},
		{"kdig live.fairway.test A +norec +cookie +nsid +subnet=198.51.100.0/24", clear,
			[]string{"status: NOERROR", "na.bravo.example.", "fra-1", "COOKIE", "CLIENT-SUBNET: 198.51.100.0/24/24"}},
		{"kdig live.fairway.test A +norec +tls +padding=128", encrypted,
			[]string{"status: NOERROR", "eu.alpha.example.", "PADDING:", "Received 468 B"}},
		{"kdig txt.big.test TXT +norec +tls +padding=128", encrypted, []string{"ANSWER: 60"}},
	} {
		args := append(strings.Fields(c.command), "-p", c.port, "@127.0.0.1")
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", c.command, err, out)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: no %q in\n%s", c.command, want, out)
			}
		}
	}
}
