package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"fairway/cmd/fairway/demo"
	"fairway/cmd/fairway/localfleet"
	"fairway/deploy"
	"fairway/steering/certs"

	"github.com/spf13/cobra"
)

func demoFleetCommand() *cobra.Command {
	var f localFleet
	c := &cobra.Command{
		Use:   "fleet",
		Short: "Run a whole fleet on this machine: Consul, control, vantages and doors, each a process of its own",
		Long: `Run three Consul servers, two control nodes, three vantages, two DNS and two HTTP
doors, each a process with an address and a data folder of its own, and the emulated
CDNs of the demo. Configuration, access rules and commands are those of production
(deploy/). Kill what you like: as under systemd, what ends is started again.
Ctrl-C ends everything; nothing stays on disk.`,
		RunE: func(c *cobra.Command, _ []string) error {
			stop, cancel := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer cancel()
			f.out = c.OutOrStdout()
			return f.run(stop)
		},
	}
	c.Flags().StringVar(&f.program, "consul", "consul", "the Consul program")
	c.Flags().StringVar(&f.network, "network", "127.2", "the first two numbers of the nodes' loopback addresses")
	durationFlag(c, &f.restart, "restart", 30*time.Second, "how long after its end a process is started again; 0 = never")
	return c
}

// localFleet is a fleet on this machine, and the world that it steers in.
type localFleet struct {
	program, network string
	restart          time.Duration
	out              io.Writer
	saying           sync.Mutex

	folder string
	world  *demo.World
	consul *localfleet.Consul
	fleet  *localfleet.Fleet
	grants map[string]string // Consul's tokens, by what they are for
	issuer *localfleet.Authority
	seal   string            // what the keys of signed zones are sealed with
	tokens map[string]string // of the API, by their names in deploy/fleet.yaml
}

// fleetMember is a node as it is started.
type fleetMember struct{ name, role, address, flags, token string }

// Where the nodes' doors and APIs listen; each node has an address of its own.
const (
	fleetAPI  = ":8400"
	fleetDNS  = ":5300"
	fleetHTTP = ":8080"
)

// members are the nodes in the order of their start.
func (f *localFleet) members() []fleetMember {
	var all []fleetMember
	for i, kind := range []struct {
		name, role string
		count      int
	}{{"control", "control", 2}, {"vantage", "probe", 3}, {"dns", "dns", 2}, {"http", "http", 2}} {
		for n := 1; n <= kind.count; n++ {
			m := fleetMember{name: fmt.Sprintf("%s-%d", kind.name, n), role: kind.role, address: fmt.Sprintf("%s.%d.%d", f.network, i+2, n), token: "edges"}
			switch kind.role {
			case "probe":
				m.flags, m.token = "--vantage="+strings.ReplaceAll(vantagesOf(n), " ", ""), fleetTokens[n-1]
			case "dns":
				m.flags = "--dns=" + m.address + fleetDNS
			case "http":
				m.flags = "--http=" + m.address + fleetHTTP
			}
			all = append(all, m)
		}
	}
	return all
}

func (f *localFleet) run(stop context.Context) error {
	program, err := exec.LookPath(f.program)
	if err != nil {
		return fmt.Errorf("%w\n    a fleet keeps what it shares in Consul: install it, or name it with --consul; \"make fleet\" builds one", err)
	}
	f.program = program
	if f.folder, err = os.MkdirTemp("", "fairway-fleet-"); err != nil {
		return err
	}
	defer os.RemoveAll(f.folder)
	if err := f.openWorld(); err != nil {
		return err
	}
	running, end := context.WithCancel(context.Background())
	var worldEnded sync.WaitGroup
	failed := make(chan error, 1)
	worldEnded.Go(func() { failed <- f.world.Run(running) })
	defer worldEnded.Wait()
	defer end()
	faults, err := f.serveFaults()
	if err != nil {
		return err
	}
	defer faults.Close()
	logs := filepath.Join(f.folder, "log")
	if err := os.Mkdir(logs, 0o700); err != nil {
		return err
	}
	f.fleet = localfleet.New(localfleet.Config{Logs: logs, Restart: f.restart, Tell: f.say})
	defer func() {
		f.say("ending")
		f.fleet.Stop(10 * time.Second)
	}()
	if err := f.start(stop); err != nil {
		return err
	}
	here := runningDemo{
		PID: os.Getpid(), API: "https://" + f.network + ".4.1" + fleetAPI, TokenFile: f.world.TokenFile(), CAFile: f.authorityFile(), Folder: f.folder,
		Faults: "http://" + f.network + ".0.1" + fleetAPI,
	}
	if err := here.announce(); err != nil {
		return err
	}
	defer here.withdraw()
	f.welcome()
	select {
	case <-stop.Done():
		return nil
	case err := <-failed:
		return err // without CDNs there is nothing to show
	}
}

func (f *localFleet) say(line string) {
	f.saying.Lock()
	defer f.saying.Unlock()
	fmt.Fprintln(f.out, line)
}

