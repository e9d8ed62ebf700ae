package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fairway/policies"
	"fairway/steering/publish"
)

// watchEvery is how often the files are looked at. Polling sees what
// notification misses: network mounts, swapped links, replaced folders.
const watchEvery = time.Second

// watch reloads on SIGHUP and when a file of the configuration, or a geo
// database that it names, has changed and then stood still for one look.
func (n *node) watch(ctx context.Context, reload <-chan os.Signal) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	served := n.served // as it was before the files were read: a change since then counts
	before := served
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reload:
			served = fingerprint(n.watched()) // before the files are read: a change while they are counts
			before = served
			n.reload(ctx, "SIGHUP")
		case <-n.refills:
			n.refill(ctx)
		case <-tick.C:
			now := fingerprint(n.watched())
			if now != served && now == before {
				n.reload(ctx, "files changed")
				served = now
			}
			before = now
		}
	}
}

// reload takes up the files at the node's path. What cannot be loaded whole is
// refused whole, and what serves goes on serving. Files that a revision was
// applied over change nothing.
func (n *node) reload(ctx context.Context, why string) {
	files, err := n.readFiles()
	if n.superseded(ctx) {
		n.again(ctx, why)
		return
	}
	c, findings, err := n.compileFiles(files, err)
	if err == nil {
		if why := shrinks(n.config.Load().Revision, c.Revision); why != "" {
			err = fmt.Errorf("held for confirmation: %s; if that is meant: fairway apply %s --confirm-shrink", why, n.path)
		}
	}
	if err == nil {
		err = n.prepare(c)
	}
	if err != nil {
		tell(os.Stderr, findings, nil, err)
		n.reloaded(err, "reload refused: the running configuration goes on serving", why)
		return
	}
	tell(os.Stderr, append(findings, c.reviewed()...), c.warnings, nil)
	if n.rollout == nil {
		err = n.take(ctx, c, nil, 0)
	} else {
		n.checked.Store(c)
		err = n.rollout.Loaded(ctx, c.revision(folderOf(n.path)))
	}
	if err != nil {
		n.reloaded(err, "reload failed: the running configuration goes on serving", why)
		return
	}
	n.reloaded(nil, "", why)
	n.log.Info("configuration loaded", "why", why, "path", n.path, "revision", c.Revision.Hash[:12])
}

// superseded tells whether the files on disk have no say: a revision was applied
// over them, or another node controls.
func (n *node) superseded(ctx context.Context) bool {
	if n.replica != nil && !n.leads() {
		return true
	}
	if n.rollout != nil {
		s := n.rollout.Status()
		return s.InForce.Stands(*n.disk.Load())
	}
	force, known, err := n.store.InForce(ctx)
	return err == nil && known && force.Version > 0
}

// again puts in force again what is in force, with what else its compilation
// reads, such as geo databases.
func (n *node) again(ctx context.Context, why string) {
	c, findings, err := compile(n.config.Load().Files, false)
	if err == nil {
		c.stored = true
		if !n.leads() {
			err = n.prepare(c)
		}
		if err == nil && !n.leads() {
			err = n.take(ctx, c, n.canary.Load(), 0)
		} else if err == nil {
			n.checked.Store(c)
			err = n.rollout.Again(ctx)
		}
	}
	if err != nil {
		tell(os.Stderr, findings, nil, err)
		n.reloaded(err, "reload failed: the revision in force goes on serving as it was", why)
		return
	}
	n.reloaded(nil, "", why)
	n.log.Info("the files on disk do not serve: the revision in force does; change the files, or roll back, to have them serve",
		"why", why, "path", n.path, "revision", c.Revision.Hash[:12])
}

// reloaded keeps and counts how a reload ended.
func (n *node) reloaded(err error, what, why string) {
	n.metrics.Reloaded(err == nil)
	if err == nil {
		n.failure.Store(nil)
		return
	}
	n.fail(err)
	n.log.Error(what, "why", why, "path", n.path, "err", err)
}

