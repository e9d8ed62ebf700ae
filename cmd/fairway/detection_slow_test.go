//go:build slow

package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// outages is how many endpoints die of each cause at each pace.
const outages = 20

// elsewhere is what a door in another process may take longer: docs/OPERATING.md.
const elsewhere = 1200 * time.Millisecond

// dieWithin is the time in which all of them die: one in two seconds, so that they come one
// by one, and are stored one by one.
const dieWithin = 2 * time.Minute

// causes are how endpoints die.
var causes = []string{"answers nothing", "resets connections", "its port is closed"}

// TestDetectedByDoors: endpoints die while a running node probes them, and its DNS door
// and that of another process are asked until they name the other CDN. What that took
// goes into docs/PROBES.md: from the begin of the first failing probe, or from its end,
// as the server saw it; where nothing listens, from when that began.
func TestDetectedByDoors(t *testing.T) {
	var table strings.Builder
	for _, pace := range []struct {
		every, timeout time.Duration
		fromEnd        bool
		promise        time.Duration
	}{{5 * time.Second, 2 * time.Second, false, 12 * time.Second}, {time.Second, time.Second, true, 3 * time.Second}} {
		from := "begin"
		if pace.fromEnd {
			from = "end"
		}
		took := dieUnder(t, pace.every, pace.timeout, pace.fromEnd)
		for k, cause := range causes {
			fmt.Fprintf(&table, "| %s probes, %s timeout, from the %s of the first failing probe | %s | %d |", pace.every, pace.timeout, from, cause, outages)
			for door, all := range took[k] {
				slices.Sort(all)
				at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1)+0.5)] }
				fmt.Fprintf(&table, " %.1f, %.1f, %.1f s |", at(0.5).Seconds(), at(0.95).Seconds(), at(1).Seconds())
				if limit := pace.promise + []time.Duration{0, elsewhere}[door]; at(0.95) > limit {
					t.Errorf("%s probes, %s, door %d: 95 of 100 within %v, promised %v", pace.every, cause, door, at(0.95), limit)
				}
			}
			fmt.Fprintf(&table, " %.1f s |\n", pace.promise.Seconds())
		}
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	writeTable(t, "../../docs/PROBES.md", "TestDetectedByDoors",
		"| setting | what the endpoint does | outages | control's own door: median, 95 of 100, slowest | a door in another process | promised |\n|---|---|---|---|---|---|\n"+
			table.String()+"\nLoad average of the machine at the end: "+strings.Fields(string(load))[0]+".\n")
}

// dieUnder has endpoints of services of their own die at random moments, and gives how
// long each door named them, by cause.
func dieUnder(t *testing.T, every, timeout time.Duration, fromEnd bool) (took [][2][]time.Duration) {
	folder, temp := t.TempDir(), t.TempDir()
	near, far := newDoors(t), newDoors(t)
	well := newMortal(t)
	mortals := make([]*mortal, outages*len(causes))
	services := ""
	for i := range mortals {
		mortals[i] = newMortal(t)
		services += fmt.Sprintf(`
  s%d:
    hostnames: [s%[1]d.video.test]
    probe: up
    policy: live
    endpoints:
      - {provider: alpha, host: alpha.example, addresses: [127.0.0.1], url: "http://alpha.example:%d/", weight: 2}
      - {provider: bravo, host: bravo.example, addresses: [127.0.0.1], url: "http://bravo.example:%d/"}`, i, mortals[i].port(), well.port())
	}
	config := write(t, folder, "fairway.yaml", fmt.Sprintf(`
listen: {dns: ["%s"], http: ["%s"], api: ["%s"]}
api: {token_file: token}
zones: [{name: video.test, ns: [ns1.video.test]}]
vantages: {one: {}, two: {}, three: {}}
providers: {alpha: {}, bravo: {}}
probing: {allow: [127.0.0.0/8]}
probes: {up: {type: http, path: /probe, every: %s, timeout: %s}}
policies:
  live: {rules: [{name: best, score: weight}]}
services:%s
`, near.dns, near.http, near.api, every, timeout, services))
	start(t, temp, "run", "--config", config, "--data", filepath.Join(folder, "data"), "--role", "probe,control,dns")
	start(t, temp, "run", "--config", config, "--data", filepath.Join(folder, "data"), "--role", "dns", "--dns", far.dns, "--api", far.api)
	until(t, patience, "both doors name alpha, which each vantage has found well", func() bool {
		for i, m := range mortals {
			if m.probed() < 6 || namedBy(near, i) != "alpha" || namedBy(far, i) != "alpha" {
				return false
			}
		}
		return true
	})

	took = make([][2][]time.Duration, len(causes))
	random := rand.New(rand.NewPCG(1, uint64(every)))
	var mu sync.Mutex
	var dying sync.WaitGroup
	for i, m := range mortals {
		cause := i % len(causes)
		wait := time.Duration(random.Int64N(int64(dieWithin)))
		dying.Go(func() {
			time.Sleep(wait)
			m.die(causes[cause])
			var left [2]time.Time
			var asking sync.WaitGroup
			for k, d := range []*doors{near, far} {
				asking.Go(func() {
					if _, ok := reached(patience, func() bool { return namedBy(d, i) == "bravo" }); ok {
						left[k] = time.Now()
					}
				})
			}
			asking.Wait()
			begun, ended, seen := m.failed(patience)
			if left[0].IsZero() || left[1].IsZero() || !seen {
				t.Errorf("service %d, %s: left at %v, the first probe failed from %v to %v", i, causes[cause], left, begun, ended)
				return
			}
			from := begun
			if fromEnd {
				from = ended
			}
			mu.Lock()
			defer mu.Unlock()
			for k := range left {
				took[cause][k] = append(took[cause][k], left[k].Sub(from))
			}
		})
	}
	dying.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return took
}

// namedBy is the CDN that a door names for a service; empty when it does not answer.
func namedBy(d *doors, service int) string {
	cdn, _, _ := strings.Cut(d.cname(fmt.Sprintf("s%d.video.test.", service), netip.MustParseAddr("192.0.2.1")), ".")
	return cdn
}

// mortal is a server that dies one day, and notes the first probe that met with that.
type mortal struct {
	l net.Listener

	mu           sync.Mutex
	served       int
	cause        string // empty = it lives
	begun, ended time.Time
}

func newMortal(t *testing.T) *mortal {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := &mortal{l: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go m.serve(c, time.Now())
		}
	}()
	return m
}

func (m *mortal) port() int { return m.l.Addr().(*net.TCPAddr).Port }

func (m *mortal) probed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.served
}

func (m *mortal) serve(c net.Conn, at time.Time) {
	defer c.Close()
	m.mu.Lock()
	cause := m.cause
	first := cause != "" && m.begun.IsZero()
	if first {
		m.begun = at
	}
	m.mu.Unlock()
	r := bufio.NewReader(c)
	if _, err := http.ReadRequest(r); err != nil {
		return
	}
	switch cause {
	case "":
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	case causes[0]:
		r.ReadByte() // until the probe gives up
	case causes[1]:
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.served++; first {
		m.ended = time.Now()
	}
}

func (m *mortal) die(cause string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cause = cause
	if cause == causes[2] {
		m.l.Close()
		m.begun = time.Now() // nobody sees the first probe
		m.ended = m.begun
	}
}

// failed is when the first failing probe began and ended.
func (m *mortal) failed(within time.Duration) (begun, ended time.Time, seen bool) {
	_, seen = reached(within, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		begun, ended = m.begun, m.ended
		return !ended.IsZero()
	})
	return begun, ended, seen
}
