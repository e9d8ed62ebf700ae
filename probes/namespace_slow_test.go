//go:build slow && linux

package probes

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"fairway/steering"
)

// inNamespace tells the test's second process that it is in a namespace of its own.
const inNamespace = "PROBES_IN_NAMESPACE"

// TestNamespaces: CDNs in another network namespace break as networks break: the
// kernel's own queue holds a link to 60 kbit/s, routes lead nowhere, nobody answers for
// an address, echoes are ignored, and one side or the other has nothing but IPv6. The
// test runs itself once more, as a process in a namespace that has only what it makes.
func TestNamespaces(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		isolate(t, "TestNamespaces")
		return
	}
	shell(t, "ip link set lo up") // it brings the kernel its own word that a host is unreachable
	// Nobody may send echoes in a new namespace: that is this machine's fault, and told.
	echoes := connect(t, newNamespace(t), 9)
	unsent := at(netip.AddrPortFrom(echoes.v4, 1), steering.ProbeICMP, nil)
	unsent.probing.Allow = namespaced
	if batch := testProber().probe(t.Context(), unsent); len(batch) != 0 {
		t.Errorf("measured without leave: %+v", batch)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0\n"), 0); err != nil {
		t.Fatal(err)
	}
	there := newNamespace(t)
	watchBroken(t, "namespaces", []broken{
		shaped(t, connect(t, there, 1)), unanswered(t, connect(t, there, 2)), noWayBack(t, connect(t, there, 3)),
		noIPv4(t, connect(t, there, 4)), onlyIPv6(t, connect(t, there, 5)), onlyIPv6Here(t, connect(t, there, 6)), deaf(t, connect(t, there, 7)),
	})
}

// isolate runs a test of this package as a process in a network namespace of its own.
// Who is not root there becomes root of a user namespace, where the system allows that.
func isolate(t *testing.T, name string) {
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: run make setup, or apt-get install iproute2", err)
		}
	}
	c := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v", "-update="+strconv.FormatBool(*update))
	c.Env = append(os.Environ(), inNamespace+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	said, err := c.CombinedOutput()
	if c.Process == nil {
		t.Fatalf("no network namespace: %v\n    run this test as root, or where users may make namespaces (kernel.unprivileged_userns_clone)", err)
	}
	t.Logf("in the namespace:\n%s", said)
	if err != nil {
		t.Fatal(err)
	}
}

// namespace is another network on this machine.
type namespace struct {
	work   chan func()
	thread int
}

// newNamespace gives one thread a network of its own. Sockets that are opened by it
// stay there, whoever uses them.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{work: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and not unlocked: the thread ends with this goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		n.thread = syscall.Gettid()
		made <- err
		for f := range n.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(n.work) })
	n.shell(t, "ip link set lo up") // by which Go finds out what families there are
	return n
}

func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { f(); close(done) }
	<-done
}

// shell has a shell run a command there.
func (n *namespace) shell(t testing.TB, format string, args ...any) {
	t.Helper()
	n.do(func() { shell(t, format, args...) })
}

// shell has a shell run a command here.
func shell(t testing.TB, format string, args ...any) {
	t.Helper()
	command := fmt.Sprintf(format, args...)
	if said, err := exec.Command("sh", "-ec", command).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", command, err, said)
	}
}

// cable leads from here to a namespace; it has addresses of both families at both ends.
type cable struct {
	there        *namespace
	here, beyond string     // its interfaces
	from4, from6 netip.Addr // its addresses here
	v4, v6       netip.Addr // and there
}

// namespaced are the addresses of all cables.
var namespaced = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16"), netip.MustParsePrefix("fd77::/16")}

// connect lays a cable; n tells it from others.
func connect(t *testing.T, there *namespace, n int) cable {
	t.Helper()
	address := func(format string, end int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf(format, n, end)) }
	w := cable{
		there: there, here: fmt.Sprint("here", n), beyond: fmt.Sprint("there", n),
		from4: address("10.77.%d.%d", 1), v4: address("10.77.%d.%d", 2), from6: address("fd77:%d::%d", 1), v6: address("fd77:%d::%d", 2),
	}
	shell(t, "ip link add %s type veth peer name %s && ip link set %s netns %d", w.here, w.beyond, w.beyond, there.thread)
	// Nobody else is on the cable, so the IPv6 addresses need no detection of duplicates.
	const up = "ip address add %[2]s/24 dev %[1]s && ip address add %[3]s/64 dev %[1]s nodad && ip link set %[1]s up"
	shell(t, up, w.here, w.from4, w.from6)
	there.shell(t, up, w.beyond, w.v4, w.v6)
	if t.Failed() {
		t.FailNow()
	}
	return w
}

