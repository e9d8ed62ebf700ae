package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/cmd/fairway/demo"
	"fairway/steering/store/consultest"

	consul "github.com/hashicorp/consul/api"
)

// fleetUnderTest is a fleet of separate processes with emulated CDNs: the same
// configuration for every node, with a data folder each.
type fleetUnderTest struct {
	t      *testing.T
	world  *demo.World
	consul []*consultest.Server
	config string
	temp   string
	nodes  map[string]*process
	doors  map[string]*doors // by node; api is set for each, dns and http where it has them
	roles  map[string]string

	elsewhere map[string]func(*exec.Cmd) // has a node's command run elsewhere than here, by node
}

// startFleet runs so many Consul servers, and nodes by name and role, beside the
// demo's CDNs.
func startFleet(t *testing.T, servers int, roles map[string]string) *fleetUnderTest {
	t.Helper()
	world, d := startBreakable(t)
	consul := consultest.Start(t, servers)
	if consul[0].Leads() { // the nodes ask the first, and one that leads is to be killed before it
		slices.Reverse(consul)
	}
	f := newFleet(t, consul, world.ConfigFile(), roles)
	f.world = world
	for name := range roles {
		f.doors[name] = newDoors(t)
		f.doors[name].token = d.token
	}
	f.configure(f.consul[0].Address)
	for name := range roles {
		f.start(name)
	}
	return f
}

// newFleet is a fleet without nodes yet, by a configuration that configure adds to.
func newFleet(t *testing.T, consul []*consultest.Server, config string, roles map[string]string) *fleetUnderTest {
	return &fleetUnderTest{
		t: t, consul: consul, config: config, temp: t.TempDir(), nodes: make(map[string]*process), doors: make(map[string]*doors), roles: roles,
	}
}

// configure writes into the configuration where the fleet's store and its control
// nodes are.
func (f *fleetUnderTest) configure(consul string) {
	f.t.Helper()
	var controls []string
	for name, role := range f.roles {
		if role == "control" {
			controls = append(controls, fmt.Sprintf("%q", "http://"+f.doors[name].api))
		}
	}
	text, err := os.ReadFile(f.config)
	if err != nil {
		f.t.Fatal(err)
	}
	write(f.t, filepath.Dir(f.config), filepath.Base(f.config), string(text)+fmt.Sprintf("\nstore: {consul: {address: %q, prefix: test}}\ncontrol: {addresses: [%s]}\n",
		consul, strings.Join(controls, ", ")))
}

// arguments are those of a node.
func (f *fleetUnderTest) arguments(name string) []string {
	at := f.doors[name]
	args := []string{"run", "--config", f.config, "--data", filepath.Join(f.temp, name), "--role", f.roles[name], "--name", name, "--api", at.api}
	for flag, address := range map[string]string{"--dns": at.dns, "--http": at.http} {
		if address != "" {
			args = append(args, flag, address)
		}
	}
	if f.roles[name] == "probe" {
		args = append(args, "--vantage", name)
	}
	return args
}

// start runs a node, also again after it has ended.
func (f *fleetUnderTest) start(name string) {
	cmd := command(f.t, f.temp, f.arguments(name)...)
	if elsewhere := f.elsewhere[name]; elsewhere != nil {
		elsewhere(cmd)
	}
	f.nodes[name] = startCommand(f.t, cmd)
}

// self is what a node tells of itself.
func (f *fleetUnderTest) self(name string) (told fleetNode) {
	c := connection{address: f.doors[name].api, tokenFile: filepath.Join(filepath.Dir(f.config), "token")}
	node, err := c.open()
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), oneAnswer)
	defer cancel()
	if node.Do(ctx, "GET", fleetPath+"node", nil, &told) != nil {
		return fleetNode{}
	}
	return told
}

// leader waits for a leader among some nodes and returns its name.
func (f *fleetUnderTest) leader(among ...string) (name string) {
	f.t.Helper()
	until(f.t, 2*patience, "a control node leads", func() bool {
		for _, name = range among {
			if f.self(name).Leads {
				return true
			}
		}
		return false
	})
	return name
}

