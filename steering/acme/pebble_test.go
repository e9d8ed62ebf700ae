package acme_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering/acme"
	"fairway/steering/acme/pebbletest"
	"fairway/steering/certs"
)

// vault keeps in memory.
type vault struct {
	mu   sync.Mutex
	held map[string][]byte
}

func (v *vault) Load(name string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if data, ok := v.held[name]; ok {
		return slices.Clone(data), nil
	}
	return nil, fs.ErrNotExist
}

func (v *vault) Save(name string, data []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.held[name] = slices.Clone(data)
	return nil
}

func (v *vault) names() (names []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name := range v.held {
		names = append(names, name)
	}
	return names
}

// edge answers an authority from a Board: names are at 127.0.0.1, over DNS, HTTP and TLS.
type edge struct {
	board       acme.Board
	dns         string
	http, https int
	keeper      chan *acme.Keeper

	mu     sync.Mutex
	open   []acme.Challenge
	opened []string // names that were ever asked about
}

func newEdge(t *testing.T) *edge {
	t.Helper()
	e := &edge{keeper: make(chan *acme.Keeper, 1)}
	questions, err := net.Listen("tcp", "127.0.0.1:0") // Pebble asks over TCP
	if err != nil {
		t.Fatal(err)
	}
	e.dns = questions.Addr().String()
	started := make(chan struct{})
	names := &dns.Server{Listener: questions, Handler: dns.HandlerFunc(e.resolve), NotifyStartedFunc: func() { close(started) }}
	go names.ActivateAndServe()
	<-started
	t.Cleanup(func() { names.Shutdown() })
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.http = plain.Addr().(*net.TCPAddr).Port
	server := &http.Server{Handler: http.HandlerFunc(e.serve), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go server.Serve(plain)
	t.Cleanup(func() { server.Close() })
	return e
}

// resolve answers as the zone of all names: TXT from the board, 127.0.0.1 for the rest.
func (e *edge) resolve(w dns.ResponseWriter, asked *dns.Msg) {
	reply := new(dns.Msg).SetReply(asked)
	q := asked.Question[0]
	head := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: 1}
	switch q.Qtype {
	case dns.TypeA:
		reply.Answer = []dns.RR{&dns.A{Hdr: head, A: net.IPv4(127, 0, 0, 1)}}
	case dns.TypeTXT:
		for _, value := range e.board.TXT()[strings.ToLower(q.Name)] {
			reply.Answer = append(reply.Answer, &dns.TXT{Hdr: head, Txt: []string{value}})
		}
	}
	_ = w.WriteMsg(reply)
}

func (e *edge) serve(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.URL.Path, "/.well-known/acme-challenge/")
	answer, known := e.board.Answer(token)
	if !known {
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = io.WriteString(w, answer)
}

// encrypt opens a TLS listener with a keeper's certificates.
func (e *edge) encrypt(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.https = l.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { l.Close() })
	go func() {
		k, ok := <-e.keeper
		if !ok {
			return
		}
		config := e.board.Accept(k.TLS())
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = tls.Server(c, config).Handshake()
				c.Close()
			}()
		}
	}()
}

func (e *edge) publish(_ context.Context, c acme.Challenge) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open, e.opened = append(e.open, c), append(e.opened, c.Domain)
	e.board.Set(e.open)
	return nil
}

func (e *edge) withdraw(_ context.Context, c acme.Challenge) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open = slices.DeleteFunc(e.open, func(o acme.Challenge) bool { return o.Token == c.Token })
	e.board.Set(e.open)
	return nil
}

// asked are the names that an authority was ever to ask about, and whether it still is.
func (e *edge) asked() (names []string, open bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.opened), len(e.open) > 0
}

// keep runs a keeper until the test ends.
func (e *edge) keep(t *testing.T, a *pebbletest.Authority, v acme.Vault, kind acme.Kind, change func(*acme.Config), names ...string) *acme.Keeper {
	t.Helper()
	roots, err := certs.Authority(a.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	c := acme.Config{
		Names: names, Directory: a.Directory, Kind: kind, Roots: roots, Vault: v,
		Publish: e.publish, Withdraw: e.withdraw, Leads: func() bool { return true },
	}
	if change != nil {
		change(&c)
	}
	k, err := acme.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return k
}

const patience = time.Minute

func until(t *testing.T, a *pebbletest.Authority, k *acme.Keeper, what string, holds func(acme.Status) bool) acme.Status {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		s := k.Status()[0]
		if holds(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v: %+v\n%s", what, patience, s, a.Log())
		}
	}
}

func there(s acme.Status) bool { return !s.NotAfter.IsZero() && s.Error == "" }

