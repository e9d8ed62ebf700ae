//go:build slow

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/steering/store/consultest"
)

// recoveries is a table of what was taken away, and of how long it took.
type recoveries struct{ strings.Builder }

func (r *recoveries) row(what, until string, began time.Time) {
	fmt.Fprintf(r, "| %s | %s | %.1f s |\n", what, until, time.Since(began).Seconds())
}

func (r *recoveries) write(t *testing.T, o *oracle) {
	t.Helper()
	writeTable(t, "../../docs/FLEET.md", t.Name(), fmt.Sprintf("| what is taken away | until | time |\n|---|---|---|\n%s\n%v %s\n", r, o, otherLoad()))
}

// otherLoad says what else the machine did while something was measured.
func otherLoad() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	load, _, _ := strings.Cut(string(text), " ")
	return fmt.Sprintf("The machine has %d processors; its load average was %s.", runtime.NumCPU(), load)
}

// TestFleetOutlives takes away, under an oracle on two DNS and two HTTP edges: the
// leading control node by kill -9, by SIGSTOP (and lets it come back), the leader of
// three Consul servers, two, and all. Nothing may be lost or wrong. How long each
// recovery took goes into docs/FLEET.md.
func TestFleetOutlives(t *testing.T) {
	f := startFleet(t, 3, map[string]string{"control-1": "control", "control-2": "control", "dns-1": "dns", "dns-2": "dns", "http-1": "http", "http-2": "http"})
	edges, controls := []string{"dns-1", "dns-2", "http-1", "http-2"}, []string{"control-1", "control-2"}
	other := map[string]string{"control-1": "control-2", "control-2": "control-1"}
	leader := f.leader(controls...)
	o := f.watch(2000, f.settled(edges...), edges...)
	var table recoveries

	began := time.Now()
	f.nodes[leader].kill()
	f.leader(other[leader])
	table.row("the leading control node, by kill -9", "another one leads", began)
	f.start(leader)
	leader = other[leader]
	until(t, 2*patience, "who was killed stands by", func() bool { return f.self(other[leader]).Leader == leader })

	began, stopped := time.Now(), f.self(leader)
	f.nodes[leader].cmd.Process.Signal(syscall.SIGSTOP)
	f.leader(other[leader])
	table.row("the leading control node, by SIGSTOP", "another one leads", began)
	began = time.Now()
	f.nodes[leader].cmd.Process.Signal(syscall.SIGCONT)
	until(t, 2*patience, "who was paused follows", func() bool {
		now := f.self(leader)
		return now.Leader == other[leader] && !now.Leads && now.Generation > stopped.Generation
	})
	table.row("it comes back", "it follows, and has changed nothing", began)

	// The server that the nodes ask stays, until all are gone.
	first := 1 + max(0, slices.IndexFunc(f.consul[1:], (*consultest.Server).Leads))
	what := "one Consul server of three"
	if f.consul[first].Leads() {
		what = "the leading Consul server of three"
	}
	began = time.Now()
	f.consul[first].Kill()
	until(t, 2*patience, "the servers that are left have a leader", func() bool { return f.consul[0].Leads() || f.consul[3-first].Leads() })
	f.leader(controls...)
	table.row(what, "another one leads, and a control node does", began)

	f.consul[3-first].Kill()
	time.Sleep(15 * time.Second)
	began = time.Now()
	f.consul[first].Run(t)
	consultest.AwaitLeader(t, []*consultest.Server{f.consul[0], f.consul[first]})
	f.leader(controls...)
	table.row("two Consul servers of three, for a quarter of a minute", "a control node leads, after one of them is back", began)

	f.consul[first].Kill()
	f.consul[0].Kill()
	time.Sleep(30 * time.Second)
	began = time.Now()
	for _, server := range f.consul {
		server.Run(t)
	}
	consultest.AwaitLeader(t, f.consul)
	f.leader(controls...)
	table.row("all Consul servers, for half a minute", "a control node leads, after they are back", began)
	o.faultless(t)
	table.write(t, o)
}