// command runs a command against a node.
func (f *fleetUnderTest) command(node string, args ...string) string {
	f.t.Helper()
	out, errs, code := run(f.t, f.temp, append(args, "--api", f.doors[node].api, "--token-file", filepath.Join(filepath.Dir(f.config), "token"))...)
	if code != 0 {
		f.t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
	}
	return out
}

// cnames is what a DNS door gives each region's client.
func cnames(d *doors) map[string]string {
	all := make(map[string]string)
	for region, client := range clientIn {
		all[region] = d.cname("live.fairway.test.", client)
	}
	return all
}

// given is what an edge gives each region's client, by name, whichever door it has.
func (f *fleetUnderTest) given(edge string) map[string]string {
	if f.roles[edge] == "dns" {
		return cnames(f.doors[edge])
	}
	all := make(map[string]string)
	for region, client := range clientIn {
		if answer, err := f.doors[edge].decide("live", client); err == nil && len(answer.Endpoints) > 0 {
			all[region] = answer.Endpoints[0].Host
		}
	}
	return all
}

// settled waits until all edges answer by a decision of control, and the same.
// Nothing is measured in these fleets: a machine so busy that emulated CDNs look down
// changes no answer.
func (f *fleetUnderTest) settled(edges ...string) map[string]string {
	f.t.Helper()
	var want map[string]string
	since := time.Now()
	until(f.t, 3*patience, "all edges stand at the same", func() bool {
		for _, edge := range edges {
			now, self := f.given(edge), f.self(edge)
			if self.Health != "ready" || self.Generation == 0 || now["eu"] == "" || !maps.Equal(now, want) {
				want, since = now, time.Now()
				return false
			}
		}
		return time.Since(since) > 2*time.Second
	})
	return want
}

// TestFleet: nodes on machines of their own follow a leader through Consul. The
// leader goes, and another one decides; Consul goes, and every edge answers on,
// also one that was killed.
func TestFleet(t *testing.T) {
	f := startFleet(t, 1, map[string]string{"control-1": "control", "control-2": "control", "dns-1": "dns", "dns-2": "dns"})
	edges := []string{"dns-1", "dns-2"}
	leader := f.leader("control-1", "control-2")
	other := map[string]string{"control-1": "control-2", "control-2": "control-1"}[leader]
	want := f.settled(edges...)
	o := f.watch(500, want, edges...)

	before := f.self(leader)
	f.nodes[leader].stop(syscall.SIGTERM, patience)
	f.leader(other)
	if now := f.self(other); now.Term <= before.Term || now.Generation <= before.Generation {
		t.Errorf("term %d, generation %d after %d, %d", now.Term, now.Generation, before.Term, before.Generation)
	}
	o.faultless(t)

	// An order given to an edge reaches the leader, and comes back to every edge.
	cdn := providerOf(want["eu"])
	f.command("dns-1", "drain", cdn, "--region", "eu", "--reason", "test", "--for", "1h")
	until(t, patience, "both edges leave the drained CDN", func() bool {
		return providerOf(cnames(f.doors["dns-1"])["eu"]) != cdn && providerOf(cnames(f.doors["dns-2"])["eu"]) != cdn
	})
	f.start(leader)
	until(t, patience, "who led before follows", func() bool { return f.self(leader).Leader == other && !f.self(leader).Leads })
	until(t, patience, "the table shows who is there", func() bool {
		var table struct{ Nodes []fleetNode }
		out := f.command("dns-2", "fleet", "-o", "json")
		ready := 0
		if json.Unmarshal([]byte(out), &table) == nil {
			for _, n := range table.Nodes {
				if n.Health == "ready" {
					ready++
				}
			}
		}
		return ready == 4
	})

	if f.doors["dns-1"].stale("live.fairway.test.", clientIn["eu"]) {
		t.Error("an edge that follows says that its answers may be stale")
	}
	f.consul[0].Kill() // from here on nothing new reaches an edge
	until(t, patience, "the edge says that Consul is away", func() bool {
		return strings.Contains(f.doors["dns-1"].scrape(), `fairway_fleet_trouble{kind="away"} 1`)
	})
	saysStale := func() bool { return f.doors["dns-1"].stale("live.fairway.test.", clientIn["eu"]) }
	until(t, patience, "the edge's answers say so too", saysStale)
	var table fleetTable
	if out := f.command("dns-2", "fleet", "-o", "json"); json.Unmarshal([]byte(out), &table) != nil || len(table.Nodes) != 4 || table.Trouble == "" {
		t.Errorf("without Consul, the fleet is %s", out)
	}
	until(t, patience, "the edge's copy is on disk", func() bool {
		for _, name := range []string{"state.json", "state.journal"} {
			copied, err := os.ReadFile(filepath.Join(f.temp, "dns-1", "fleet", "dns", name))
			if err == nil && strings.Contains(string(copied), fmt.Sprintf(`"generation":%d,`, f.doors["dns-1"].generation())) {
				return true
			}
		}
		return false
	})
	last := cnames(f.doors["dns-1"])
	f.nodes["dns-1"].kill()
	f.start("dns-1")
	until(t, patience, "the edge answers without Consul", func() bool { return f.doors["dns-1"].cname("live.fairway.test.", clientIn["eu"]) != "" })
	if now := cnames(f.doors["dns-1"]); !maps.Equal(now, last) {
		t.Errorf("without Consul a restarted edge answers %v, before %v", now, last)
	}
	until(t, patience, "the answers of the restarted edge say so", saysStale)
	f.consul[0].Run(t)
	until(t, 2*patience, "it follows again, and its answers say nothing", func() bool { return !saysStale() })
}

