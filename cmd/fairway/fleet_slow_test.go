//go:build slow

package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFleetOutlives takes away, under an oracle on two edges: the leading control
// node by kill -9, by SIGSTOP (and lets it come back), one Consul server of three,
// two, and all. Nothing may be lost or wrong. How long each recovery took goes into
// docs/FLEET.md.
func TestFleetOutlives(t *testing.T) {
	f := startFleet(t, 3, map[string]string{"control-1": "control", "control-2": "control", "dns-1": "dns", "dns-2": "dns"})
	edges, controls := []string{"dns-1", "dns-2"}, []string{"control-1", "control-2"}
	other := map[string]string{"control-1": "control-2", "control-2": "control-1"}
	leader := f.leader(controls...)
	o := f.watch(f.settled(edges...), edges...)
	var table strings.Builder
	row := func(what, until string, began time.Time) {
		fmt.Fprintf(&table, "| %s | %s | %.1f s |\n", what, until, time.Since(began).Seconds())
	}

	began := time.Now()
	f.nodes[leader].kill()
	f.leader(other[leader])
	row("the leading control node, by kill -9", "another one leads", began)
	f.start(leader)
	leader = other[leader]
	until(t, 2*patience, "who was killed stands by", func() bool { return f.self(other[leader]).Leader == leader })

	began, stopped := time.Now(), f.self(leader)
	f.nodes[leader].cmd.Process.Signal(syscall.SIGSTOP)
	f.leader(other[leader])
	row("the leading control node, by SIGSTOP", "another one leads", began)
	began = time.Now()
	f.nodes[leader].cmd.Process.Signal(syscall.SIGCONT)
	until(t, 2*patience, "who was paused follows", func() bool {
		now := f.self(leader)
		return now.Leader == other[leader] && !now.Leads && now.Generation > stopped.Generation
	})
	row("it comes back", "it follows, and has changed nothing", began)
	leader = other[leader]

	// The server that the nodes ask stays, until all are gone.
	began = time.Now()
	f.consul[2].Kill()
	until(t, 2*patience, "the lead is kept, or found again", func() bool { return f.self("control-1").Leads || f.self("control-2").Leads })
	row("one Consul server of three", "a control node leads", began)
	f.consul[1].Kill()
	time.Sleep(15 * time.Second)
	f.consul[0].Kill()
	time.Sleep(15 * time.Second)
	began = time.Now()
	for _, server := range f.consul {
		server.Run(t)
	}
	f.leader(controls...)
	row("all Consul servers, for half a minute", "a control node leads again, after they are back", began)
	o.faultless(t)
	fmt.Fprintf(&table, "\n%d answers meanwhile on two edges: %d lost, %d wrong.\n", o.answers.Load(), o.lost.Load(), o.wrong.Load())

	const page, begin, end = "../../docs/FLEET.md", "<!-- written by TestFleetOutlives -->\n", "<!-- end -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatal("docs/FLEET.md has no place for the table")
	}
	whole := head + begin + "| what is taken away | until | time |\n|---|---|---|\n" + table.String() + end + tail
	if err := os.WriteFile(page, []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
}
