package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/pprof"
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
	"fairway/steering/api/console"
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

// firstConfiguration is what the node begins with: the revision in force, where
// it was applied over the files that are on disk now; else the files; where they
// are broken, the revision in force all the same, loudly.
func (n *node) firstConfiguration() (*configuration, error) {
	n.served = fingerprint(n.watched())
	files, err := n.readFiles()
	stored, force, known, storeErr := n.inForce(context.Background())
	if known && n.replica != nil {
		c, err := fromRevision(stored, folderOf(n.path), true)
		if err == nil {
			c.stored = true
			if n.own != nil { // where this node listens is its own affair
				c.Node = *n.own
			}
			return c, nil
		}
		n.log.Error("what the fleet has in force cannot be used: the files on disk serve", "revision", stored.Number, "err", err)
	}
	if known && n.replica == nil && force.Stands(*n.disk.Load()) {
		c, err := fromRevision(stored, folderOf(n.path), true)
		if err == nil {
			c.stored = true
			n.log.Warn("an applied revision serves, in place of the files on disk", "revision", stored.Number, "author", stored.Author,
				"created", stored.Created, "reason", stored.Reason)
			return c, nil
		}
		n.log.Error("the revision in force cannot be used: the files on disk serve", "revision", stored.Number, "err", err)
	}
	c, findings, err := n.compileFiles(files, err)
	if err == nil {
		tell(os.Stderr, append(findings, c.reviewed()...), c.warnings, nil)
		return c, nil
	}
	tell(os.Stderr, findings, nil, err)
	if storeErr != nil || !known {
		return nil, errors.Join(fmt.Errorf("no usable configuration at %s, and no earlier one in %s", n.path, n.data), storeErr)
	}
	c, storeErr = fromRevision(stored, folderOf(n.path), true)
	if storeErr != nil {
		return nil, errors.Join(fmt.Errorf("no usable configuration at %s", n.path), storeErr)
	}
	c.stored, c.lastGood = true, err.Error()
	n.fail(err)
	n.log.Error("the configuration on disk is broken: the last good revision serves", "path", n.path,
		"revision", stored.Number, "stored", stored.Created, "err", err)
	return c, nil
}

// readFiles reads the files at the node's path and remembers what they were.
func (n *node) readFiles() ([]policies.File, error) {
	files, err := policies.Read(n.path)
	hash := ""
	if err == nil {
		hash = policies.Hash(files)
	}
	n.disk.Store(&hash)
	return files, err
}

// compileFiles compiles what was read, patient with geo databases while the node
// starts.
func (n *node) compileFiles(files []policies.File, err error) (*configuration, policies.Findings, error) {
	if err != nil {
		return nil, nil, err
	}
	c, findings, err := compile(files, n.config.Load() == nil)
	if err == nil && c.geoError != nil {
		n.log.Error("a geo database cannot be read: the built-in country data stands in", "err", c.geoError)
	}
	return c, findings, err
}