// openWorld makes the CDNs, and the configuration that every node reads.
func (f *localFleet) openWorld() error {
	shared := filepath.Join(f.folder, "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		return err
	}
	var err error
	if f.world, err = demo.New(demo.Options{Dir: shared, OfFleet: true}); err != nil {
		return err
	}
	if err := f.world.Listen(); err != nil {
		return err
	}
	f.say("emulated CDNs: alpha, bravo, charlie")
	if f.issuer, err = localfleet.NewAuthority(); err != nil {
		return err
	}
	if err := f.issuer.WriteTo(f.authorityFile()); err != nil {
		return err
	}
	f.seal = rand.Text() + rand.Text()
	f.tokens = make(map[string]string)
	for _, name := range fleetTokens {
		f.tokens[name] = rand.Text() + rand.Text()
	}
	f.tokens["release"], err = readToken(f.world.TokenFile()) // the demo's, which commands find
	if err != nil {
		return err
	}
	var servers []string
	for i := 1; i <= 3; i++ {
		servers = append(servers, fmt.Sprintf("%s.1.%d", f.network, i))
	}
	f.consul = localfleet.NewConsul(f.program, filepath.Join(f.folder, "consul"), servers...)
	return nil
}

// start starts Consul and then the nodes, and returns when all are ready.
func (f *localFleet) start(stop context.Context) error {
	servers, err := f.consul.Processes()
	if err != nil {
		return err
	}
	for _, p := range servers {
		if err := f.fleet.Start(p); err != nil {
			return err
		}
	}
	f.say("consul-1, consul-2, consul-3: started")
	limited, cancel := context.WithTimeout(stop, startWithin)
	defer cancel()
	f.grants = make(map[string]string)
	for name, rules := range map[string]string{"control": deploy.ControlRules, "edge": deploy.EdgeRules} {
		if f.grants[name], err = f.consul.Grant(limited, "fairway-"+name, rules); err != nil {
			return fmt.Errorf("%w\n    what Consul says is in %s", err, f.fleet.Logs)
		}
	}
	f.say("consul: the servers have a leader, and tokens for control and for edges")
	for _, m := range f.members() {
		if err := f.startMember(m); err != nil {
			return err
		}
	}
	for _, m := range f.members() {
		if err := f.awaitReady(limited, m); err != nil {
			return err
		}
		f.say(m.name + ": ready")
	}
	return nil
}

// startWithin is how long the whole fleet has to come up, on a busy machine too.
const startWithin = 3 * time.Minute

// startMember makes a node's machine, a folder with etc and data, and starts it.
func (f *localFleet) startMember(m fleetMember) error {
	etc := filepath.Join(f.folder, m.name, "etc")
	if err := os.MkdirAll(etc, 0o700); err != nil {
		return err
	}
	// One configuration for all: an edit of the shared file reaches every machine, as
	// configuration management would bring it there.
	if err := os.Symlink(f.world.ConfigFile(), filepath.Join(etc, "fairway.yaml")); err != nil {
		return err
	}
	if err := os.Symlink(f.authorityFile(), filepath.Join(etc, "fleet-ca.pem")); err != nil {
		return err
	}
	address, err := netip.ParseAddr(m.address)
	if err == nil {
		err = f.issuer.Issue(etc, m.name, address)
	}
	if err != nil {
		return err
	}
	grant := f.grants["edge"]
	if m.role == "control" {
		grant = f.grants["control"]
	}
	files := map[string]string{"fleet.yaml": f.fleetSection(m), "consul-token": grant + "\n", "control-token": f.tokens[m.token] + "\n"}
	if m.role == "control" || m.role == "dns" {
		files["keys.secret"] = f.seal + "\n"
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{self, "run", "--config", etc, "--data", filepath.Join(f.folder, m.name, "data"), "--role", m.role, "--name", m.name, "--api", m.address + fleetAPI}
	if m.flags != "" {
		args = append(args, m.flags)
	}
	return f.fleet.Start(localfleet.Process{Name: m.name, Args: args})
}

// fleetTokens are the tokens of deploy/fleet.yaml, in their order there. The three
// of vantages are for the three here.
var fleetTokens = []string{"fra", "ams", "nyc", "edges", "on-call", "release"}

// fleetSection is the fleet's part of a node's configuration, with the addresses,
// vantages and digests of here. Nodes ask different Consul servers, as they would
// their machines' agents.
func (f *localFleet) fleetSection(m fleetMember) string {
	server := int(m.address[len(m.address)-1]-'1') % 3
	here := []string{
		"http://127.0.0.1:8500", "http://" + f.consul.Address(server),
		"https://control-1.example:8400", "https://" + f.network + ".2.1" + fleetAPI,
		"https://control-2.example:8400", "https://" + f.network + ".2.2" + fleetAPI,
	}
	for i, name := range fleetTokens {
		here = append(here,
			fmt.Sprintf("%064x", i+1), fmt.Sprintf("%x", sha256.Sum256([]byte(f.tokens[name]))),
			"vantages: ["+name+"]", "vantages: ["+vantagesOf(i+1)+"]")
	}
	return strings.NewReplacer(here...).Replace(deploy.Fleet)
}

// vantagesOf are the places that a vantage process measures from: one of every
// region, so that the loss of one leaves a quorum everywhere.
func vantagesOf(n int) string { return fmt.Sprintf("na-%[1]d, eu-%[1]d, as-%[1]d, sa-%[1]d", n) }

// authorityFile holds the certificate of the authority that all nodes know.
func (f *localFleet) authorityFile() string { return filepath.Join(f.folder, "shared", "fleet-ca.pem") }

func (f *localFleet) awaitReady(ctx context.Context, m fleetMember) error {
	over, why := certs.Trust(f.authorityFile())
	if why != nil {
		return why
	}
	defer over.CloseIdleConnections()
	for {
		if why = ready(ctx, over, "https://"+m.address+fleetAPI+"/readyz"); why == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n    what it says is in %s", m.name, why, filepath.Join(f.fleet.Logs, m.name+".log"))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ready asks a node whether it is.
func ready(ctx context.Context, over http.RoundTripper, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: over}).Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		return errors.New(strings.TrimSpace(string(why)))
	}
	return nil
}

