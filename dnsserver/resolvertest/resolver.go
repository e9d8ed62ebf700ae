package resolvertest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/tools/freeport"
)

// patience is how long a resolver may take to start, or to answer: long, since the
// machine may be busy.
const patience = time.Minute

// Kind is a resolver that people use.
type Kind struct {
	Name    string // of the program
	Subnets bool   // it sends client subnets (RFC 7871)
	// named listens at addresses of network interfaces only, and of those of the
	// loopback network that is 127.0.0.1 alone.
	interfaces bool
	// configure writes what the program needs into a folder and returns its arguments.
	configure func(setup) (files map[string]string, arguments []string)
}

// setup is what a resolver has to be told.
type setup struct {
	folder  string
	listen  netip.AddrPort
	address netip.Addr // where it asks from
	root    netip.Addr
	anchors []dns.DS
}

// Resolver is a running resolver.
type Resolver struct {
	Kind    Kind
	Listen  netip.AddrPort
	Address netip.Addr // where it asks from

	t       testing.TB
	process *exec.Cmd
	ended   chan struct{}
	said    logged
}

// Resolver starts a resolver, which runs until the test ends, and waits until it
// answers.
func (n *Internet) Resolver(t testing.TB, kind Kind) *Resolver {
	t.Helper()
	program, err := find(kind.Name)
	if err != nil {
		t.Fatal(err)
	}
	s := setup{folder: t.TempDir(), address: n.Address(), root: n.root, anchors: n.trusted()}
	s.listen = netip.AddrPortFrom(s.address, 53)
	if kind.interfaces {
		s.listen = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(freeport.Find(t, "127.0.0.1")))
	}
	files, arguments := kind.configure(s)
	files["hints"] = fmt.Sprintf(". 3600 IN NS a.root.\na.root. 3600 IN A %s\n", n.root)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(s.folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := &Resolver{Kind: kind, Listen: s.listen, Address: s.address, t: t, ended: make(chan struct{})}
	r.process = exec.Command(program, arguments...)
	r.process.Dir = s.folder
	r.process.Stdout, r.process.Stderr = &r.said, &r.said
	if err := r.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		r.process.Wait()
	}()
	t.Cleanup(r.stop)
	r.await()
	return r
}

// find looks for a program, also where daemons live.
func find(name string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed\n    install what the tests need: make setup", name)
}

// await waits until the resolver answers at all.
func (r *Resolver) await() {
	r.t.Helper()
	request := new(dns.Msg)
	request.SetQuestion(".", dns.TypeNS)
	client := dns.Client{Timeout: time.Second}
	for began := time.Now(); ; {
		reply, _, err := client.Exchange(request, r.Listen.String())
		if err == nil && reply.Rcode == dns.RcodeSuccess {
			return
		}
		select {
		case <-r.ended:
			r.t.Fatalf("%s ended at once:\n%s", r.Kind.Name, &r.said)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Since(began) > patience {
			r.t.Fatalf("%s does not answer: %v\n%s", r.Kind.Name, err, &r.said)
		}
	}
}

func (r *Resolver) stop() {
	r.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(5 * time.Second):
		r.process.Process.Kill()
		<-r.ended
	}
	if r.t.Failed() {
		r.t.Logf("%s said:\n%s", r.Kind.Name, &r.said)
	}
}

// Ask asks over UDP, then over TCP where the answer is cut, as clients do. A query
// that gets lost is sent again.
func (r *Resolver) Ask(name string, qtype uint16, change ...func(*dns.Msg)) *dns.Msg {
	r.t.Helper()
	request := new(dns.Msg)
	request.SetQuestion(name, qtype)
	request.SetEdns0(1232, false)
	for _, f := range change {
		f(request)
	}
	for began := time.Now(); ; {
		reply, err := r.exchange(request)
		if err == nil {
			return reply
		}
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() || time.Since(began) > patience {
			r.t.Fatalf("%s: %s %s: %v\n%s", r.Kind.Name, name, dns.Type(qtype), err, &r.said)
		}
	}
}

func (r *Resolver) exchange(request *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Timeout: 5 * time.Second, UDPSize: 1232}
	reply, _, err := client.Exchange(request, r.Listen.String())
	if err == nil && reply.Truncated {
		client.Net = "tcp"
		reply, _, err = client.Exchange(request, r.Listen.String())
	}
	return reply, err
}

// From puts a client subnet into a query, such as "192.0.2.0/24".
func From(prefix string) func(*dns.Msg) {
	p := netip.MustParsePrefix(prefix)
	option := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(p.Bits()), Address: p.Addr().AsSlice()}
	if p.Addr().Is6() {
		option.Family = 2
	}
	return func(m *dns.Msg) { m.IsEdns0().Option = append(m.IsEdns0().Option, option) }
}

// Secure asks for signatures, and for the AD bit where the answer is validated.
func Secure(m *dns.Msg) {
	m.IsEdns0().SetDo()
	m.AuthenticatedData = true
}

// logged keeps what a program says.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
