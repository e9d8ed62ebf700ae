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

	"fairway/probes/agent"
	"fairway/steering/api/client"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/kept"
)

// discovery follows the control nodes of a fleet as Consul knows them. While it does
// not answer, or knows none, those that it knew last stand, also over a restart.
type discovery struct {
	members func(context.Context) ([]consulstore.Registered, error)
	to      func(address string) (*client.Client, error)
	set     func([]agent.Control)
	file    string
	every   time.Duration
	log     *slog.Logger

	known   map[string]*client.Client
	now     []string // addresses that were set last
	failing bool
}

const discoverEvery = 5 * time.Second

// inConsul tells whether control nodes are to be found in Consul.
func inConsul(control string) bool {
	return strings.HasPrefix(control, "consul://") || strings.HasPrefix(control, "consul+https://")
}

// newDiscovery reads where Consul is: consul://HOST:PORT/PREFIX.
func newDiscovery(where, folder string, log *slog.Logger) (*discovery, error) {
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
	shared, err := consulstore.Open(options)
	if err != nil {
		return nil, err
	}
	return &discovery{
		members: shared.Members, file: filepath.Join(folder, "control.json"), every: discoverEvery, log: log.With("part", "discovery"),
		known: make(map[string]*client.Client),
	}, nil
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
	var addresses []string
	if text, err := os.ReadFile(d.file); err == nil && json.Unmarshal(text, &addresses) == nil && len(addresses) > 0 {
		d.take(addresses)
	}
}

// look asks Consul once.
func (d *discovery) look(ctx context.Context) {
	members, err := d.members(ctx)
	var addresses []string
	for _, m := range members {
		if slices.Contains(m.Roles, "control") {
			addresses = append(addresses, m.Address)
		}
	}
	if err == nil && len(addresses) == 0 {
		err = fmt.Errorf("consul knows no node of the fleet with the role control: is the prefix right?")
	}
	if ctx.Err() != nil {
		return
	}
	if failing := err != nil; failing != d.failing { // told when it changes
		d.failing = failing
		if failing {
			d.log.Error("control nodes are not found: those that were known last are reported to", "control", strings.Join(d.now, ","), "err", err)
		} else {
			d.log.Info("consul tells the control nodes again")
		}
	}
	if err == nil {
		d.take(addresses)
	}
}

// take has these nodes reported to, and keeps them for the next start.
func (d *discovery) take(addresses []string) {
	slices.Sort(addresses)
	addresses = slices.Compact(addresses)
	if slices.Equal(addresses, d.now) {
		return
	}
	var nodes []agent.Control
	for _, address := range addresses {
		if d.known[address] == nil {
			to, err := d.to(address)
			if err != nil {
				d.log.Error("a control node is registered at what is no address", "address", address, "err", err)
				continue
			}
			if inTheClear(address) {
				d.log.Warn("a control node is spoken to in the clear, and whoever may register one in Consul is shown this vantage's token: give the nodes certificates", "control", address)
			}
			d.known[address] = to
		}
		nodes = append(nodes, d.known[address])
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
