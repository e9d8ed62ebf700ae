package main

import (
	"os"

	"fairway/dnsserver"
	"fairway/policies"
	"fairway/steering/metrics"
)

// dnsDoor is what the files say of the DNS door.
func dnsDoor(n policies.Node) dnsserver.Config {
	d := n.DNS
	c := dnsserver.Config{
		Listen:  n.Listen.DNS,
		Backend: dnsserver.Backend(d.Backend),
		NSID:    []byte(d.NSID),
		Cookies: dnsserver.Cookies{Off: d.Cookies.Mode == "ignore", Require: d.Cookies.Mode == "require", SecretFile: d.Cookies.SecretFile},
		Limits: dnsserver.Limits{
			Answers: d.Limits.Answers, Negatives: d.Limits.Negatives, Errors: d.Limits.Errors, Slip: d.Limits.Slip,
			IPv4Bits: d.Limits.IPv4, IPv6Bits: d.Limits.IPv6, Exempt: d.Limits.Exempt,
			Amplification: d.Limits.Unsigned, SignedAmplification: d.Limits.Signed,
		},
		TCP: dnsserver.TCP(d.TCP),
		TLS: dnsserver.TLS{Listen: n.Listen.DoT, Certificate: d.TLS.Certificate, Key: d.TLS.Key},
	}
	if d.NSID == policies.NSIDHostname {
		name, _ := os.Hostname() // a machine without a name has none to tell
		c.NSID = []byte(name[:min(len(name), dnsserver.MaxNSID)])
	}
	return c
}

// dnsCounts is what the DNS door has counted, for metrics.
func (n *node) dnsCounts() metrics.DNSCounts {
	if n.dns == nil {
		return metrics.DNSCounts{} // not made yet
	}
	counted := n.dns.Counts()
	shown := metrics.DNSCounts{Panics: counted.Panics, Connections: counted.Connections, Opened: counted.Opened, Shed: counted.Shed}
	for labels, count := range counted.Limited {
		shown.Limited = append(shown.Limited, metrics.LabelledCount{Labels: []string{labels.Kind, labels.Action}, Count: count})
	}
	for state, count := range counted.Cookies {
		shown.Cookies = append(shown.Cookies, metrics.LabelledCount{Labels: []string{state}, Count: count})
	}
	return shown
}