// TestDrainOrder: a node that is told to end leaves Consul's services first, and only then
// says that it is not ready, so that nobody is sent to one that is not; it goes on
// answering, and ends well.
func TestDrainOrder(t *testing.T) {
	f := startFleet(t, 1, map[string]string{"control-1": "control", "dns-1": "dns"})
	want := f.settled("dns-1")
	agent, err := consul.NewClient(&consul.Config{Address: f.consul[0].Address})
	if err != nil {
		t.Fatal(err)
	}
	registered := func() bool {
		all, err := agent.Agent().Services()
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(slices.Collect(maps.Values(all)), func(s *consul.AgentService) bool { return s.Meta["name"] == "dns-1" })
	}
	until(t, patience, "the edge is registered", registered)
	node := f.nodes["dns-1"]
	if err := node.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; {
		select {
		case <-node.exited:
			if code := node.cmd.ProcessState.ExitCode(); code != 0 || registered() {
				t.Errorf("it ends with %d; registered: %t", code, registered())
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(began) > patience {
			t.Fatal("it does not end")
		}
		r, err := direct.Get("http://" + f.doors["dns-1"].api + "/readyz")
		if err != nil {
			continue // it has closed
		}
		r.Body.Close()
		if r.StatusCode != http.StatusServiceUnavailable {
			continue
		}
		if registered() {
			t.Error("it is not ready any more, and still registered")
		}
		if now := f.given("dns-1")["eu"]; now != want["eu"] && now != "" { // nothing is told once it has closed
			t.Errorf("while it drains it answers %q, want %q", now, want["eu"])
		}
	}
}

// providerOf is the CDN of a host of the demo, REGION.CDN.fairway.test.
func providerOf(host string) string {
	parts := strings.Split(host, ".")
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

// generation is what a node answers from.
func (d *doors) generation() (n uint64) {
	for line := range strings.Lines(d.scrape()) {
		if figure, is := strings.CutPrefix(line, "fairway_snapshot_generation "); is {
			f, err := strconv.ParseFloat(strings.TrimSpace(figure), 64)
			if err != nil {
				d.t.Fatal(err)
			}
			n = uint64(f)
		}
	}
	return n
}
