package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"fairway/cmd/fairway/doctor"
)

// TestDoctorCommand: a lame server costs the exit code, text and JSON tell the
// same, and the table's columns begin where its head says.
func TestDoctorCommand(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	lame := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeRefused))
	})}
	go lame.ActivateAndServe()
	<-started
	defer lame.Shutdown()
	server := packets.LocalAddr().String()
	temp := t.TempDir()

	out, errs, code := run(t, temp, "doctor", "cdn.example", "--server", server)
	if code != 1 || errs != "" {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
	for _, part := range []string{"lame: answers REFUSED", "what to do next\n  1. ", "result: error\n"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in:\n%s", part, out)
		}
	}
	_, table, _ := strings.Cut(out, "\n\n")
	table, _, _ = strings.Cut(table, "\n\n")
	head, rows, _ := strings.Cut(table, "\n")
	for row := range strings.Lines(rows) {
		for _, column := range []string{"RESULT", "SERVER", "FOUND"} {
			if at := strings.Index(head, column); row[at] == ' ' || row[at-1] != ' ' {
				t.Errorf("column %s does not begin under its head in %q", column, row)
			}
		}
	}

	out, _, code = run(t, temp, "doctor", "cdn.example", "--server", server, "-o", "json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 1 {
		t.Fatalf("exit %d, %v in %s", code, err, out)
	}
	if report.Zone != "cdn.example." || report.Result != doctor.Error || len(report.Next) == 0 || report.Servers[0].Address != server {
		t.Errorf("%+v", report)
	}

	for _, wrong := range [][]string{{"doctor"}, {"doctor", "a..b", "--server", server}, {"doctor", "a.example", "--server", "ns1"}, {"doctor", "a.example", "--client", "x"}, {"doctor", "a.example", "--server", server, "--tls", "a..b"}} {
		if _, errs, code := run(t, temp, wrong...); code != 2 || errs == "" {
			t.Errorf("%v: exit %d, stderr %q", wrong, code, errs)
		}
	}
}
