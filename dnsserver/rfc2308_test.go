package dnsserver

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// RFC 2308 §3: "Name servers authoritative for a zone MUST include the SOA record
// of the zone in the authority section of the response when reporting an NXDOMAIN
// or indicating that no data of the requested type exists." Its TTL is "set from
// the minimum of the MINIMUM field of the SOA record and the TTL of the SOA
// itself".
func TestRFC2308(t *testing.T) {
	for _, c := range []struct {
		soaTTL, minimum, want uint32
	}{
		{900, 60, 60}, {30, 60, 30}, {60, 60, 60},
	} {
		w := newWorld()
		w.revision.Zones[0].SOA.TTL = time.Duration(c.soaTTL) * time.Second
		w.revision.Zones[0].SOA.Minimum = time.Duration(c.minimum) * time.Second
		layout := w.layout(t)
		current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
		s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
		if err != nil {
			t.Fatal(err)
		}
		address, _ := start(t, s)
		for name, want := range map[string]string{
			"nothing.fairway.test.": "NXDOMAIN aa", "www.fairway.test.": "NOERROR aa", "a.nothing.fairway.test.": "NXDOMAIN aa",
			"live.live.fairway.test.": "NXDOMAIN aa", "v4.fairway.test.": "NOERROR aa",
		} {
			soa := fmt.Sprintf("\nau fairway.test. %d IN SOA ns1.fairway.test. hostmaster.fairway.test. 1 3600 600 86400 %d", c.want, c.minimum)
			differs(t, name, ask(t, address, transportUDP, query(name, dns.TypeTXT)), want+soa)
		}
		soa := ask(t, address, transportUDP, query("fairway.test.", dns.TypeSOA)).Answer[0]
		if soa.Header().Ttl != c.soaTTL {
			t.Errorf("asked for itself the SOA has TTL %d, want %d", soa.Header().Ttl, c.soaTTL)
		}
	}
}
