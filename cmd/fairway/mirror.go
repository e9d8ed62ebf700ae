package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"fairway/steering/store/consulstore"
	"fairway/steering/store/mirror"
	"fairway/steering/store/replica"

	"github.com/spf13/cobra"
)

func mirrorCommand() *cobra.Command {
	var from, to storeAt
	var data, name, listen, level string
	c := &cobra.Command{
		Use:   "mirror --from PATH --to PATH",
		Short: "Keep another region's Consul as this deployment's is, so that edges there read from near",
		Long: `Keep what a deployment shares in the Consul of another region as well: revisions,
what is in force, overrides with their log, keys, and decisions as they change. Both
configurations say where their Consul is; the first one is only read. It runs until
SIGTERM.

The mirror leads in the other region, as a control node does in its own: by the lock in
Consul, without which nothing it writes counts. A second mirror stands by, and so do
control nodes there: when the mirror has been gone for 10 to 21 s, one of these decides
for its region, from the measurements that it gets anyway. The mirror waits until nobody
leads there any more: restart those control nodes to hand the lead back.

What edges there are asked and ordered that concerns the fleet goes to the control node
that leads in the first region.

With --api it answers /metrics, /readyz and /healthz there, and is registered among the
other region's nodes: fairway fleet there shows it, and Prometheus finds it.`,
		Example: "  fairway mirror --from /etc/fairway --to /etc/fairway/asia.yaml --data /var/lib/fairway --api 192.0.2.8:8400",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := newLogger(c, level)
			if err != nil {
				return err
			}
			if from.config == "" || to.config == "" {
				return usageError{errors.New("--from and --to are needed: the configurations of the two deployments"), c.CommandPath()}
			}
			m, err := newMirroring(from, to, data, name, log)
			if err != nil {
				return err
			}
			defer m.close()
			if err := m.listen(listen, to); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return m.run(ctx)
		},
	}
	c.Flags().StringVar(&from.config, "from", "", "the configuration of the deployment that decides (required)")
	c.Flags().StringVar(&to.config, "to", "", "a configuration whose store is the other region's Consul (required)")
	c.Flags().StringVar(&data, "data", stateFolder(), "where the mirror keeps its own copy, so that it believes nothing older after a restart")
	c.Flags().StringVar(&name, "name", "", "of this mirror in the other region (default the machine's)")
	c.Flags().StringVar(&listen, "api", "", "where to answer Prometheus, the other region's Consul and fairway fleet, HOST:PORT; beyond loopback the configuration of --to needs api.tls (default nowhere)")
	logFlag(c, &level, "info")
	return c
}

// mirroring is a mirror between two Consuls.
type mirroring struct {
	name     string
	log      *slog.Logger
	from, to *consulstore.Store
	copy     *replica.Store // of what the first holds: it takes over nothing that was emptied or put back
	api      *mirrorAPI     // nil = it answers nobody

	mu      sync.Mutex
	copying *mirror.Mirror  // nil = this mirror stands by
	past    mirror.Progress // of the terms before
	term    uint64          // of this one, or the last
}

func newMirroring(from, to storeAt, data, name string, log *slog.Logger) (*mirroring, error) {
	m := &mirroring{name: name, log: log}
	var err error
	if m.name == "" {
		if m.name, err = os.Hostname(); err != nil {
			return nil, err
		}
	}
	if m.from, err = from.openShared(false, log.With("consul", "from")); err != nil {
		return nil, err
	}
	if m.to, err = to.openShared(true, log.With("consul", "to")); err != nil {
		m.from.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), firstContact)
	defer cancel()
	m.copy, err = replica.Open(ctx, replica.Config{
		Shared: m.from, Dir: filepath.Join(data, "mirror", m.name), Warn: func(err error) { log.Warn("the store that is copied", "err", err) },
	})
	if err != nil {
		m.from.Close()
		m.to.Close()
	}
	return m, err
}

// openShared opens the Consul that a configuration names.
func (a *storeAt) openShared(writer bool, log *slog.Logger) (*consulstore.Store, error) {
	settings, err := a.settings()
	if err != nil {
		return nil, err
	}
	if settings.Consul == nil {
		return nil, fmt.Errorf("%s names no Consul: add store: {consul: {address: …}}", a.config)
	}
	return openConsul(settings.Consul, consulstore.Options{Writer: writer}, log)
}

func (m *mirroring) close() {
	m.copy.Close() // and what it is a copy of
	m.to.Close()
}

// called is what this mirror is among the nodes of the other region.
func (m *mirroring) called() string { return "mirror " + m.name }

// run stands for election in the other region, and copies while it leads.
func (m *mirroring) run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	parts.Go(func() { m.copy.Run(ctx) })
	parts.Go(func() { m.tellWhoLeads(ctx) })
	if m.api != nil {
		parts.Go(func() { m.serve(ctx) })
	}
	m.to.Campaign(ctx, consulstore.Candidate{Node: m.called(), Address: m.leader(), Lead: m.lead})
	return nil
}

// lead copies for as long as this mirror leads in the other region.
func (m *mirroring) lead(ctx context.Context, term uint64) {
	m.log.Warn("this mirror leads in the other region: its Consul is kept as the first one is", "term", term)
	copying, err := mirror.New(mirror.Config{From: m.copy, To: m.to, Folders: valueFolders, Tell: func(what string, err error) {
		if err != nil {
			m.log.Error(what, "err", err)
			return
		}
		m.log.Info(what)
	}})
	if err != nil {
		m.log.Error("the mirror cannot work", "err", err)
		return
	}
	m.begin(copying, term)
	defer m.end()
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	parts.Go(func() { m.pass(ctx) })
	if err := copying.Run(ctx); err != nil && ctx.Err() == nil {
		m.log.Error("the mirror stops copying", "err", err)
	}
}

// begin and end frame a term.
func (m *mirroring) begin(copying *mirror.Mirror, term uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.copying, m.term = copying, term
}

func (m *mirroring) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past = m.sum()
	m.copying, m.past.Waiting = nil, time.Time{}
}

// sum is how far all terms have come. The caller holds mu.
func (m *mirroring) sum() mirror.Progress {
	all := m.past
	if m.copying != nil {
		now := m.copying.Progress()
		all.Copies, all.Failures, all.Waiting = all.Copies+now.Copies, all.Failures+now.Failures, now.Waiting
		if now.Matched.After(all.Matched) {
			all.Matched = now.Matched
		}
	}
	return all
}

const lookEvery = time.Second

// pass has orders that are given in the other region go to who leads in the first.
func (m *mirroring) pass(ctx context.Context) {
	for ctx.Err() == nil {
		if address := m.leader(); address != "" {
			if err := m.to.Readdress(ctx, address); err != nil && ctx.Err() == nil {
				m.log.Warn("orders that are given in the other region do not find who leads", "err", err)
			}
		}
		pause(ctx, lookEvery)
	}
}

// leader is the address of the control node that leads in the first region, "" while
// none is known.
func (m *mirroring) leader() string {
	l, _ := m.from.Leader()
	return l.Address
}

// tellWhoLeads says when somebody else leads in the other region.
func (m *mirroring) tellWhoLeads(ctx context.Context) {
	m.to.Watch(ctx) // to hear of it
	told := ""
	for ctx.Err() == nil {
		l, _ := m.to.Leader()
		if l.Node != told && l.Node != "" && l.Node != m.called() {
			m.log.Warn("another node leads in the other region: the mirror waits until nobody does", "node", l.Node, "address", l.Address, "since", l.Since)
		}
		told = l.Node
		pause(ctx, lookEvery)
	}
}