// take puts checked configurations into force: one for everybody and, when
// canary is not nil, one for a share of the clients.
func (n *node) take(ctx context.Context, c, canary *configuration, share float64) error {
	old := n.config.Load()
	n.loadTokens(c, canary)
	if n.loop != nil && n.leads() {
		next := publish.Layouts{Main: c.layout}
		if canary != nil {
			next.Canary, next.Share = canary.layout, share
		}
		if err := n.loop.SetLayouts(ctx, next); err != nil {
			return err
		}
	}
	n.config.Store(c)
	n.canary.Store(canary)
	n.aim()
	if n.primary != nil {
		n.primary.SetKeys(c.tsig)
	}
	n.learning.Set(n.learnConfig(c))
	if n.http != nil {
		n.http.Reconfigure(c.Node.TrustedProxies, c.Node.HTTPHosts)
	}
	if nodeSettings(old) != nodeSettings(c) {
		n.log.Warn(takenUpAnew + "; what was goes on")
	}
	return nil
}

// takenUpAnew is what a reload leaves as it was.
const takenUpAnew = "listen, dns, dnssec, acme, store, control, probing.budget.connections, and all of http and api but trusted_proxies, hosts and tokens are taken up by SIGUSR2 or a restart only"

// nodeSettings are those that only a new process takes up.
func nodeSettings(c *configuration) string {
	return fmt.Sprint(c.Node.Listen, c.Node.DNS, c.Node.HTTP, c.Node.TokenFile, peerTLSOf(c), c.Node.ControlToken, c.Node.SteeringSecret, c.Node.Control, c.Node.FindControl, c.Node.KeyFolder, c.Node.KeySecret, c.Node.KeysInStore, acmeOf(c), consulOf(c), c.Revision.Probing.Budget.InFlight)
}

func peerTLSOf(c *configuration) policies.PeerTLS {
	if c.Node.PeerTLS == nil {
		return policies.PeerTLS{}
	}
	return *c.Node.PeerTLS
}

func acmeOf(c *configuration) policies.ACME {
	if c.Node.ACME == nil {
		return policies.ACME{}
	}
	return *c.Node.ACME
}

func consulOf(c *configuration) policies.Consul {
	if c.Node.Consul == nil {
		return policies.Consul{}
	}
	return *c.Node.Consul
}

func (n *node) fail(err error) {
	text := err.Error()
	n.failure.Store(&text)
}

// watched is every file whose change matters.
func (n *node) watched() []string {
	names := []string{n.path}
	if info, err := os.Stat(n.path); err != nil || !info.IsDir() {
		names = n.named.from(n.path)
	} else if files, err := policies.List(n.path); err == nil {
		names = files
	}
	if c := n.config.Load(); c != nil {
		names = append(slices.Clone(names), c.Node.Databases...)
		if n.signers != nil {
			names = append(names, tokenFiles(c.Revision)...)
		}
	}
	return names
}

// fingerprint tells whether any of the files is another one than before.
func fingerprint(names []string) string {
	var b strings.Builder
	for _, name := range names {
		var info fs.FileInfo
		real, err := filepath.EvalSymlinks(name)
		if err == nil {
			info, err = os.Stat(real)
		}
		if err != nil {
			fmt.Fprintf(&b, "%s: missing\n", name)
			continue
		}
		fmt.Fprintf(&b, "%s %s %d %d\n", name, real, info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}

// namedFiles remembers which zone files a file names, so that looking for changes
// does not read every file every second.
type namedFiles map[string]struct {
	fingerprint string
	names       []string
}

// from returns a file, the zone files that it names, those that these include, and
// so on, whether they are there or not.
func (known namedFiles) from(path string) []string {
	names := []string{path}
	for i := 0; i < len(names); i++ {
		name := names[i]
		look, now := known[name], fingerprint(names[i:i+1])
		if look.fingerprint != now {
			look.fingerprint, look.names = now, nil
			if data, err := os.ReadFile(name); err == nil {
				look.names = policies.Named(policies.File{Name: name, Data: data})
			}
			known[name] = look
		}
		for _, more := range look.names {
			if !slices.Contains(names, more) {
				names = append(names, more)
			}
		}
	}
	return names
}
