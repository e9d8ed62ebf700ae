package acme

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a Keeper needs.
type Config struct {
	// Names are the certificates to have, one each; lower case, without final dot. The
	// first one serves clients that name none. A wildcard needs Kind DNS.
	Names []string
	// Directory is the URL at which the authority tells of itself.
	Directory string
	// Kind is how the authority is shown that a name is ours.
	Kind Kind
	// Email is where the authority may write to. Default: nowhere.
	Email string
	// Binding ties the account to one that the authority knows otherwise (external account
	// binding, RFC 8555 §7.3.4). Default none.
	Binding Binding
	// Profile is which of the authority's kinds of certificates is wanted. Default: the
	// authority's own.
	Profile string
	// Roots are the authorities that the directory's certificate is from. Default: the
	// system's.
	Roots *x509.CertPool
	// Settle is how long the doors have to learn of a challenge before the authority is
	// told to ask. Default 0.
	Settle time.Duration
	// Vault keeps certificates, keys and the account.
	Vault Vault
	// Publish has all doors answer a challenge; Withdraw ends that.
	Publish, Withdraw func(context.Context, Challenge) error
	// Leads tells whether this node is the one that obtains.
	Leads func() bool
	// UserAgent is what the authority sees of this program.
	UserAgent string
	// Logger gets what was obtained and what failed. Default none.
	Logger *slog.Logger
}

// Binding is an account that an authority knows otherwise.
type Binding struct {
	KeyID string
	MAC   string // base64url, as authorities hand it out
}

// Keeper has the certificates of a node's listeners.
type Keeper struct {
	config    Config
	log       *slog.Logger
	authority authority
	serving   atomic.Pointer[serving]
	changed   chan struct{} // something was saved, by whichever node, or ordered

	mu      sync.Mutex
	records map[string]*record
	asking  map[string]time.Time // when the authority is asked next when to renew
	ordered map[string]bool      // to be renewed now
	faults  map[string]error     // why a record cannot be read
	tally   Tally
}

// authority is who certifies.
type authority interface {
	// Obtain asks for a certificate of a name; replaced is the one that it follows, nil for
	// none. Both results are PEM.
	Obtain(ctx context.Context, name string, replaced *x509.Certificate) (chain, key []byte, err error)
	// Window tells when a certificate should be renewed.
	Window(ctx context.Context, leaf *x509.Certificate) (window, error)
}

// New checks the configuration and loads the certificates that are there. A vault that
// cannot be read is told in Status, and read again.
func New(c Config) (*Keeper, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{
		config: c, log: c.Logger, changed: make(chan struct{}, 1),
		records: make(map[string]*record), asking: make(map[string]time.Time), ordered: make(map[string]bool), faults: make(map[string]error),
	}
	k.authority = newClient(c)
	k.load()
	return k, nil
}

func (c *Config) check() error {
	var findings []error
	find := func(format string, args ...any) { findings = append(findings, fmt.Errorf("acme: "+format, args...)) }
	if u, err := url.Parse(c.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		find("directory %q is not an https URL", c.Directory)
	}
	if len(c.Names) == 0 {
		find("no name to get a certificate for")
	}
	for _, name := range c.Names {
		if strings.HasPrefix(name, "*.") && c.Kind != DNS {
			find("%s: a wildcard needs %s", name, DNS)
		}
	}
	switch c.Kind {
	case HTTP, ALPN, DNS:
	default:
		find("kind %q is none of %s, %s, %s", c.Kind, DNS, HTTP, ALPN)
	}
	if c.Vault == nil || c.Publish == nil || c.Withdraw == nil || c.Leads == nil {
		find("vault, Publish, Withdraw and Leads are needed")
	}
	return errors.Join(findings...)
}

// Run loads what is saved, and obtains what is due while this node leads, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		if k.config.Leads() {
			k.work(ctx)
		}
		rest, faulty := k.rest()
		select {
		case <-ctx.Done():
			return nil
		case <-k.changed:
			k.load()
		case <-time.After(rest):
			if faulty {
				k.load()
			}
		}
	}
}

