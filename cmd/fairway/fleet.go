package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"fairway/policies"
	"fairway/steering/store"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/nearest"
	"fairway/steering/store/replica"
)

// firstContact is how long a node that knows nothing of its fleet yet waits for
// Consul at the start.
const firstContact = 10 * time.Second

// openReplica opens what this node's fleet shares, with this node's copy of it; nil
// where the configuration names no shared store.
func (n *node) openReplica() (*replica.Store, error) {
	o, folder := n.nodeOptions, copyFolder(n.nodeOptions)
	settings := n.fleetSettings(folder)
	if settings == nil || settings.Consul == nil {
		return nil, nil
	}
	log := o.log.With("part", "store")
	shared, err := n.openConsuls(settings.Consul, log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), firstContact)
	defer cancel()
	return replica.Open(ctx, replica.Config{Shared: shared, Dir: folder, Warn: func(err error) { log.Error("store", "err", err) }})
}

// openConsuls opens the Consul of this node, and those that it reads from while that is
// not well. Who leads is a matter of one Consul: a control node has no other.
func (n *node) openConsuls(c *policies.Consul, log *slog.Logger) (store.Store, error) {
	places := []policies.Consul{*c}
	if !n.roles.control {
		places = append(places, c.Fallback...)
	}
	var sources []nearest.Source
	for _, place := range places {
		shared, err := openConsul(&place, consulstore.Options{Writer: n.roles.control, Doors: !n.roles.control}, log.With("consul", place.Address))
		if err != nil {
			return nil, err
		}
		n.consuls, sources = append(n.consuls, shared), append(sources, shared)
	}
	n.shared = n.consuls[0]
	if len(sources) == 1 {
		return n.shared, nil
	}
	var err error
	n.nearest, err = nearest.New(nearest.Config{Sources: sources, Tell: func(source int, why error) {
		if source == 0 {
			log.Warn("the near Consul is read again", "consul", places[0].Address)
			return
		}
		log.Error("another Consul is read, since the near one is not well", "consul", places[source].Address, "near", places[0].Address, "err", why)
	}})
	return n.nearest, err
}

// asked is the Consul that this node reads.
func (n *node) asked() *consulstore.Store {
	if n.nearest == nil {
		return n.shared
	}
	return n.consuls[n.nearest.Now()]
}

// astray tells why this node does not read the Consul that is near, nil when it does.
func (n *node) astray() error {
	if n.nearest == nil || n.nearest.Now() == 0 {
		return nil
	}
	return cmp.Or(n.shared.Behind(), errors.New("it is well again, and is read in a few seconds"))
}

// copyFolder is where a node keeps its copy of what the fleet shares. Roles that
// run apart on one machine share a data folder, and have a copy each.
func copyFolder(o nodeOptions) string {
	return filepath.Join(o.data, "fleet", strings.Join(o.roles.names(), "-"))
}

// fleetSettings says where the fleet's store is: as the files on disk say, or, when
// they are broken, as what was last in force says.
func (n *node) fleetSettings(folder string) *policies.Node {
	files, err := policies.Read(n.path)
	if err == nil {
		if c, _ := policies.Compile(files); c != nil {
			n.own = &c.Node
			return n.own
		}
	}
	if kept, known := replica.Read(folder); known {
		if c, _ := policies.Compile(filesOf(kept, folderOf(n.path))); c != nil {
			return &c.Node
		}
	}
	return nil
}

// openConsul opens the fleet's store, where the configuration says it is.
func openConsul(c *policies.Consul, options consulstore.Options, log *slog.Logger) (*consulstore.Store, error) {
	options.Address, options.Scheme, options.Datacenter, options.Prefix = c.Address, "http", c.Datacenter, c.Prefix
	options.Warn = func(err error) { log.Warn("store", "err", err) }
	if c.TLS {
		options.Scheme, options.TLS = "https", &consulstore.TLS{CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
	}
	if c.TokenFile != "" {
		if _, err := readToken(c.TokenFile); err != nil {
			return nil, fmt.Errorf("store.consul.token_file: %w", err)
		}
		options.Token = newTokenFile(c.TokenFile, log).token
	}
	return consulstore.Open(options)
}

// tokenFile is a token that is read again when its file changes. While that cannot
// be read, the token of before stands.
type tokenFile struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	looked time.Time
	was    string // the file's fingerprint
	now    string
}

func newTokenFile(path string, log *slog.Logger) *tokenFile { return &tokenFile{path: path, log: log} }

func (f *tokenFile) token() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < watchEvery {
		return f.now
	}
	f.looked = time.Now()
	is := fingerprint([]string{f.path})
	if is == f.was {
		return f.now
	}
	token, err := readToken(f.path)
	if err != nil {
		if !os.IsNotExist(err) || f.was != is {
			f.log.Error("the token for Consul cannot be read anew; the one of before stands", "err", err)
		}
	} else {
		f.now = token
	}
	f.was = is
	return f.now
}

var _ store.Importer = (*consulstore.Store)(nil)
