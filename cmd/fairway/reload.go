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
// refused whole, and what serves goes on serving.
func (n *node) reload(ctx context.Context, why string) {
	c, findings, err := n.load()
	if err == nil && n.dns != nil {
		err = n.dns.Prepare(c.layout)
	}
	if err != nil {
		tell(os.Stderr, findings, nil, err)
		n.fail(err)
		n.metrics.Reloaded(false)
		n.log.Error("reload refused: the running configuration goes on serving", "why", why, "path", n.path, "err", err)
		return
	}
	tell(os.Stderr, append(findings, c.reviewed()...), c.warnings, nil)
	if err := n.take(ctx, c); err != nil {
		n.fail(err)
		n.metrics.Reloaded(false)
		n.log.Error("reload failed: the running configuration goes on serving", "why", why, "err", err)
		return
	}
	n.failure.Store(nil)
	n.metrics.Reloaded(true)
	n.log.Info("configuration loaded", "why", why, "path", n.path, "revision", c.Revision.Hash[:12])
}

// take puts a checked configuration into force.
func (n *node) take(ctx context.Context, c *configuration) error {
	old := n.config.Load()
	if n.loop != nil {
		if err := n.loop.SetLayout(ctx, c.layout); err != nil {
			return err
		}
	}
	n.config.Store(c)
	n.aim(c)
	if n.http != nil {
		n.http.Reconfigure(c.Node.TrustedProxies, c.Node.HTTPHosts)
	}
	n.keepRevision(c)
	if fmt.Sprint(old.Node.Listen, old.Node.DNSBackend, old.Node.TokenFile, old.Node.Control) != fmt.Sprint(c.Node.Listen, c.Node.DNSBackend, c.Node.TokenFile, c.Node.Control) {
		n.log.Warn("listen, dns.backend, api.token_file and control are taken up by a restart only; the old ones go on")
	}
	return nil
}

func (n *node) fail(err error) {
	text := err.Error()
	n.failure.Store(&text)
}

// watched is every file whose change matters.
func (n *node) watched() []string {
	names := []string{n.path}
	if info, err := os.Stat(n.path); err == nil && info.IsDir() {
		if files, err := policies.List(n.path); err == nil {
			names = files
		}
	}
	if c := n.config.Load(); c != nil {
		names = append(slices.Clone(names), c.Node.Databases...)
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
