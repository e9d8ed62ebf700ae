package main

import (
	"strings"
	"testing"
	"time"

	"fairway/policies"
	"fairway/steering/api"
)

// What is late is said with who should have renewed it, beside what failed.
func TestLateCertificatesAreTold(t *testing.T) {
	now := time.Now()
	var out strings.Builder
	printCertificates(&out, []api.Certificate{
		{Doors: []string{"https"}, From: "/etc/fairway/http.pem", Names: []string{"go.video.example"}, NotAfter: now.Add(48 * time.Hour), Late: true},
		{Doors: []string{"dot"}, From: "acme", Names: []string{"ns1.video.example"}, NotAfter: now.Add(48 * time.Hour), Late: true, Failures: 3, Error: "rateLimited"},
		{Doors: []string{"api"}, From: "/etc/fairway/node.pem", Names: []string{"node.video.example"}, NotAfter: now.Add(480 * time.Hour)},
	}, now)
	for _, want := range []string{
		"\nLATE go.video.example: should have been renewed by now; whoever writes /etc/fairway/http.pem has not",
		"\nLATE ns1.video.example: should have been renewed by now; the authority,", "\n3 FAILURES ns1.video.example: rateLimited\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "LATE node") {
		t.Errorf("one is late that is not:\n%s", out.String())
	}
}

// The doctor looks at the names that a configuration has certificates for, where they are
// shown.
func TestCertifiedNames(t *testing.T) {
	for text, want := range map[string]string{
		`
listen: {https: ":8443"}
http: {hosts: [go.video.example], tls: {certificate: a.pem, key: a.key}}`: "go.video.example:8443",
		`
listen: {https: ":443", dot: ":853"}
acme: {directory: letsencrypt-staging, terms: accepted, names: [go.video.example, "*.video.example"]}
http: {hosts: [other.video.example], tls: acme}
dns: {tls: acme}
zones: [{name: video.example, ns: [ns1.video.example], records: [{name: ns1, type: A, value: 192.0.2.53}]}]`: "go.video.example:443 go.video.example:853",
		"": "",
	} {
		c, findings := policies.Compile([]policies.File{{Name: "fairway.yaml", Data: []byte(text + `
providers: {alpha: {}}
services: {live: {endpoints: [{provider: alpha, url: "https://a.example"}]}}
`)}})
		if c == nil {
			t.Fatal(findings)
		}
		if got := strings.Join(certifiedNames(c), " "); got != want {
			t.Errorf("%s\ngives %q, want %q", text, got, want)
		}
	}
}
