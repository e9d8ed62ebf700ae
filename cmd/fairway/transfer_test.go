package main

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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
		client := dns.Client{Timeout: time.Second}
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