// makeParts makes what the roles need; nothing listens or runs yet.
func (n *node) makeParts(c *configuration) error {
	token, err := n.token(c)
	if err != nil {
		return err
	}
	var problems []error
	n.decisions, err = n.newDecisionLog()
	problems = append(problems, err)
	n.peers = openPeers(c.Node, n.log)
	shown, err := n.shown(c, token)
	problems = append(problems, err)
	n.keys, err = n.newKeeper(c)
	problems = append(problems, err)
	n.acme, err = n.newACME(c.Node)
	problems = append(problems, err)
	n.learning, err = learn.New(n.learnConfig(c))
	problems = append(problems, err)
	if n.roles.dns {
		problems = append(problems, n.makeSecondary(), n.makePrimary(c))
		n.aliases, err = n.newAliases(c)
		problems = append(problems, err)
		config := dnsDoor(n.listening(c.Node))
		config.Aliases = n.aliases
		config.Current, config.Sockets, config.Signer = n.current, n.sockets, n.keys
		config.Copies, config.Logger = n.primary, n.log.With("door", "dns")
		config.Learning = n.learning
		config.TLS.Config = n.dotCertificate(c.Node, config.Logger)
		config.Observer = dnsObserver{n.metrics.DNS(), n.sample, n.decisions.log()}
		if n.taps, err = newTaps(c.Node.DNS, n.log); err != nil {
			problems = append(problems, err)
		}
		for _, t := range n.taps {
			config.Taps = append(config.Taps, t)
		}
		n.dns, err = dnsserver.New(config)
		problems = append(problems, err)
		n.primary.Serve(n.dns)
	}
	if n.roles.control {
		n.audience = newAudience(n)
		n.chronicle = newChronicle(n)
		n.imports, err = n.newImporter()
		problems = append(problems, err)
	}
	if n.roles.http || n.roles.probe {
		n.signers = newSigners()
		n.loadTokens(c)
	}
	if n.roles.http {
		secret, err := steeringSecret(c.Node.SteeringSecret)
		problems = append(problems, err)
		n.collector, err = n.newCollector(secret)
		problems = append(problems, err)
		secure, err := n.httpsDoor(c.Node)
		problems = append(problems, err)
		n.http, err = httpserver.New(httpserver.Config{
			Explainer: n.explainer(c, token), TLS: secure, ProxyProtocol: c.Node.HTTP.ProxyProtocol,
			Connections: n.connections(c.Node), Listen: n.listening(c.Node).Listen.HTTP, Open: n.sockets.Listen, Current: n.current, Fetch: fetchManifest(n.log), Signer: n.signers, TrustedProxies: c.Node.TrustedProxies, Hosts: c.Node.HTTPHosts,
			SteeringSecret: secret, Learning: n.learning, Observer: httpObserver{n.metrics.HTTP(), n.sample, n.decisions.log()}, Logger: n.log.With("door", "http"),
			Players: n.collector, Challenge: n.board.Answer,
		})
		problems = append(problems, err)
	}
	var reported []*client.Client
	if !n.roles.control {
		reported, err = n.reportTo(c, shown)
		problems = append(problems, err)
		n.tellers.Store(&reported)
	}
	if n.roles.probe {
		sink, told := n.observe, n.conditionOf
		if !n.roles.control {
			n.courier, err = agent.New(agent.Config{
				Control: asControl(reported), Later: n.discovery != nil, Version: version(), Withheld: func() int64 { return n.probes.Withheld() }, Logger: n.log.With("part", "courier"),
			})
			problems = append(problems, err)
			sink = func(_ context.Context, batch []steering.Measurement) { n.probed(batch); n.courier.Add(batch) }
			told = func(name string, condition steering.Condition) { n.courier.Told(name, condition) }
		}
		n.probes, err = probes.New(probes.Config{
			Sink: sink, Told: told, Sign: n.signProbe, Logger: n.log.With("part", "probes"), Seed: uint64(n.started.UnixNano()), MaxInFlight: c.Revision.Probing.Budget.InFlight,
		})
		problems = append(problems, err)
	}
	n.api, err = api.New(api.Config{
		Listen: n.listening(c.Node).Listen.API, Open: n.sockets.Listen, Token: token, Control: &control{n}, Revisions: n.revisions(), Usage: n.carriers(), Ready: n.ready, Alive: n.alive, Forward: n.forward,
		Vantages: n.vantages(), Players: n.players(), History: n.past(), TLS: n.accept(), Certified: n.peers != nil && c.Node.PeerTLS.CA != "", Tokens: n.tokens(c), Needs: needs,
		Metrics: n.metrics.Handler(), Console: console.Handler(), Extra: n.extraPaths(), Logger: n.log.With("part", "api"),
	})
	return errors.Join(append(problems, err)...)
}

// extraPaths are the paths beside the API's own: those of the command that runs
// the node, and Go's profiles for whoever holds the token.
func (n *node) extraPaths() map[string]http.Handler {
	profiles := http.NewServeMux()
	profiles.HandleFunc("/debug/pprof/", pprof.Index)
	profiles.HandleFunc("/debug/pprof/profile", pprof.Profile)
	paths := map[string]http.Handler{learnPath: http.HandlerFunc(n.tellLearned), "/debug/pprof/": profiles}
	if n.keys != nil {
		paths[keysPath], paths[keysPath+"/"] = n.keysHandler(), n.keysHandler()
	}
	if n.dns != nil {
		paths[quarantinePath] = n.quarantineHandler()
	}
	paths[fleetPath], paths[certificatesPath] = n.fleetHandler(), n.certificatesHandler()
	maps.Copy(paths, n.extra)
	return paths
}

