package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"fairway/cmd/fairway/handover"
	"fairway/dnsserver"
	"fairway/dnsserver/alias"
	"fairway/dnsserver/dnssec"
	"fairway/dnsserver/tap"
	"fairway/dnsserver/transfer"
	"fairway/policies"
	"fairway/probes"
	"fairway/probes/agent"
	"fairway/probes/imports"
	"fairway/steering"
	"fairway/steering/acme"
	"fairway/steering/api"
	"fairway/steering/api/client"
	"fairway/steering/certs"
	"fairway/steering/geo"
	"fairway/steering/history"
	"fairway/steering/httpserver"
	"fairway/steering/learn"
	"fairway/steering/metrics"
	"fairway/steering/publish"
	"fairway/steering/rollout"
	"fairway/steering/rum"
	"fairway/steering/sample"
	"fairway/steering/store"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/filestore"
	"fairway/steering/store/nearest"
	"fairway/steering/store/replica"
	"fairway/steering/vantage"
)

// nodeOptions is what a command tells a node beside the configuration.
type nodeOptions struct {
	path   string // of the configuration
	data   string // folder of the store
	roles  roles
	listen policies.Listen         // instead of the configuration's, where it names something
	extra  map[string]http.Handler // further paths of the API

	name       string         // in the fleet; empty = the machine's, with the API's port
	asVantages []string       // probe as these only; nil = as all
	history    history.Config // Folder is filled in
	logged     loggedDecisions
	log        *slog.Logger
	*lineage   // nil = the process neither succeeds another nor is succeeded
}

// node is one process of Fairway: the parts that its roles need, wired
// together. It holds no logic of its own but their order of starting and
// stopping.
type node struct {
	nodeOptions
	started time.Time
	store   store.Store
	replica *replica.Store     // the store, where a fleet shares one; nil = this node has its own
	shared  *consulstore.Store // behind the replica: the Consul that is near
	nearest *nearest.Store     // reads from one of several; nil = there is one
	consuls []*consulstore.Store
	metrics *metrics.Metrics
	sample  *sample.Sample // of what the doors are asked
	current *steering.Current
	publish func(*steering.Snapshot)

	config   atomic.Pointer[configuration] // serves
	canary   atomic.Pointer[configuration] // is on trial; nil = none
	checked  atomic.Pointer[configuration] // compiled and not yet in force, so that it need not be compiled again
	disk     atomic.Pointer[string]        // hash of the files on disk when they were last read
	failure  atomic.Pointer[string]        // why the last reload failed; nil = it did not
	served   string                        // fingerprint of the files at the start
	named    namedFiles                    // what the configuration's file names; read and written where files are looked at
	draining atomic.Bool

	load loadMeter

	// Of a node of a fleet.
	registering sync.Mutex
	leaving     bool                                     // it is not to be registered any more; guarded by registering
	heldBack    atomic.Pointer[withheld]                 // what is in force in the fleet and not taken up here; nil = nothing
	lastMembers atomic.Pointer[[]consulstore.Registered] // that Consul knew last; nil = it was not asked yet
	own         *policies.Node                           // what the files on this node's disk said at the start; nil = they were broken
	leading     atomic.Bool
	following   sync.Mutex      // held while what the fleet has is taken up; guards restoring
	serving     context.Context // ends with the node; set by Run
	decided     chan struct{}   // closed when the loop has ended, and stored its last state

	restoring struct{ main, canary steering.Follower } // of states that are followed

	followed atomic.Pointer[steering.HealthTable] // of the state that a node without control follows
	ordering sync.Mutex                           // held from reading the stored overrides until they are in force
	seen     sync.Map                             // vantage → time.Time of its newest measurement

	loop        *publish.Loop                    // control
	rollout     *rollout.Rollout                 // control
	probes      *probes.Scheduler                // probe
	courier     *agent.Courier                   // probe without control
	reporters   *vantage.Book                    // control
	ill         sync.Mutex                       // held while the loop is told who is ill
	conditions  sync.Map                         // vantage of this node's own probes → steering.Condition
	reassigned  atomic.Pointer[chan struct{}]    // closed when vantages may have something else to measure
	tellers     atomic.Pointer[[]*client.Client] // doors without control: whom to tell what they hand out
	discovery   *discovery                       // nil = control nodes are not to be found in Consul
	keys        *dnssec.Keeper                   // control, dns
	dns         *dnsserver.Server
	taps        map[string]*tap.Tap       // of the DNS door, by name
	aliases     *alias.Book               // dns
	primary     *transfer.Primary         // dns
	secondary   *transfer.Secondary       // dns
	learning    *learn.Table              // dns with http
	decisions   *decisionWriter           // dns, http; nil = none are logged
	collector   *rum.Collector            // http
	chronicle   *chronicle                // control
	imports     *imports.Importer         // control
	audience    *audience                 // control
	places      atomic.Pointer[geo.Table] // every country and AS apart; nil = not compiled yet
	refills     chan struct{}             // a zone has come from elsewhere
	http        *httpserver.Server
	aliased     atomic.Bool  // the hosts behind names were looked up once; see awaitAliases
	signers     *signers     // http, probe
	certificate *certs.Files // of listen.https; nil = there is none, or it is obtained
	dotFiles    *certs.Files // of listen.dot; nil = there is none, or it is obtained
	acme        *acme.Keeper // nil = no certificate is obtained
	board       acme.Board   // what the doors answer authorities
	challenging sync.Mutex   // held while the challenges of the store are taken up
	api         *api.Server
	peers       *certs.Files // of the API and among nodes; nil = they speak in the clear
}

