package main

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"os"

	"fairway/dnsserver"
	"fairway/dnsserver/tap"
	"fairway/policies"
	"fairway/steering/certs"
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
		TLS: dnsserver.TLS{Listen: n.Listen.DoT},
	}
	if d.NSID == policies.NSIDHostname {
		name, _ := os.Hostname() // a machine without a name has none to tell
		c.NSID = []byte(name[:min(len(name), dnsserver.MaxNSID)])
	}
	return c
}

// dotCertificate gives DNS over TLS its certificate, as it is at each handshake; nil when
// there is no such listener. One that cannot be read stops nothing: plain DNS is served,
// and DNS over TLS from when it can.
func (n *node) dotCertificate(settings policies.Node, log *slog.Logger) *tls.Config {
	switch {
	case len(settings.Listen.DoT) == 0:
		return nil
	case settings.DNS.TLS.ACME && n.acme != nil:
		return n.acme.TLS()
	}
	files, err := certs.Open(settings.DNS.TLS.Certificate, settings.DNS.TLS.Key, log)
	if err != nil {
		log.Error("the certificate cannot be read: there is no DNS over TLS until it can", "err", err)
	}
	n.dotFiles = files
	return files.TLS()
}

// newTaps makes what the files want written down of queries and answers.
func newTaps(d policies.DNS, log *slog.Logger) (taps map[string]*tap.Tap, err error) {
	host, _ := os.Hostname() // a machine without a name has none to tell
	taps = make(map[string]*tap.Tap)
	for name, c := range map[string]struct {
		policies.DNSTap
		sink tap.Sink
	}{
		"dnstap":    {d.Dnstap, &tap.Dnstap{Socket: d.Dnstap.To, Identity: host, Version: "fairway " + version()}},
		"query_log": {d.Log, &tap.Log{Path: d.Log.To}},
	} {
		if c.To == "" {
			continue
		}
		t, made := tap.New(tap.Config{Share: c.Share, PerSecond: c.PerSecond, Whole: c.Whole, Sink: c.sink, Logger: log.With("part", name)})
		if err = errors.Join(err, made); made == nil {
			taps[name] = t
		}
	}
	return taps, err
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
	for name, t := range n.taps {
		written, dropped := t.Counts()
		shown.Taps = append(shown.Taps, metrics.TapCount{Tap: name, Written: written, Dropped: dropped})
	}
	return shown
}