// TestChallenges: each challenge gets a certificate from a real authority that leads back to
// its root; afterwards no challenge is open, and only the names of the configuration were
// asked about.
func TestChallenges(t *testing.T) {
	for _, row := range []struct {
		kind acme.Kind
		name string
	}{{acme.HTTP, "go.video.example"}, {acme.ALPN, "go.video.example"}, {acme.DNS, "*.video.example"}} {
		t.Run(string(row.kind), func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			e.encrypt(t)
			a := pebbletest.Start(t, pebbletest.Options{Resolver: e.dns, HTTP: e.http, TLS: e.https})
			k := e.keep(t, a, &vault{held: make(map[string][]byte)}, row.kind, nil, row.name)
			e.keeper <- k
			until(t, a, k, "a certificate", there)
			if err := shake(a, t, e, "go.video.example"); err != nil {
				t.Error(err)
			}
			names, open := e.asked()
			if want := strings.TrimPrefix(row.name, "*."); open || !slices.Equal(names, []string{want}) {
				t.Errorf("was asked about %v, want %s once; open still: %v", names, want, open)
			}
		})
	}
}

// shake has a client that trusts the authority's root alone ask for a name.
func shake(a *pebbletest.Authority, t *testing.T, e *edge, name string) error {
	t.Helper()
	c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.https), &tls.Config{ServerName: name, RootCAs: a.Root(t)})
	if err != nil {
		return err
	}
	return c.Close()
}

// TestBinding: an authority that wants an external account gets it; without one the reason
// is told, and nothing else happens.
func TestBinding(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	const mac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	a := pebbletest.Start(t, pebbletest.Options{Resolver: e.dns, Accounts: map[string]string{"kid-1": mac}})
	without := e.keep(t, a, &vault{held: make(map[string][]byte)}, acme.DNS, nil, "go.video.example")
	until(t, a, without, "it is told why", func(s acme.Status) bool { return strings.Contains(s.Error, "xternalAccount") })
	bound := func(c *acme.Config) { c.Binding = acme.Binding{KeyID: "kid-1", MAC: mac} }
	with := e.keep(t, a, &vault{held: make(map[string][]byte)}, acme.DNS, bound, "go.video.example")
	until(t, a, with, "a certificate", there)
}

// TestRefusedName: what the authority refuses is told, and the other name has its
// certificate.
func TestRefusedName(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	a := pebbletest.Start(t, pebbletest.Options{Resolver: e.dns, Blocked: []string{"blocked.example"}})
	k := e.keep(t, a, &vault{held: make(map[string][]byte)}, acme.DNS, nil, "blocked.example", "go.video.example")
	s := until(t, a, k, "it is told why", func(s acme.Status) bool { return s.Failures == 1 })
	if !strings.Contains(s.Error, "rejectedIdentifier") || time.Until(s.Next) > time.Minute {
		t.Errorf("status: %+v", s)
	}
	for deadline := time.Now().Add(patience); !there(k.Status()[1]); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the other name has none: %+v", k.Status())
		}
	}
}

// TestAuthorityAnew: an authority that lost its memory, as tests and private ones do, knows
// no account of ours any more: the next attempts register one. Meanwhile the old
// certificate serves.
func TestAuthorityAnew(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.encrypt(t)
	a := pebbletest.Start(t, pebbletest.Options{Resolver: e.dns})
	v := &vault{held: make(map[string][]byte)}
	k := e.keep(t, a, v, acme.DNS, nil, "go.video.example")
	e.keeper <- k
	first := until(t, a, k, "a certificate", there)
	if names := v.names(); len(names) != 2 {
		t.Errorf("the vault holds %v, want a certificate and an account", names)
	}
	a.Kill()
	if err := k.Renew("go.video.example"); err != nil {
		t.Fatal(err)
	}
	s := until(t, a, k, "the failure is told", func(s acme.Status) bool { return s.Failures > 0 })
	if !s.NotAfter.Equal(first.NotAfter) {
		t.Errorf("the old certificate is gone: %+v", s)
	}
	if c, err := k.TLS().GetCertificate(&tls.ClientHelloInfo{ServerName: "go.video.example"}); err != nil || !c.Leaf.NotAfter.Equal(first.NotAfter) {
		t.Errorf("serves %v, %v", c, err)
	}
	a.Run(t)
	ordered := 0
	until(t, a, k, "a certificate of the authority's new root", func(s acme.Status) bool {
		if s.Failures > ordered { // rather than wait out the pause
			ordered = s.Failures
			_ = k.Renew("")
		}
		return s.Failures == 0 && shake(a, t, e, "go.video.example") == nil
	})
}

// TestSuggestedRenewal: RFC 9773 against a real authority: it wants a certificate back, and
// a node that starts renews it, though not sooner than a while after it was obtained.
func TestSuggestedRenewal(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	a := pebbletest.Start(t, pebbletest.Options{Resolver: e.dns, Validity: 20 * time.Second})
	v := &vault{held: make(map[string][]byte)}
	first := e.keep(t, a, v, acme.DNS, nil, "go.video.example")
	until(t, a, first, "a certificate", there)
	old, err := first.TLS().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	a.Suggest(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: old.Certificate[0]}), time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	second := e.keep(t, a, v, acme.DNS, nil, "go.video.example")
	until(t, a, second, "another certificate", func(acme.Status) bool {
		c, err := second.TLS().GetCertificate(&tls.ClientHelloInfo{})
		return err == nil && c.Leaf.SerialNumber.Cmp(old.Leaf.SerialNumber) != 0
	})
}