// newNode opens the store, loads the configuration, binds every listener and
// makes the first snapshot. After it the node can answer as soon as it runs.
func newNode(options nodeOptions) (*node, error) {
	if options.lineage == nil {
		options.lineage = &lineage{sockets: &handover.Sockets{}}
	}
	n := &node{nodeOptions: options, named: make(namedFiles), started: time.Now(), sample: sample.New(sample.Config{Size: sampleSize})}
	n.current, n.publish = steering.NewCurrent(nil)
	unchanged := make(chan struct{})
	n.reassigned.Store(&unchanged)
	if options.roles.control {
		n.reporters = vantage.New()
	}
	var err error
	if n.replica, err = n.openReplica(); err != nil {
		return nil, err
	}
	if n.store = n.replica; n.replica == nil {
		if n.store, err = openStore(options); err != nil {
			return nil, err
		}
	}
	if err := n.build(); err != nil {
		n.store.Close()
		return nil, err
	}
	return n, nil
}

// openStore opens the data folder, for writing where the node controls. A disk
// that cannot be written does not stop it: it answers from what can be read.
func openStore(o nodeOptions) (store.Store, error) {
	options := filestore.Options{Writer: o.roles.control && o.predecessor == nil, Warn: func(err error) { o.log.Warn("store", "err", err) }}
	s, err := filestore.Open(o.data, options)
	if options.Writer && unwritable(err) {
		o.log.Error(cannotWrite, "folder", o.data, "err", err)
		options.Writer = false
		return filestore.Open(o.data, options)
	}
	return s, err
}

const cannotWrite = "the data folder cannot be written: the node serves, but overrides cannot be given and nothing new survives a restart"

// unwritable tells whether an error of the store is the disk's refusal.
func unwritable(err error) bool {
	return slices.ContainsFunc([]error{syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.ENOSPC, syscall.EDQUOT},
		func(cause error) bool { return errors.Is(err, cause) })
}

func (n *node) build() error {
	c, err := n.firstConfiguration()
	if err != nil {
		return err
	}
	n.config.Store(c)
	n.served += fingerprint(c.Node.Databases)
	if n.roles.http {
		n.served += fingerprint(tokenFiles(c.Revision))
	}
	shown := metrics.Config{
		Version:   version(),
		Snapshot:  n.current.Load,
		Health:    n.health,
		Overrides: (&control{n}).Overrides,
		Held:      n.held,
		Braked:    n.braked,
		Revision:  func() *steering.Revision { return n.config.Load().Revision },
		Usage:     n.carried,
		Stretch:   n.stretch,
	}
	if n.roles.dns {
		shown.DNSCounts, shown.AliasCounts = n.dnsCounts, n.aliasCounts
	}
	if n.roles.http {
		shown.Reports, shown.HTTPConnections = n.playerReports, n.httpConnections
	}
	shown.Load, shown.Certificates = n.load.now, n.shownCertificates
	if n.roles.control || n.roles.probe {
		shown.Vantages = n.shownVantages
	}
	if n.roles.control {
		shown.Imports = n.shownImports
	}
	if n.replica != nil {
		shown.Fleet = n.standing
	}
	if n.roles.dns || n.roles.control {
		shown.Signing = n.signing
	}
	n.metrics = metrics.New(shown)
	if c.lastGood != "" || c.geoError != nil {
		n.metrics.Reloaded(false)
	}
	if err := n.makeParts(c); err != nil {
		return err
	}
	if err := n.fill(c); err != nil {
		return err
	}
	if n.keys != nil {
		if err := n.keys.Prepare(c.Revision.Zones); err != nil {
			n.log.Error("keys of signed zones cannot be looked after: where there are none, who asks for signatures is answered SERVFAIL until this is mended", "err", err)
		}
	}
	if n.dns != nil {
		if err := n.dns.Prepare(c.layout); err != nil {
			return err
		}
	}
	if err := n.listen(); err != nil {
		return err
	}
	if n.predecessor != nil {
		if err := n.succeed(context.Background()); err != nil {
			return err
		}
	}
	if err := n.firstSnapshot(c); err != nil || n.primary == nil {
		return err
	}
	n.aimAliases() // the copies have what was found before, from the first on
	if _, _, unknown := n.aliases.Count(); unknown == 0 {
		n.primary.Look() // else Run does, when there is something behind the names
	}
	return nil
}

// stateFolder is where a node keeps its store when --data is not given: what
// systemd names, else the user's own place for state.
func stateFolder() string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/fairway"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "fairway")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "fairway-data"
	}
	return filepath.Join(home, ".local", "state", "fairway")
}
