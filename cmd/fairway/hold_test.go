package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/steering/store"
	"fairway/steering/store/consulstore"
)

// TestHeldOverTakeOver: a revision that takes most of the world away, and that no
// control node vouches for, lies in Consul while nobody leads. The control node that
// starts then leads and decides for the world of before, puts that in force again,
// and says what it holds; an edge that was restarted meanwhile answers as before. The
// operator's word puts it in force after all.
func TestHeldOverTakeOver(t *testing.T) {
	f := startFleet(t, 1, map[string]string{"control-1": "control", "dns-1": "dns"})
	f.leader("control-1")
	want := f.settled("dns-1")
	f.nodes["control-1"].stop(syscall.SIGTERM, patience)

	text, err := os.ReadFile(f.config)
	if err != nil {
		t.Fatal(err)
	}
	small := filepath.Join(t.TempDir(), "fairway.yaml")
	write(t, filepath.Dir(small), filepath.Base(small), shrunken(t, string(text)))
	c, findings, err := loadFiles(small)
	if err != nil {
		t.Fatal(findings, err)
	}
	shared, err := consulstore.Open(consulstore.Options{Address: f.consul[0].Address, Scheme: "http", Prefix: "test", Writer: true})
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	bad := c.revision(filepath.Dir(small))
	putInForce(t, shared, bad)

	f.nodes["dns-1"].kill()
	f.start("dns-1")
	ordered := f.orderWithoutLeader("dns-1")
	f.start("control-1")
	f.leader("control-1")
	ordered()
	until(t, patience, "what serves is in force again", func() bool {
		r, force, known, err := store.Serving(t.Context(), shared)
		return err == nil && known && r.Hash != bad.Hash && force.Vouched == r.Hash
	})
	until(t, patience, "the node that leads says what it holds", func() bool {
		return strings.Contains(strings.Join(f.self("control-1").Trouble, "\n"), "held back")
	})
	if now := f.settled("dns-1"); fmt.Sprint(now) != fmt.Sprint(want) {
		t.Errorf("the edge answers %v, before %v", now, want)
	}
	f.command("control-1", "apply", small, "--confirm-shrink", "--yes", "--reason", "it is meant")
	until(t, patience, "the operator's word counts", func() bool {
		told := f.self("control-1")
		return told.Revision == bad.Hash && f.self("dns-1").Revision == bad.Hash && len(told.Trouble) == 0
	})
}

// orderWithoutLeader gives an order to a node of a fleet that nobody leads. The command
// says that it waits, and why; the function that is returned waits until it has been taken,
// once.
func (f *fleetUnderTest) orderWithoutLeader(node string) (taken func()) {
	f.t.Helper()
	until(f.t, patience, "the node hears that nobody leads", func() bool { return f.self(node).Leader == "" && f.self(node).Name != "" })
	order := command(f.t, f.temp, "freeze", "--reason", "nobody leads", "--for", "1h", "--api", f.doors[node].api, "--token-file", filepath.Join(filepath.Dir(f.config), "token"))
	var out bytes.Buffer
	order.Stdout = &out
	errs, err := order.StderrPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := order.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { order.Process.Kill() })
	said := bufio.NewScanner(errs)
	var text strings.Builder
	for said.Scan() && !strings.Contains(said.Text(), "trying again") {
		text.WriteString(said.Text())
	}
	if !strings.Contains(said.Text(), "for up to 45s") || !strings.Contains(text.String(), "no control node leads") {
		f.t.Errorf("an order that waits says %q, %q", &text, said.Text())
	}
	return func() {
		f.t.Helper()
		rest, _ := io.ReadAll(errs)
		if err := order.Wait(); err != nil || !strings.Contains(out.String(), "in force until") {
			f.t.Errorf("the order that waited: %v\n%s%s", err, &out, rest)
		}
		if all := f.command(node, "overrides"); strings.Count(all, "nobody leads") != 1 {
			f.t.Errorf("the order counts other than once:\n%s", all)
		}
	}
}

// putInForce puts a revision in force as somebody does who can write to Consul, and
// is no control node.
func putInForce(t *testing.T, s store.Store, r store.Revision) {
	t.Helper()
	number, err := s.PutRevision(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for {
		force, _, err := s.InForce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.PutInForce(t.Context(), store.InForce{Version: force.Version, Revision: number, Vouched: force.Vouched})
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrConflict) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// shrunken is a configuration of the demo with one CDN's endpoints left.
func shrunken(t *testing.T, text string) string {
	t.Helper()
	const endpoint = "      - {provider: "
	var left strings.Builder
	first, dropping := "", false
	for line := range strings.Lines(text) {
		if rest, is := strings.CutPrefix(line, endpoint); is {
			name, _, _ := strings.Cut(rest, ",")
			if first == "" {
				first = name
			}
			dropping = name != first
		} else if !strings.HasPrefix(line, "         addresses:") {
			dropping = false
		}
		if !dropping {
			left.WriteString(line)
		}
	}
	if first == "" {
		t.Fatal("the demo's configuration has no endpoints")
	}
	return left.String()
}