// listening is what the files say of the node, with the addresses that the command
// line gives in their stead.
func (n *node) listening(settings policies.Node) policies.Node {
	for _, door := range []struct{ said, into *[]string }{
		{&n.nodeOptions.listen.DNS, &settings.Listen.DNS}, {&n.nodeOptions.listen.HTTP, &settings.Listen.HTTP}, {&n.nodeOptions.listen.API, &settings.Listen.API},
	} {
		if len(*door.said) > 0 {
			*door.into = *door.said
		}
	}
	return settings
}

// listen binds every listener, so that an address in use is told before
// anything has begun.
func (n *node) listen() error {
	var problems []error
	if n.dns != nil {
		problems = append(problems, n.dns.Listen())
	}
	if n.http != nil {
		problems = append(problems, n.http.Listen())
	}
	problems = append(problems, n.api.Listen())
	if unclaimed := n.sockets.CloseUnclaimed(); len(unclaimed) > 0 {
		n.log.Warn("sockets were handed over that this configuration does not name: they are closed", "sockets", unclaimed)
	}
	return errors.Join(problems...)
}

// firstSnapshot gives the doors something to answer from: a control node
// decides from the stored state, another one takes it as it is.
func (n *node) firstSnapshot(c *configuration) error {
	ctx := context.Background()
	state, known, err := n.store.State(ctx)
	if err != nil {
		n.log.Error("the stored state cannot be read: decisions begin anew", "err", err)
	}
	if !n.roles.control {
		if err := n.followChange(ctx); err != nil {
			n.log.Error("what is in force was not taken up", "err", err)
		}
		if n.roles.doors() && n.current.Load() == nil {
			return n.follow(ctx, n.config.Load(), nil, state, known)
		}
		return nil
	}
	overrides, err := n.store.Overrides(ctx)
	if err != nil {
		n.log.Error("the stored overrides cannot be read: none is in force", "err", err)
	}
	loop := publish.Config{
		Layout: c.layout, Overrides: overrides, Publish: n.publish, Save: n.save, Handed: n.metrics.Handed, Logger: n.log.With("part", "publish"),
		Changed: n.chronicle.changed,
	}
	if known {
		loop.Saved = &state
		n.imports.Remember(state.Signals)
	}
	if n.replica != nil { // who leads is decided later: until then what is stored serves as it is
		loop.SaveEvery, loop.RefreshEvery = fleetSaves, fleetRefreshes
		if err := n.follow(ctx, c, nil, state, known); err != nil {
			return err
		}
		loop.Follow = n.current.Load()
	}
	rolled := n.firstRollout(ctx, c)
	if rolled.Canary != nil {
		loop.Canary, loop.CanaryShare = n.canary.Load().layout, rolled.InForce.Canary.Share
	}
	if n.loop, err = publish.New(loop); err != nil {
		return err
	}
	rolled.Standby = n.replica != nil
	n.rollout, err = rollout.New(rolled)
	return err
}

const (
	// fleetSaves is the least time between two saves of a fleet's leader: they are
	// how its decisions reach the others, and cost what has changed.
	fleetSaves = 50 * time.Millisecond
	// fleetRefreshes is how old figures beside verdicts may be on the other nodes: sent
	// with each change they would be most of what is sent.
	fleetRefreshes = 5 * time.Minute
)

func (n *node) save(ctx context.Context, state steering.State) error {
	if n.released.Load() || !n.leads() {
		return nil // it is the successor's to store, or another node's
	}
	err := n.store.PutState(ctx, state)
	if err != nil {
		n.metrics.StoreError("put_state")
	}
	return err
}