// listen opens a listener at the other end, for both families.
func (w cable) listen(t *testing.T) (l net.Listener) {
	t.Helper()
	var err error
	w.there.do(func() { l, err = net.Listen("tcp", "[::]:0") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// served is a case with a server at the other end that is well.
func (w cable) served(t *testing.T, what string, addresses ...netip.Addr) broken {
	t.Helper()
	server := handle(t, w.listen(t), func(r http.ResponseWriter, _ *http.Request) { r.Write([]byte("#EXTM3U")) })
	c := aimed(what, steering.ProbeHTTP, server)
	c.target.Addresses, c.allow = addresses, namespaced
	return c
}

// shaped holds the cable to 60 kbit/s, with some bytes in the queue, for all vantages
// together.
func shaped(t *testing.T, w cable) broken {
	s := newStream()
	s.bytes = func(string) []byte { return make([]byte, 200_000) } // 2 s of 800 kbit/s
	s.runs(time.Now())
	c := aimed("60 kbit/s (tbf)", steering.ProbeHLS, handle(t, w.listen(t), s.ServeHTTP))
	c.target.Addresses, c.allow = []netip.Addr{w.v4}, namespaced
	c.target.Path, c.probe.Media = "/main.m3u8", steering.MediaRules{Variant: steering.FirstVariant, MinRate: 1}
	c.probe.Timeout, c.stated, c.named = 10*time.Second, atOnce+20*time.Second, "it needs 800 kbit/s"
	c.breaks = func() { w.there.shell(t, "tc qdisc add dev %s root tbf rate 60kbit burst 3000 limit 6000", w.beyond) }
	return c
}

// arp is how long the kernel asks for a neighbour: three times, a second apart.
const arp = 3 * time.Second

// unanswered takes the server's address away, so that nobody answers for it on the cable.
func unanswered(t *testing.T, w cable) broken {
	c := w.served(t, "nobody has the address (ARP)", w.v4)
	c.probe.Timeout, c.stated, c.named = patient, atOnce+2*arp, "connect: no route to host"
	c.breaks = func() {
		w.there.shell(t, "ip address del %s/24 dev %s", w.v4, w.beyond)
		shell(t, "ip neigh flush dev %s", w.here)
	}
	return c
}

// noWayBack is a black hole: what the server sends to us goes nowhere.
func noWayBack(t *testing.T, w cable) broken {
	c := w.served(t, "a route into a black hole", w.v4)
	c.stated, c.named = waiting, "timeout on 1 of 1 address (10.77.3.2: no connection within 4s)"
	c.breaks = func() { w.there.shell(t, "ip route add blackhole %s/32", w.from4) }
	return c
}

// noIPv4 leaves the CDN IPv6 alone.
func noIPv4(t *testing.T, w cable) broken {
	c := w.served(t, "a CDN of both families has only IPv6 left", w.v4, w.v6)
	c.stated, c.named = waiting, "timeout on 1 of 2 addresses (10.77.4.2: no connection within 4s)"
	c.breaks = func() { w.there.shell(t, "ip route add blackhole %s/32", w.from4) }
	return c
}

// onlyIPv6 is a CDN that never had anything else, and has that no longer.
func onlyIPv6(t *testing.T, w cable) broken {
	c := w.served(t, "a CDN with IPv6 only: a black hole", w.v6)
	w.there.shell(t, "ip address del %s/24 dev %s", w.v4, w.beyond)
	c.stated, c.named = waiting, "timeout on 1 of 1 address (fd77:5::2: no connection within 4s)"
	c.breaks = func() { w.there.shell(t, "ip -6 route add blackhole %s/128", w.from6) }
	return c
}

// onlyIPv6Here takes IPv4 from the vantages: what they cannot reach for that is none of
// the CDN's faults.
func onlyIPv6Here(t *testing.T, w cable) broken {
	c := w.served(t, "vantages have only IPv6 left", w.v4, w.v6)
	c.verdict, c.named = steering.Healthy, "3 of 3 vantages ok"
	c.breaks = func() { shell(t, "ip address del %s/24 dev %s", w.from4, w.here) }
	return c
}

// deaf ignores echoes of both families.
func deaf(t *testing.T, w cable) broken {
	c := aimed("echoes are ignored", steering.ProbeICMP, netip.AddrPortFrom(w.v4, 1))
	c.target.Addresses, c.allow = []netip.Addr{w.v4, w.v6}, namespaced
	c.stated, c.named = waiting, "timeout on 2 of 2 addresses (10.77.7.2: no echo within 4s)"
	c.breaks = func() {
		w.there.shell(t, "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all; echo 1 > /proc/sys/net/ipv6/icmp/echo_ignore_all")
	}
	return c
}
