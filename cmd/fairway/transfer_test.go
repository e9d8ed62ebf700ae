package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// TestZoneFromElsewhere: a node asks the primary of a zone from its start on, and
// after a restart answers from its copy, whether the primary is there or not.
func TestZoneFromElsewhere(t *testing.T) {
	services := `
drain: 0s
providers: {alpha: {}}
services:
  live: {hostnames: [live.video.example], endpoints: [{provider: alpha, host: live.alpha.example}]}
`
	primary, d, temp, data := newDoors(t), newDoors(t), t.TempDir(), t.TempDir()
	listen := "listen: {dns: %q, http: %q, api: %q}\n"
	there := write(t, temp, "primary.yaml", fmt.Sprintf(listen+`
zones:
  - name: video.example
    ns: [ns1.video.example]
    transfer: {allow: [{network: 127.0.0.1}]}
    records: [{name: ns1, type: A, value: 127.0.0.1}, {name: www, type: A, value: 192.0.2.80}]
`+services, primary.dns, primary.http, primary.api))
	here := write(t, temp, "here.yaml", fmt.Sprintf(listen+`
zones: [{name: video.example, primary: {address: %q}, dnssec: {}}]
`+services, d.dns, d.http, d.api, primary.dns))

	answered := func(name string) bool {
		client := dns.Client{Timeout: oneAnswer}
		reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), d.dns)
		return err == nil && reply.Rcode == dns.RcodeSuccess && len(reply.Answer) == 1
	}
	from := start(t, temp, "run", "--config", there, "--data", filepath.Join(temp, "data"))
	node := start(t, temp, "run", "--config", here, "--data", data)
	until(t, patience, "the zone has come", func() bool { return answered("www.video.example.") && answered("live.video.example.") })

	if code := node.stop(syscall.SIGTERM, patience); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	from.kill()
	start(t, temp, "run", "--config", here, "--data", data)
	until(t, patience, "the copy serves without its primary", func() bool { return answered("www.video.example.") && answered("live.video.example.") })
}

// TestCopiesAfterARestart: secondaries do not lose the addresses behind CDNs' host
// names when a node starts again: the first copy has those of before.
func TestCopiesAfterARestart(t *testing.T) {
	d, temp := newDoors(t), t.TempDir()
	write(t, temp, "aliases.json", `[{"Host": "live.alpha.example.", "Region": "default", "IPv4": ["203.0.113.1"], "Until": "2026-01-01T00:00:00Z"}]`)
	config := write(t, temp, "fairway.yaml", fmt.Sprintf(`
listen: {dns: %q, http: %q, api: %q}
drain: 0s
dns: {alias: {resolvers: 127.0.0.1:9}}
zones:
  - name: video.example
    ns: [ns1.video.example]
    transfer: {allow: [{network: 127.0.0.1}]}
    records: [{name: ns1, type: A, value: 127.0.0.1}]
providers: {alpha: {}}
services:
  live: {hostnames: [video.example], endpoints: [{provider: alpha, host: live.alpha.example}]}
`, d.dns, d.http, d.api))
	n, err := newNode(nodeOptions{path: config, data: temp, roles: roles{control: true, dns: true}, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, signals{}) }()
	var addresses []string
	until(t, patience, "a copy", func() bool {
		envelopes, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr("video.example."), d.dns)
		if err != nil {
			return false
		}
		records := 0
		for e := range envelopes {
			for _, rr := range e.RR {
				records++
				if a, ok := rr.(*dns.A); ok && a.Hdr.Name == "video.example." {
					addresses = append(addresses, a.A.String())
				}
			}
		}
		return records > 0
	})
	if len(addresses) != 1 || addresses[0] != "203.0.113.1" {
		t.Errorf("the first copy has the addresses %v", addresses)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
