package demo

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Options say where a World keeps its files and where the Fairway that steers
// it should listen.
type Options struct {
	// Dir is an existing folder for the certificate authority (ca.pem), the API
	// token (token) and the configuration (fairway.yaml). Required.
	Dir string
	// DNS, HTTP and API are where the doors and the API shall listen, written
	// into the configuration. Defaults 127.0.0.1:5300, :8080 and :8400. Port 0
	// has Listen look for a free one.
	DNS, HTTP, API string
	// OfFleet leaves the section api out of the configuration: a fleet has a file of its
	// own for it.
	OfFleet bool
	// Seed makes jitter and error rates repeatable. Default 1.
	Seed uint64
}

// World is three emulated CDNs and the origins behind them.
type World struct {
	options Options
	faults  *faults
	dice    *dice
	content *content
	ca      *authority
	sites   []*site
	ports   ports
	config  []byte

	mu      sync.Mutex
	ended   bool // no relay or request begins any more
	open    map[*relay]struct{}
	running sync.WaitGroup // goroutines and requests that Run waits for
}

// ports are where the emulated servers listen, on each of their addresses.
type ports struct{ http, https, origin, page int }

// wantedPorts are used unless somebody else has them.
var wantedPorts = ports{http: 18080, https: 18443, origin: 18090, page: 18000}

// New makes a World's keys and files. Nothing listens yet.
func New(o Options) (*World, error) {
	o.DNS = cmp.Or(o.DNS, "127.0.0.1:5300")
	o.HTTP = cmp.Or(o.HTTP, "127.0.0.1:8080")
	o.API = cmp.Or(o.API, "127.0.0.1:8400")
	o.Seed = cmp.Or(o.Seed, 1)
	var findings []error
	for _, l := range []struct{ name, address string }{{"DNS", o.DNS}, {"HTTP", o.HTTP}, {"API", o.API}} {
		if _, err := netip.ParseAddrPort(l.address); err != nil {
			findings = append(findings, fmt.Errorf("demo: %s address %q: want an address and a port, such as 127.0.0.1:5300", l.name, l.address))
		}
	}
	if info, err := os.Stat(o.Dir); err != nil || !info.IsDir() {
		findings = append(findings, fmt.Errorf("demo: %q is not a folder: name one that exists", o.Dir))
	}
	if len(findings) > 0 {
		return nil, errors.Join(findings...)
	}
	ca, err := newAuthority()
	if err != nil {
		return nil, fmt.Errorf("demo: make a certificate authority: %w", err)
	}
	content, err := newContent(time.Now())
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	w := &World{
		options: o, faults: newFaults(), dice: newDice(o.Seed), content: content, ca: ca,
		open: map[*relay]struct{}{},
	}
	if err := os.WriteFile(w.CAFile(), ca.pem, 0o644); err != nil {
		return nil, fmt.Errorf("demo: write the certificate authority: %w", err)
	}
	if err := os.WriteFile(w.TokenFile(), []byte(newToken()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("demo: write the API token: %w", err)
	}
	return w, nil
}

// Listen opens every socket of the CDNs and origins, on other ports than usual
// where those are taken, and writes the configuration. When it fails, nothing
// stays open.
func (w *World) Listen() error {
	if err := w.listen(); err != nil {
		for _, s := range w.sites {
			closeAll(s.plain)
			closeAll(s.encrypted)
		}
		w.sites = nil
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

func (w *World) listen() error {
	for _, listen := range []*string{&w.options.DNS, &w.options.HTTP, &w.options.API} {
		if err := resolvePort(listen); err != nil {
			return err
		}
	}
	if err := w.openSites(); err != nil {
		return err
	}
	config, err := w.renderConfig()
	if err != nil {
		return err
	}
	w.config = config
	if err := os.WriteFile(w.ConfigFile(), config, 0o644); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// Run serves until ctx ends, then ends every connection and returns once all is
// quiet. Call it once, after Listen.
func (w *World) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	for _, s := range w.sites {
		s.serve(w, failed)
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for _, s := range w.sites {
		s.server.Close()
	}
	w.endRelays()
	w.running.Wait()
	return err
}

// Config is the configuration with which Fairway steers this World; nil before
// Listen.
func (w *World) Config() []byte { return w.config }

// ConfigFile is where Listen writes the configuration.
func (w *World) ConfigFile() string { return filepath.Join(w.options.Dir, "fairway.yaml") }

// CAFile is the certificate authority of the CDNs' certificates, PEM.
func (w *World) CAFile() string { return filepath.Join(w.options.Dir, "ca.pem") }

// TokenFile holds the API token that the configuration names.
func (w *World) TokenFile() string { return filepath.Join(w.options.Dir, "token") }

// DNS, HTTP and API are where the configuration has the doors and the API
// listen; after Listen no port of them is 0.
func (w *World) DNS() string  { return w.options.DNS }
func (w *World) HTTP() string { return w.options.HTTP }
func (w *World) API() string  { return w.options.API }

// newToken makes a secret of 128 bits; rand.Read never fails.
func newToken() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// begin counts something that Run must wait for, which says when it is over by
// w.running.Done; false when Run is ending already.
func (w *World) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.running.Add(1)
	}
	return !w.ended
}

// endRelays ends every connection, also those that a black hole holds.
func (w *World) endRelays() {
	w.mu.Lock()
	w.ended = true
	open := slices.Collect(maps.Keys(w.open))
	w.mu.Unlock()
	for _, r := range open {
		r.end()
	}
}
