package main

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// small answers A questions over UDP and stays silent for names below silent.
func smallServer(t *testing.T) string {
	t.Helper()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	s := &dns.Server{PacketConn: p, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if !strings.HasSuffix(q.Question[0].Name, ".silent.") {
			w.WriteMsg(new(dns.Msg).SetReply(q))
		}
	})}
	go s.ActivateAndServe()
	<-started
	t.Cleanup(func() { s.Shutdown() })
	return p.LocalAddr().String()
}

// TestBenchDNS: what it says, and its exit codes.
func TestBenchDNS(t *testing.T) {
	server := smallServer(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{server, "--name", "www.example", "--count", "300", "--timeout", "30s"}, 0, "NOERROR"},
		{[]string{server, "--name", "www.example,*.silent", "--count", "200", "--timeout", "500ms"}, 1, "more than --max-loss 0.01"},
		{[]string{server, "--name", "a.silent", "--count", "20", "--timeout", "100ms"}, 1, "answered nothing"},
		{[]string{"192.0.2.53", "--name", "www.example"}, 2, "192.0.2.53:53 is not on this machine: say --target-is-mine"},
		{[]string{server}, 2, "name"},
		{[]string{server, "--name", "www.example", "--type", "NOPE", "--duration", "2h", "--ecs", "3", "--clients", "x"}, 2, "NOPE"},
		{[]string{server, "--name", "www.example", "--type", "NOPE", "--duration", "2h", "--ecs", "3", "--clients", "x"}, 2, "2h0m0s is not between"},
		{[]string{server, "--name", "www.example", "--type", "NOPE", "--duration", "2h", "--ecs", "3", "--clients", "x"}, 2, "ECS share of 3"},
		{[]string{server, "--name", "www.example", "-o", "xml"}, 2, "the output forms are text, json"},
	} {
		var out, errs bytes.Buffer
		code := execute(append([]string{"bench", "dns"}, c.args...), &out, &errs)
		if code != c.code || !strings.Contains(out.String()+errs.String(), c.want) {
			t.Errorf("bench dns %v: exit %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, &out, &errs)
		}
	}
	var out, errs bytes.Buffer
	args := []string{"bench", "dns", server, "--name", "www.example", "--count", "300", "--timeout", "30s", "--rate", "5000", "--ecs", "1", "--ipv6", "0.5", "--do", "0.5", "-o", "json"}
	if code := execute(args, &out, &errs); code != 0 {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	var got benchReport
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if got.Answered != 300 || got.Rcodes["NOERROR"] != 300 || got.Rate != 5000 || got.Latency.P50 <= 0 || got.Latency.Max < got.Latency.P99 {
		t.Errorf("%+v", got)
	}
}