// serveFaults lets whoever has the demo's token break the CDNs, as on the API of the
// demo of one node.
func (f *localFleet) serveFaults() (*http.Server, error) {
	token, err := readToken(f.world.TokenFile())
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", f.network+".0.1"+fleetAPI)
	if err != nil {
		return nil, fmt.Errorf("%w\n    does another fleet run on this machine? name another --network", err)
	}
	faults := f.world.Handler()
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			answerJSON(w, http.StatusUnauthorized, map[string]string{"error": "the token is missing or wrong"})
			return
		}
		faults.ServeHTTP(w, r)
	})}
	go server.Serve(listener)
	return server, nil
}

// leader is who leads, "" while nobody says so.
func (f *localFleet) leader() string {
	for _, m := range f.members() {
		if m.role != "control" {
			continue
		}
		to, err := (&connection{address: "https://" + m.address + fleetAPI, tokenFile: f.world.TokenFile(), caFile: f.authorityFile()}).open()
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		var told fleetNode
		err = to.Do(ctx, http.MethodGet, fleetPath+"node", nil, &told)
		cancel()
		if err == nil && told.Leads {
			return m.name
		}
	}
	return ""
}

// welcome says what runs, where, and what to type next.
func (f *localFleet) welcome() {
	f.saying.Lock()
	defer f.saying.Unlock()
	token, _ := readToken(f.world.TokenFile())
	leader := f.leader()
	fmt.Fprintln(f.out)
	t := newTable(f.out, "NODE", "PROCESS", "ROLE", "LISTENS")
	for i := range 3 {
		name := fmt.Sprintf("consul-%d", i+1)
		t.row(name, fmt.Sprint(f.fleet.PID(name)), "consul server", "http://"+f.consul.Address(i))
	}
	for _, m := range f.members() {
		role, at := m.role, "API https://"+m.address+fleetAPI
		switch {
		case m.name == leader:
			role += ", leads"
		case role == "dns":
			at = "DNS " + m.address + fleetDNS + ", " + at
		case role == "http":
			at = "HTTP http://" + m.address + fleetHTTP + ", " + at
		}
		t.row(m.name, fmt.Sprint(f.fleet.PID(m.name)), role, at)
	}
	t.flush()
	fmt.Fprintf(f.out, `
Files: %[1]s; NODE/etc, NODE/data and log/NODE.log in it. Configuration: %[2]s
  console  https://%[3]s.2.1%[4]s/#token=%[5]s   (of an authority that browsers do not know)
  Consul   CONSUL_HTTP_ADDR=http://%[6]s CONSUL_HTTP_TOKEN=%[7]s consul operator raft list-peers
  players  %[8]s

Ask two doors as a viewer in Germany and one in the United States:
  dig @%[3]s.4.1 -p 5300 live.fairway.test A +subnet=5.9.0.0/24
  curl -sI -H 'X-Forwarded-For: 8.8.8.8' http://%[3]s.5.1%[9]s/r/live/main.m3u8
Who is there, and why did the viewer get that CDN:
  %[15]s fleet
  %[15]s explain --service live --client 5.9.0.1
Break a CDN, and ask again:
  %[15]s demo fault bravo --region eu --blackhole
  %[15]s demo fault bravo --clear
Take something away; the doors go on answering. Who leads now:
  kill -9 %[10]d          # %[11]s, which leads; the other one does within 21 s
  kill -9 %[12]d %[13]d %[14]d   # all of Consul
Ctrl-C ends everything.
`, f.folder, f.world.ConfigFile(), f.network, fleetAPI, token, f.consul.Address(0), f.consul.Manager(), f.world.Page(), fleetHTTP,
		f.fleet.PID(leader), leader, f.fleet.PID("consul-1"), f.fleet.PID("consul-2"), f.fleet.PID("consul-3"), os.Args[0])
}