// Run serves until stop ends, then drains: it stops being ready, goes on
// answering for the configured time, finishes what is in flight and saves. When
// it is told to have itself replaced, it ends when the new process serves and
// the last connection has ended.
func (n *node) Run(stop context.Context, signals signals) error {
	defer n.store.Close()
	serving, end := context.WithCancelCause(context.WithoutCancel(stop))
	defer end(nil)
	running, rest := context.WithCancel(serving) // of everything but the doors
	defer rest()
	n.serving, n.decided = running, make(chan struct{})
	var doors, parts sync.WaitGroup
	startIn := func(ctx context.Context, group *sync.WaitGroup, name string, run func(context.Context) error) {
		group.Go(func() {
			if err := run(ctx); err != nil {
				end(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	start := func(name string, run func(context.Context) error) { startIn(running, &parts, name, run) }
	if n.dns != nil {
		start("alias", n.aliases.Run)
		startIn(serving, &doors, "dns", n.dns.Run)
		if n.dotFiles != nil {
			start("certificate", n.dotFiles.Run)
		}
	}
	start("learning", n.learning.Run)
	if n.primary != nil {
		start("transfer", func(ctx context.Context) error {
			n.awaitAliases(ctx)
			return n.primary.Run(ctx)
		})
		start("transfer", n.secondary.Run)
	}
	if n.http != nil {
		startIn(serving, &doors, "http", n.http.Run)
		if n.certificate != nil {
			start("certificate", n.certificate.Run)
		}
	}
	if n.keys != nil {
		start("dnssec", n.keys.Run)
	}
	for name, t := range n.taps {
		startIn(serving, &parts, name, t.Run)
	}
	if n.acme != nil {
		start("acme", n.acme.Run)
	}
	if n.acme != nil || n.roles.doors() {
		start("challenges", n.followValues)
	}
	start("api", n.api.Run)
	if n.peers != nil {
		start("peers", n.peers.Run)
	}
	if n.loop != nil {
		start("publish", func(ctx context.Context) error { defer close(n.decided); return n.loop.Run(ctx) })
	}
	if n.probes != nil || n.imports != nil {
		n.aim()
	}
	if n.probes != nil {
		start("probes", n.probes.Run)
	}
	if n.imports != nil {
		start("imports", n.imports.Run)
	}
	if n.chronicle != nil {
		start("history", n.chronicle.Run)
	}
	if n.collector != nil || n.audience != nil {
		start("players", n.hearPlayers)
	}
	if n.decisions != nil {
		start("decisions", n.decisions.Run)
	}
	if n.roles.doors() && !n.roles.control {
		start("counts", n.tellCounts)
	}
	if n.discovery != nil {
		start("discovery", n.discovery.Run)
	}
	if n.courier != nil {
		start("courier", n.courier.Run)
	}
	if n.rollout != nil {
		start("rollout", n.rollout.Run)
	}
	if n.replica != nil {
		start("store", n.replica.Run)
		start("registration", n.register)
		if n.loop != nil {
			start("election", n.campaign)
		}
	}
	if n.loop == nil || n.replica != nil {
		start("follow", n.followStore)
	}
	start("configuration", func(ctx context.Context) error { return n.watch(ctx, signals.reload) })
	n.announce()
	if n.serve(serving, stop, signals.replace) {
		n.retire(stop, &doors, rest)
	}
	end(nil)
	doors.Wait()
	parts.Wait()
	if err := context.Cause(serving); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// serve waits for the end: of a part that failed, by order, which it drains for,
// or because another process serves in this one's place, which is true.
func (n *node) serve(serving, stop context.Context, replace <-chan os.Signal) (replaced bool) {
	for {
		select {
		case <-serving.Done():
			return false
		case <-stop.Done():
			n.notify("STOPPING=1")
			n.deregister(serving)
			n.drain(serving)
			return false
		case <-replace:
			err := n.replace(stop)
			if err == nil {
				return true
			}
			n.log.Error("not replaced: this process goes on serving", "err", err)
		}
	}
}

// retire ends everything but the connections that are open, and waits for these,
// within bounds.
func (n *node) retire(stop context.Context, doors *sync.WaitGroup, rest func()) {
	if n.dns != nil {
		n.dns.Retire()
	}
	if n.http != nil {
		n.http.Retire()
	}
	rest()
	ended := make(chan struct{})
	go func() {
		doors.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-stop.Done():
	case <-time.After(retireWithin):
	}
}

// drain tells load balancers to go elsewhere and gives them time to.
func (n *node) drain(ctx context.Context) {
	n.draining.Store(true)
	wait := n.config.Load().Node.DrainFor
	n.log.Info("draining: not ready any more, still answering", "for", wait)
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

// aim points the probes at what the configuration in force names, and the one on
// trial.
func (n *node) aim() {
	n.aimAliases()
	n.reassign()
	revision := n.measured()
	if n.imports != nil {
		n.imports.Set(revision)
	}
	if n.probes == nil {
		return
	}
	vantages := slices.DeleteFunc(slices.Clone(revision.Vantages), func(v steering.Vantage) bool {
		return v.External || n.asVantages != nil && !slices.Contains(n.asVantages, v.Name)
	})
	if len(vantages) == 0 {
		n.log.Error("this node probes nothing: the configuration has none of its vantages", "vantages", n.asVantages)
	}
	aim := probes.Aim{
		Vantages: vantages, Targets: probes.Targets(revision), Allow: revision.Probing.Allow, Budget: revision.Probing.Budget,
		References: probes.ReferencesOf(revision.Reference),
	}
	if slices.ContainsFunc(aim.Targets, func(t probes.Target) bool { return t.Probe.Resolve == steering.ResolvePerRegion }) {
		aim.Subnets = n.config.Load().geo.Representatives()
	}
	n.probes.Set(aim)
}

// measured is the configuration that is measured: the one in force, and the one on
// trial beside it.
func (n *node) measured() *steering.Revision {
	revision := n.config.Load().Revision
	if canary := n.canary.Load(); canary != nil {
		revision = steering.Together(revision, canary.Revision)
	}
	return revision
}

// observe takes measurements in, whoever made them.
func (n *node) observe(ctx context.Context, batch []steering.Measurement) {
	n.probed(batch)
	if err := n.loop.Observe(ctx, batch); err != nil && ctx.Err() == nil {
		n.log.Error("measurements lost: the decision loop is behind", "count", len(batch), "err", err)
	}
}

// probed counts measurements and remembers their vantages.
func (n *node) probed(batch []steering.Measurement) {
	for i := range batch {
		n.metrics.Probed(batch[i])
		n.sawVantage(batch[i].Vantage, batch[i].At)
	}
}

// health is what metrics and status show: the loop's newest, or what the
// followed state holds.
func (n *node) health() steering.HealthTable {
	if n.loop != nil {
		return n.loop.View().Health
	}
	if followed := n.followed.Load(); followed != nil {
		return *followed
	}
	return steering.HealthTable{}
}

// held and braked are what metrics show of the loop's bounds.
func (n *node) held() []steering.Held {
	if n.loop == nil {
		return nil
	}
	return n.loop.View().Held()
}

func (n *node) braked() []steering.Braked {
	if n.loop == nil {
		return nil
	}
	return n.loop.View().Braked
}

func (n *node) ready() error {
	switch {
	case n.draining.Load():
		return errors.New("draining")
	case (n.roles.doors() || n.roles.control) && n.current.Load() == nil:
		return errors.New("no snapshot yet")
	case n.roles.dns && !n.aliased.Load():
		return errors.New("the hosts behind names that are answered with addresses are being looked up")
	case n.roles.doors() && n.loop == nil && n.followed.Load() == nil:
		return errors.New("no decision of a control node yet: static weights serve")
	}
	return nil
}

// alive fails when the decision loop has stood still: only a restart helps.
func (n *node) alive() error {
	const stuck = 30 * time.Second
	if n.loop != nil {
		if age := time.Since(n.loop.View().At); age > stuck {
			return fmt.Errorf("the decision loop has not run for %v", age.Round(time.Second))
		}
	}
	return nil
}

// token reads the API's token; a missing file is made, so that there is no
// first start without one.
func (n *node) token(c *configuration) (string, error) {
	if c.Node.TokenFile == "" {
		return "", nil
	}
	token, err := readToken(c.Node.TokenFile)
	if !errors.Is(err, os.ErrNotExist) {
		return token, err
	}
	if n.roles.probe && !n.roles.control && c.Node.ControlToken == "" {
		return "", fmt.Errorf("%w\n    this node sends measurements to control, which knows its own token only: copy control's file to %s", err, c.Node.TokenFile)
	}
	n.log.Info("made a token for the API", "file", c.Node.TokenFile)
	return makeToken(c.Node.TokenFile)
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
