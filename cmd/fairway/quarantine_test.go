package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
	"fairway/steering/api"
)

func TestQuarantine(t *testing.T) {
	now := time.Now()
	packet, err := new(dns.Msg).SetQuestion("live.video.example.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	printQuarantine(&out, []dnsserver.Quarantined{
		{Fingerprint: "00ff", Packet: packet, Client: netip.MustParseAddr("192.0.2.1"), Transport: "udp", At: now.Add(-time.Minute), Panic: "index out of range", Refused: 7},
		{Fingerprint: "00fe", Packet: []byte{1, 2, 3}, Transport: "tcp", At: now, Panic: "x"},
	}, now)
	for _, want := range []string{"live.video.example. A", "index out of range", "00ff", "7", "010203"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "192.0.2.1") {
		t.Errorf("a client's address among what is shown at a glance:\n%s", out.String())
	}

	current, _ := steering.NewCurrent(nil)
	n := new(node)
	if n.dns, err = dnsserver.New(dnsserver.Config{Listen: []string{"127.0.0.1:0"}, Current: current}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.New(api.Config{Listen: []string{"127.0.0.1:0"}, Control: &control{n}, Extra: n.extraPaths()}); err != nil && strings.Contains(err.Error(), "extra path") {
		t.Errorf("the API refuses the path: %v", err)
	}
	for method, want := range map[string]int{http.MethodGet: http.StatusOK, http.MethodPost: http.StatusMethodNotAllowed} {
		w := httptest.NewRecorder()
		n.quarantineHandler().ServeHTTP(w, httptest.NewRequest(method, quarantinePath, nil))
		if w.Code != want || want == http.StatusOK && strings.TrimSpace(w.Body.String()) != "[]" {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
}
