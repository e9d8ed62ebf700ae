package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"fairway/steering/certs"
	"fairway/steering/metrics"
	"fairway/steering/store/consulstore"
)

// mirrorAPI is where a mirror tells of itself.
type mirrorAPI struct {
	listener net.Listener
	peers    *certs.Files // nil = it speaks in the clear, on loopback
	started  time.Time
}

// listen opens the listener, so that an address in use is told before anything has
// begun. What a mirror tells of itself is for nodes with a certificate of the other
// region's authority, or for this machine alone.
func (m *mirroring) listen(address string, to storeAt) error {
	if address == "" {
		return nil
	}
	settings, err := to.settings()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--api: %w", err)
	}
	m.api = &mirrorAPI{listener: l, peers: openPeers(settings, m.log), started: time.Now()}
	local := l.Addr().(*net.TCPAddr).IP.IsLoopback()
	if !local && (m.api.peers == nil || settings.PeerTLS.CA == "") {
		l.Close()
		return fmt.Errorf("--api %s is beyond loopback, and %s has no api.tls with ca: add it, or listen on 127.0.0.1", address, to.config)
	}
	return nil
}

// serve answers, and is registered in the other region, until ctx ends.
func (m *mirroring) serve(ctx context.Context) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.OfMirror(version(), m.standing, m.shown))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := m.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET "+fleetPath+"node", func(w http.ResponseWriter, r *http.Request) {
		if !m.knows(r) {
			http.Error(w, "this is told to nodes of the fleet: show a certificate of its authority", http.StatusUnauthorized)
			return
		}
		answerJSON(w, http.StatusOK, m.self())
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() {
		if m.api.peers == nil {
			ended <- server.Serve(m.api.listener)
			return
		}
		server.TLSConfig = m.api.peers.Accept()
		ended <- server.ServeTLS(m.api.listener, "", "")
	}()
	var parts sync.WaitGroup
	defer parts.Wait()
	if m.api.peers != nil {
		parts.Go(func() { m.api.peers.Run(ctx) })
	}
	m.register(ctx)
	server.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		m.log.Error("the mirror copied, and answered nobody", "err", err)
	}
}

// knows tells whether a request may see how this mirror is: one from this machine, or of
// a node.
func (m *mirroring) knows(r *http.Request) bool {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// register keeps the mirror among the other region's nodes until ctx ends.
func (m *mirroring) register(ctx context.Context) {
	self, failing := m.self(), false
	for ctx.Err() == nil {
		err := m.to.Register(ctx, consulstore.Member{Name: self.Name, Address: self.Address, Version: self.Version, Roles: self.Roles})
		if (err != nil) != failing && ctx.Err() == nil { // told when it changes
			failing = err != nil
			m.log.Warn("this mirror among the other region's services", "registered", err == nil, "err", err)
		}
		again := time.Minute
		if failing {
			again = 5 * time.Second
		}
		pause(ctx, again)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := m.to.Deregister(ending, self.Name); err != nil {
		m.log.Warn("this mirror stays among the other region's services until its check fails", "err", err)
	}
}

// ready tells why the mirror could not copy now, nil when it could.
func (m *mirroring) ready() error {
	_, err := m.to.Reach()
	if err != nil {
		return fmt.Errorf("the other region's store: %w", err)
	}
	if contact := m.copy.Contact(); contact.Err != nil || contact.Doubt != nil {
		return fmt.Errorf("the store that is copied: %w", cmp.Or(contact.Err, contact.Doubt))
	}
	return nil
}

// leads tells whether this mirror is the one that copies, and the term.
func (m *mirroring) leads() (uint64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.term, m.copying != nil
}

// shown is what metrics show of the copying.
func (m *mirroring) shown() metrics.Mirror {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.sum()
	shown := metrics.Mirror{Copies: all.Copies, Failures: all.Failures, Matched: all.Matched, Waiting: all.Waiting}
	if m.copying != nil {
		mark, _ := m.copying.Copied()
		shown.Generation = mark.Generation
	}
	return shown
}

// standing is what metrics show of its place, as of a node's: contact is with the store
// that is copied.
func (m *mirroring) standing() metrics.Fleet {
	contact := m.copy.Contact()
	f := metrics.Fleet{Contact: contact.At, Away: contact.Err != nil, Doubted: contact.Doubt != nil, Disk: contact.Disk != nil}
	if at, err := m.from.Reach(); err != nil {
		f.Away = true
	} else if at.After(f.Contact) {
		f.Contact = at
	}
	f.Term, f.Leads = m.leads()
	return f
}

// self is what a mirror tells of itself, as a node does.
func (m *mirroring) self() fleetNode {
	standing, shown := m.standing(), m.shown()
	f := fleetNode{
		Name: m.called(), Address: reachedAt(m.api.listener.Addr().String(), m.api.peers != nil), Roles: []string{"mirror"}, Version: version(),
		Health: "ready", Started: m.api.started, Answers: true, Contact: standing.Contact, Leads: standing.Leads, Term: standing.Term, Generation: shown.Generation,
	}
	if state, known, err := m.copy.State(context.Background()); err == nil && known {
		f.Revision = state.Revision
		if state.Generation == shown.Generation {
			f.Published = state.Published
		}
	}
	if err := m.ready(); err != nil {
		f.Health = err.Error()
	}
	if !shown.Waiting.IsZero() {
		f.Trouble = append(f.Trouble, fmt.Sprintf("for %s something has waited to be copied", age(time.Since(shown.Waiting))))
	}
	if l, known := m.to.Leader(); known {
		f.Leader = l.Node
	}
	return f
}