// How long it is at most until it is looked again who leads, and what could not be loaded.
const (
	lookEvery = time.Minute
	loadEvery = time.Second
)

// rest is how long nothing is due, and whether something could not be loaded.
func (k *Keeper) rest() (until time.Duration, faulty bool) {
	leads := k.config.Leads()
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.faults) > 0 {
		return loadEvery, true
	}
	until = lookEvery
	for _, name := range k.config.Names {
		switch r := k.records[name]; {
		case !leads || r == nil:
		case k.ordered[name]:
			until = 0
		default:
			until = min(until, time.Until(r.due(k.config.way())))
			if r.pair != nil {
				until = min(until, time.Until(k.asking[name]))
			}
		}
	}
	return max(until, loadEvery), false
}

// Changed says that the vault may have something new.
func (k *Keeper) Changed() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// Renew has a name's certificate renewed now, whatever its age and whatever failed before;
// with no name, all of them.
func (k *Keeper) Renew(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := false
	defer k.Changed()
	for _, own := range k.config.Names {
		if name == "" || name == own {
			k.ordered[own], known = true, true
		}
	}
	if !known {
		return fmt.Errorf("%s is not among the names of acme: %s", name, strings.Join(k.config.Names, ", "))
	}
	return nil
}

// load reads every record. What cannot be read stays what it was.
func (k *Keeper) load() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range k.config.Names {
		r, err := load(k.config.Vault, name)
		if err != nil && (k.faults[name] == nil || k.faults[name].Error() != err.Error()) {
			k.log.Error("a certificate cannot be loaded: the one of before serves", "name", name, "err", err)
		}
		if err != nil {
			k.faults[name] = err
			continue
		}
		delete(k.faults, name)
		if held := k.records[name]; held != nil && held.Obtained.After(r.Obtained) {
			k.saveLater(name, held)
			continue
		}
		if old := k.records[name]; old == nil || string(old.Certificate) != string(r.Certificate) {
			delete(k.asking, name)
		}
		k.records[name] = &r
	}
	k.serve()
}

// saveLater saves what could not be when it was obtained; k.mu is held.
func (k *Keeper) saveLater(name string, held *record) {
	if !k.config.Leads() {
		return
	}
	if err := held.save(k.config.Vault, name); err == nil {
		k.log.Info("saved what could not be before", "name", name)
	}
}

// work obtains what is due, one after the other.
func (k *Keeper) work(ctx context.Context) {
	for _, name := range k.config.Names {
		if ctx.Err() != nil {
			return
		}
		k.ask(ctx, name)
		if k.due(name) {
			k.obtain(ctx, name)
		}
	}
}

// due tells whether a name's certificate is to be asked for now.
func (k *Keeper) due(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.records[name]
	return r != nil && (k.ordered[name] || !time.Now().Before(r.due(k.config.way())))
}

func (c *Config) way() way { return way{c.Directory, c.Kind} }

// askEvery is how often an authority is asked when to renew that does not say itself how
// often it wants to be, or does not answer.
const askEvery = 6 * time.Hour

// ask takes up when the authority wants a certificate renewed. RFC 9773 §4.2: clients "MUST
// attempt renewal at a time of their choosing based on the suggested renewal window".
func (k *Keeper) ask(ctx context.Context, name string) {
	k.mu.Lock()
	r := k.records[name]
	ask := r != nil && r.pair != nil && r.Directory == k.config.Directory && !time.Now().Before(k.asking[name])
	k.mu.Unlock()
	if !ask {
		return
	}
	w, err := k.authority.Window(ctx, r.leaf())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asking[name] = time.Now().Add(askEvery)
	if err != nil {
		return // it has no such service, or not now: what was chosen stands
	}
	if w.again.After(time.Now()) {
		k.asking[name] = w.again
	}
	if chosen := w.choose(name); k.records[name] == r && !chosen.Equal(r.Renew) {
		next := *r
		next.Renew = chosen
		k.records[name] = &next
		if err := next.save(k.config.Vault, name); err != nil {
			k.log.Error("when a certificate is renewed cannot be saved", "name", name, "err", err)
		}
	}
}

