package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fairway/steering/api/client"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/kept"
)

// discovery follows the control nodes of a fleet as Consul knows them, or several
// Consuls together. While one does not answer, or knows none, those that it knew last
// stand, also over a restart.
type discovery struct {
	places []*place
	fixed  []*client.Client // that need not be found
	to     func(address string) (*client.Client, error)
	set    func([]*client.Client)
	file   string
	every  time.Duration
	log    *slog.Logger

	restored []string // addresses that an earlier process found, wherever that was
	known    map[string]*client.Client
	now      []string // addresses that were set last
	lost     bool     // nobody knows any: told when it changes
}

// place is a Consul in which control nodes may be registered.
type place struct {
	name    string
	members func(context.Context) ([]consulstore.Registered, error)
	control []string // addresses that it knew last
	heard   bool     // it has answered since the start
	failing bool
}

const discoverEvery = 5 * time.Second

// inConsul tells whether control nodes are to be found in Consul.
func inConsul(control string) bool {
	return strings.HasPrefix(control, "consul://") || strings.HasPrefix(control, "consul+https://")
}

// newDiscovery reads where the Consuls are: consul://HOST:PORT/PREFIX.
func newDiscovery(where []string, folder string, log *slog.Logger) (*discovery, error) {
	d := discoveryIn(folder, log)
	for _, one := range where {
		shared, err := consulAt(one)
		if err != nil {
			return nil, err
		}
		d.places = append(d.places, &place{name: one, members: shared.Members})
	}
	return d, nil
}

// discoveryIn is one that knows no place yet.
func discoveryIn(folder string, log *slog.Logger) *discovery {
	return &discovery{file: filepath.Join(folder, "control.json"), every: discoverEvery, log: log.With("part", "discovery"), known: make(map[string]*client.Client)}
}

// consulAt is the Consul at consul://HOST:PORT/PREFIX.
func consulAt(where string) (*consulstore.Store, error) {
	const remedy = "write consul://127.0.0.1:8500/fairway, or consul+https://consul.example:8501/fairway"
	u, err := url.Parse(where)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("--control %q is no address of Consul: %s", where, remedy)
	}
	options := consulstore.Options{Address: u.Host, Scheme: "http", Prefix: strings.Trim(u.Path, "/"), Doors: true}
	port := "8500"
	if u.Scheme == "consul+https" {
		options.Scheme, port = "https", "8501"
	}
	if u.Port() == "" {
		options.Address = net.JoinHostPort(u.Hostname(), port)
	}
	return consulstore.Open(options)
}

// Run follows until ctx ends.
func (d *discovery) Run(ctx context.Context) error {
	d.restore()
	for ctx.Err() == nil {
		d.look(ctx)
		if pause(ctx, d.every) != nil {
			break
		}
	}
	return nil
}

// restore takes up the nodes that were known last.
func (d *discovery) restore() {
	if text, err := os.ReadFile(d.file); err == nil && json.Unmarshal(text, &d.restored) == nil && len(d.restored) > 0 {
		d.take(d.restored)
	}
}

// look asks each Consul once.
func (d *discovery) look(ctx context.Context) {
	var found []string
	all := true // have answered
	for _, p := range d.places {
		d.ask(ctx, p)
		found = append(found, p.control...)
		all = all && p.heard
	}
	if ctx.Err() != nil {
		return
	}
	if !all || len(found) == 0 {
		found = append(found, d.restored...)
	}
	if lost := len(found) == 0; lost != d.lost {
		if d.lost = lost; lost {
			d.log.Error("no control node is found: nobody is reported to", "err", "consul knows no node of the fleet with the role control: is the prefix right?")
		}
	}
	if len(found) > 0 {
		d.take(found)
	}
}

// ask asks one Consul. One that knows no control node any more has lost them.
func (d *discovery) ask(ctx context.Context, p *place) {
	members, err := p.members(ctx)
	if ctx.Err() != nil {
		return
	}
	if failing := err != nil; failing != p.failing { // told when it changes
		if p.failing = failing; failing {
			d.log.Error("control nodes are not looked for: those that this Consul knew last are reported to", "consul", p.name, "control", strings.Join(p.control, ","), "err", err)
		} else {
			d.log.Info("consul tells the control nodes again", "consul", p.name)
		}
	}
	if err != nil {
		return
	}
	p.heard = true
	var addresses []string
	for _, m := range members {
		if slices.Contains(m.Roles, "control") {
			addresses = append(addresses, m.Address)
		}
	}
	if len(addresses) > 0 {
		p.control = addresses
	}
}

// take has these nodes reported to, and keeps them for the next start.
func (d *discovery) take(addresses []string) {
	addresses = slices.Clone(addresses)
	slices.Sort(addresses)
	addresses = slices.Compact(addresses)
	if slices.Equal(addresses, d.now) {
		return
	}
	nodes := slices.Clone(d.fixed)
	for _, address := range addresses {
		if d.known[address] == nil {
			to, err := d.to(address)
			if err != nil {
				d.log.Error("a control node is registered at what is no address", "address", address, "err", err)
				continue
			}
			if inTheClear(address) {
				d.log.Warn("a control node is spoken to in the clear, and whoever may register one in Consul is shown this node's token: give the nodes certificates", "control", address)
			}
			d.known[address] = to
		}
		if !slices.ContainsFunc(nodes, func(c *client.Client) bool { return c.Address() == d.known[address].Address() }) {
			nodes = append(nodes, d.known[address])
		}
	}
	d.now = addresses
	d.log.Info("control nodes", "control", strings.Join(addresses, ","))
	d.set(nodes)
	if err := d.keep(addresses); err != nil {
		d.log.Warn("the control nodes are not kept: a start needs Consul", "err", err)
	}
}

func (d *discovery) keep(addresses []string) error {
	text, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	if err := kept.MakeFolder(filepath.Dir(d.file)); err != nil {
		return err
	}
	return kept.WriteFile(d.file, text, 0o600)
}

// inTheClear tells whether a token for an address would leave this machine in the clear.
func inTheClear(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "https" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback())
}
