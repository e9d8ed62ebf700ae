package steering_test

import (
	"net/netip"
	"testing"

	"fairway/steering"
)

// Only public addresses may be probed, in whatever clothes others come.
func TestAllows(t *testing.T) {
	public := []string{"192.88.99.1", "8.8.8.8", "203.0.113.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"}
	inside := []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "0.0.0.0", "0.1.2.3",
		"192.0.0.192", "198.18.0.1", "198.19.255.255", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::10.0.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1",
		"64:ff9b::169.254.169.254", "64:ff9b::10.0.0.1", "2002:7f00:1::1", "2002:a9fe:a9fe::1",
	}
	for _, a := range public {
		if !(steering.Probing{}).Allows(netip.MustParseAddr(a)) {
			t.Errorf("%s is refused", a)
		}
	}
	for _, a := range inside {
		if (steering.Probing{}).Allows(netip.MustParseAddr(a)) {
			t.Errorf("%s is allowed", a)
		}
	}
	if (steering.Probing{}).Allows(netip.Addr{}) {
		t.Error("no address at all is allowed")
	}
	allowed := steering.Probing{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fe80::/10")}}
	for a, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "fe80::1%eth0": true, "8.8.8.8": true} {
		if got := allowed.Allows(netip.MustParseAddr(a)); got != want {
			t.Errorf("allow %v: %s is allowed: %t", allowed.Allow, a, got)
		}
	}
}