// obtain asks for a certificate, and saves how that went.
func (k *Keeper) obtain(ctx context.Context, name string) {
	k.mu.Lock()
	old := *k.records[name]
	k.mu.Unlock()
	// RFC 9773 §5 lets an authority refuse an order for what it says to replace: what
	// failed so once is asked for without.
	replaced := old.leaf()
	if old.Directory != k.config.Directory || old.Failures > 0 {
		replaced = nil
	}
	k.log.Info("asking for a certificate", "name", name, "directory", k.config.Directory, "challenge", k.config.Kind, "renewal", old.pair != nil)
	chain, key, err := k.authority.Obtain(ctx, name, replaced)
	if ctx.Err() != nil {
		return // the end of this node says nothing about the name
	}
	next := record{Directory: k.config.Directory, Certificate: chain, Key: key, Obtained: time.Now()}
	if err == nil {
		err = next.parse()
	}
	if err == nil {
		next.Renew = ownWindow(next.leaf()).choose(name)
	} else {
		next = old
		if next.Way != k.config.way().String() {
			next.Way, next.Failures = k.config.way().String(), 0
		}
		next.Tried, next.Failures, next.Error = time.Now(), next.Failures+1, err.Error()
	}
	k.keep(name, next, err)
}

// keep takes a record up and saves it. One that cannot be saved serves all the same: it was
// hard to get.
func (k *Keeper) keep(name string, next record, failure error) {
	saved := next.save(k.config.Vault, name)
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.ordered, name)
	k.records[name] = &next
	k.serve()
	if failure != nil {
		k.tally.Failed++
		k.log.Error("no certificate was obtained: "+orOld(next.pair != nil), "name", name, "failures", next.Failures,
			"again", next.due(k.config.way()).Format(time.RFC3339), "err", failure)
	} else {
		k.tally.Obtained++
		delete(k.asking, name)
		k.log.Info("obtained a certificate", "name", name, "until", next.leaf().NotAfter, "renewal", next.Renew)
	}
	if saved != nil {
		k.log.Error("what was obtained cannot be saved: it serves here, and is asked for again after a restart", "name", name, "err", saved)
	}
}

func orOld(there bool) string {
	if there {
		return "the one of before goes on serving"
	}
	return "handshakes for this name fail until there is one; everything else is served"
}

// Status is how a name's certificate stands.
type Status struct {
	Name     string    `json:"name"`
	NotAfter time.Time `json:"not_after,omitzero"` // zero = there is no certificate
	Began    time.Time `json:"not_before,omitzero"`
	Issuer   string    `json:"issuer,omitempty"`
	Next     time.Time `json:"next,omitzero"` // when it is asked for
	Failures int       `json:"failures,omitempty"`
	Error    string    `json:"error,omitempty"` // of the last attempt
}

// Status tells of every name, in their order.
func (k *Keeper) Status() []Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []Status
	for _, name := range k.config.Names {
		s := Status{Name: name}
		if r := k.records[name]; r != nil {
			s.Next, s.Failures, s.Error = r.due(k.config.way()), r.Failures, r.Error
			if leaf := r.leaf(); leaf != nil {
				s.Began, s.NotAfter, s.Issuer = leaf.NotBefore, leaf.NotAfter, cmp.Or(leaf.Issuer.CommonName, leaf.Issuer.String())
			}
		}
		if fault := k.faults[name]; fault != nil {
			s.Error = fault.Error()
		}
		all = append(all, s)
	}
	return all
}

// Tally counts what this node asked for.
type Tally struct{ Obtained, Failed uint64 }

// Tally returns the counts since the start.
func (k *Keeper) Tally() Tally {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tally
}
