package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/policies"
)

// TestAmplification: over every name of the demo's zone, and names that it has not, and
// every type that has a name, an answer over UDP to somebody without a cookie has at most
// five times the octets of the query, and twelve times where signatures are asked for.
func TestAmplification(t *testing.T) {
	config, d := startWorld(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	// As many as this test asks for; what bounds the size stays as it is.
	write(t, filepath.Dir(config), filepath.Base(config), string(text)+"\ndns: {rate_limit: {exempt: [127.0.0.0/8]}}\n")
	n, err := newNode(nodeOptions{path: config, data: t.TempDir(), roles: roles{control: true, dns: true, http: true}, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, signals{}) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	d.answering("live.fairway.test.", "live", patience)

	conn, err := net.Dial("udp", d.dns)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	types := slices.Sorted(maps.Keys(dns.TypeToString))
	for _, c := range []struct {
		what   string
		factor int
		change func(*dns.Msg)
	}{
		{"without EDNS", 5, func(*dns.Msg) {}},
		{"with EDNS", 5, func(m *dns.Msg) { m.SetEdns0(4096, false) }},
		{"with DO", 12, func(m *dns.Msg) { m.SetEdns0(4096, true) }},
	} {
		asked, cut, largest, of := 0, 0, 0.0, ""
		for _, name := range demoNames(t, config) {
			for _, rrtype := range types {
				if rrtype == dns.TypeOPT || rrtype == dns.TypeNone { // no question can be for them
					continue
				}
				m := new(dns.Msg).SetQuestion(name, rrtype)
				c.change(m)
				query, answer := exchangeOctets(t, conn, m)
				factor := float64(len(answer)) / float64(len(query))
				if factor > float64(c.factor) {
					t.Errorf("%s %s %s: %d octets for %d", name, dns.Type(rrtype), c.what, len(answer), len(query))
				}
				if factor > largest {
					largest, of = factor, fmt.Sprint(name, " ", dns.Type(rrtype))
				}
				if asked++; answer[2]&2 != 0 {
					cut++
				}
			}
		}
		t.Logf("%s: %d questions, at most %.1f times the query (%s), %d sent over TCP", c.what, asked, largest, of, cut)
		if asked < 1000 {
			t.Errorf("%s: only %d questions", c.what, asked)
		}
	}
}

// demoNames are those of the demo's zone, and some that are none.
func demoNames(t *testing.T, config string) []string {
	t.Helper()
	files, err := policies.Read(config)
	if err != nil {
		t.Fatal(err)
	}
	c, findings := policies.Compile(files)
	if c == nil {
		t.Fatal(findings)
	}
	names := map[string]bool{"nothing.fairway.test.": true, "no.thing.at.all.fairway.test.": true, "example.com.": true, ".": true}
	for _, z := range c.Revision.Zones {
		names[z.Name] = true
		for _, r := range z.Records {
			names[r.Name] = true
		}
	}
	for _, s := range c.Revision.Services {
		for _, name := range s.Hostnames {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// exchangeOctets asks over a connected socket and gives what went out and what came back.
func exchangeOctets(t *testing.T, conn net.Conn, m *dns.Msg) (query, answer []byte) {
	t.Helper()
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(query); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 1<<16)
	count, err := conn.Read(buffer)
	if err != nil || count < 12 || buffer[0] != query[0] || buffer[1] != query[1] {
		t.Fatalf("%s: % x, %v", m.Question[0].String(), buffer[:count], err)
	}
	return query, buffer[:count]
}
