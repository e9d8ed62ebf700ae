//go:build slow

package httpserver

import (
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// unhurried has answers take their time: h2spec sees what is wrong with the second frame
// of a stream only where the answer to the first does not end it.
type unhurried struct{}

func (unhurried) Host(string) bool        { time.Sleep(100 * time.Millisecond); return false }
func (unhurried) Seen(string, netip.Addr) {}

// h2spec asks what RFC 7540 and RFC 7541 demand. The priorities of streams (§5.3) are
// left out, which RFC 9113 has dropped.
func TestH2Spec(t *testing.T) {
	r, _ := startTLS(t, Config{Learning: unhurried{}}, nil)
	host, port, err := net.SplitHostPort(r.TLSAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"tool", "-modfile=../../tools/h2spec/go.mod", "h2spec", "--host", host, "--port", port, "--tls", "--insecure", "--timeout", "30", "generic", "hpack"}
	for _, section := range strings.Fields("3 4 5.1 5.4 5.5 6 7 8") {
		args = append(args, "http2/"+section)
	}
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "143 tests, 143 passed, 0 skipped, 0 failed") {
		t.Errorf("%v\n%s", err, out)
	}
}
