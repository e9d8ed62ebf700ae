package main

import (
	"bufio"
	"context"
	big "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"
)

// TestNothingIsLost: under 2,000 queries a second over UDP, with connections held
// open to both doors, configurations are reloaded and applied, the geo database
// is exchanged, a key is replaced, and the process is replaced by another: no query
// over UDP, half of which want signatures, stays without an answer, and no connection is
// reset.
//
// A key that was replaced stays in its zone until the longest TTL of an hour has passed, and
// until then there is no next one. So each round has a zone of its own for it, and the load
// asks for the names of all.
func TestNothingIsLost(t *testing.T) {
	config, d := startWorld(t)
	geo := filepath.Join(t.TempDir(), "geo.mmdb")
	writeGeo(t, geo, "DE")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"live.fairway.test."}
	zones, hosts := "zones:\n", "hostnames: [live.fairway.test"
	for round := range handovers {
		zones += fmt.Sprintf("  - {name: %s, ns: [ns1.fairway.test], ttl: 60s, dnssec: {keys: ksk-zsk, key_ttl: 1s, propagation: 0s}}\n", rolledZone(round))
		hosts += ", live." + rolledZone(round)
		names = append(names, "live."+rolledZone(round)+".")
	}
	many := strings.NewReplacer("zones:\n", zones, "hostnames: [live.fairway.test", hosts).Replace(string(text))
	// A busy machine may keep this process from asking for longer than a connection may be
	// silent: the longest that can be had.
	write(t, filepath.Dir(config), filepath.Base(config), fmt.Sprintf("%s\ngeo: {databases: [%s]}\ndns: {tcp: {idle: 30s}}\n", many, geo))
	line := startDynasty(t, "run", "--config", config, "--data", t.TempDir(), "--log", "info")
	d.answering("live.fairway.test.", "live", patience)

	load := newSteadyLoad(t, d, names)
	a := newApplier(t, config, d)
	for round := range handovers {
		held := load.hold(5)
		rolled := a.rollKey(rolledZone(round))
		changes := line.count(`why="files changed"`)
		writeGeo(t, geo, []string{"FR", "DE"}[round%2])
		until(t, patience, "the geo database is taken up", func() bool { return line.count(`why="files changed"`) > changes })
		reloads := line.count("why=SIGHUP")
		line.signal(syscall.SIGHUP)
		until(t, patience, "the reload", func() bool { return line.count("why=SIGHUP") > reloads })
		a.fairway(0, "apply", a.withTTL(6+round%20), "--yes")
		rolled()
		line.succeed()
		until(t, patience, "the successor's API answers", func() bool {
			r, err := direct.Get("http://" + d.api + "/readyz")
			if err != nil {
				return false
			}
			defer r.Body.Close()
			return r.StatusCode == http.StatusOK
		})
		load.settle(500) // answers of the new process, on held connections of the old one
		held.release()
		line.ended()
		if out := a.fairway(0, "status"); !strings.Contains(out, "live") {
			t.Errorf("round %d: the successor's status:\n%s", round, out)
		}
	}
	load.end()
	t.Logf("%d queries over UDP, %d over TCP, %d requests over HTTP; %d keys replaced", load.udp.Load(), load.tcp.Load(), load.http.Load(), handovers)
}

// rolledZone is the zone whose key is replaced in a round.
func rolledZone(round int) string { return fmt.Sprintf("roll%d.test", round) }

// TestFailedSuccessor: a program that cannot take over leaves everything as it
// was, also what only the control process may do. systemd is told of what it must
// know: that the service is up, and which process it is from now on.
func TestFailedSuccessor(t *testing.T) {
	config, d := startWorld(t)
	line := startDynasty(t, "run", "--config", config, "--data", t.TempDir(), "--log", "info")
	d.answering("live.fairway.test.", "live", patience)
	text, _ := os.ReadFile(config)
	write(t, filepath.Dir(config), filepath.Base(config), strings.Replace(string(text), "listen:", "listen:\n  nonsense: 1", 1))
	good, err := os.ReadFile(line.program)
	if err != nil {
		t.Fatal(err)
	}
	for i, program := range []string{
		"exit 3",                                 // at once
		"echo prepared >&4; read go <&3; exit 4", // when the old process has let go of the data folder
	} {
		replaceFile(t, line.program, []byte("#!/bin/sh\n"+program+"\n"))
		line.signal(syscall.SIGUSR2)
		until(t, patience, "the failure is told", func() bool { return line.count("not replaced: this process goes on serving") == i+1 })
		if !strings.Contains(line.said(), fmt.Sprint("exit status ", i+3)) {
			t.Errorf("why is not told:\n%s", line.said())
		}
	}
	replaceFile(t, line.program, good)
	write(t, filepath.Dir(config), filepath.Base(config), string(text))
	a := newApplier(t, config, d)
	a.fairway(0, "drain", "alpha", "--reason", "test", "--for", "1h")
	line.succeed()
	line.ended()
	d.answering("live.fairway.test.", "live", patience)
	if out := a.fairway(0, "overrides"); !strings.Contains(out, "alpha") {
		t.Errorf("the drain did not reach the successor:\n%s", out)
	}
	line.signal(syscall.SIGTERM)
	want := []string{"READY=1", fmt.Sprintf("MAINPID=%d", line.pid), "STOPPING=1"}
	until(t, patience, "systemd is told", func() bool { return slices.Equal(line.notices(), want) })
}

// TestSocketActivation: systemd's own program binds the port and starts the node
// when the first query arrives, which is answered.
func TestSocketActivation(t *testing.T) {
	config, d := startWorld(t)
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-socket-activate", "--datagram", "--listen="+d.dns, built, "run", "--config", config, "--data", t.TempDir())
	output := &lockedBuffer{}
	cmd.Stderr = output
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: run tools/setup/install (or make setup)", err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("it said:\n%s", output)
		}
	}()
	until(t, patience, "the socket is open", func() bool { return strings.Contains(output.String(), "Listening on") })
	conn, err := net.Dial("udp", d.dns)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(query("live.fairway.test.", 7)); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 2000)
	if n, err := conn.Read(buffer); err != nil || n < 12 || buffer[1] != 7 {
		t.Errorf("the query that started it: %d octets, %v", n, err)
	}
}

// dynasty is a process of fairway and those that replaced it, one after the other.
type dynasty struct {
	t       *testing.T
	program string // of its own, that tests may exchange
	log     string // what all of them said
	pid     int    // of the one that serves
	before  int    // of the one that it replaced
	first   *process
	manager *net.UnixConn // in systemd's place
	heard   []string      // of what it was told
}

func startDynasty(t *testing.T, args ...string) *dynasty {
	t.Helper()
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	line := &dynasty{t: t, program: filepath.Join(folder, "fairway"), log: filepath.Join(folder, "log")}
	replaceFile(t, line.program, data)
	log, err := os.Create(line.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := command(t, folder, args...)
	manager := &net.UnixAddr{Name: filepath.Join(folder, "notify"), Net: "unixgram"}
	if line.manager, err = net.ListenUnixgram("unixgram", manager); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.manager.Close() })
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+manager.Name)
	cmd.Path, cmd.Args[0] = line.program, line.program
	cmd.Stdout, cmd.Stderr = log, log // a file: successors write to it when the first is gone
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line.first = &process{t: t, cmd: cmd, output: &lockedBuffer{}, exited: make(chan struct{})}
	line.pid = cmd.Process.Pid
	go func() { cmd.Wait(); close(line.first.exited) }()
	t.Cleanup(func() {
		line.first.kill()
		line.extinguish()
		if t.Failed() {
			t.Logf("fairway said:\n%s", line.said())
		}
	})
	return line
}

// replaceFile puts a program in another's place, as an installation does: under
// the same name, while the other may run.
func replaceFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func (l *dynasty) said() string {
	text, _ := os.ReadFile(l.log)
	return string(text)
}

func (l *dynasty) count(words string) int { return strings.Count(l.said(), words) }

func (l *dynasty) signal(s syscall.Signal) {
	l.t.Helper()
	if err := syscall.Kill(l.pid, s); err != nil {
		l.t.Fatalf("%v to process %d: %v", s, l.pid, err)
	}
}

// notices are what systemd was told until now.
func (l *dynasty) notices() []string {
	buffer := make([]byte, 1000)
	for {
		l.manager.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := l.manager.Read(buffer)
		if err != nil {
			return l.heard
		}
		l.heard = append(l.heard, string(buffer[:n]))
	}
}

var successor = regexp.MustCompile(`another process serves.* pid=(\d+)`)

// succeed has the process replaced, and returns when the new one serves.
func (l *dynasty) succeed() {
	l.t.Helper()
	handed := len(successor.FindAllString(l.said(), -1))
	l.signal(syscall.SIGUSR2)
	until(l.t, 3*patience, "another process takes over", func() bool {
		all := successor.FindAllStringSubmatch(l.said(), -1)
		if len(all) == handed {
			return false
		}
		l.notices() // nobody else empties the queue
		l.before = l.pid
		l.pid, _ = strconv.Atoi(all[handed][1])
		return true
	})
}

// ended waits until the process that was replaced has ended. Of the
// connections that it waits for, one may be idle in the hands of the tests.
func (l *dynasty) ended() {
	l.t.Helper()
	direct.CloseIdleConnections()
	until(l.t, patience, "the replaced process ends", func() bool { return gone(l.before) })
	if l.before == l.first.cmd.Process.Pid {
		<-l.first.exited
		if code := l.first.cmd.ProcessState.ExitCode(); code != 0 {
			l.t.Errorf("it exits with %d", code)
		}
	}
}

// extinguish kills whatever of the program still runs, also a successor that was
// never announced.
func (l *dynasty) extinguish() {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if program, err := os.Readlink(link); err != nil || strings.TrimSuffix(program, " (deleted)") != l.program {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			syscall.Kill(pid, syscall.SIGKILL)
			reached(patience, func() bool { return gone(pid) })
		}
	}
}

// gone tells whether a process has ended; nobody may have asked how yet.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(rest, "Z")
}

// steadyLoad asks both doors until it is ended.
type steadyLoad struct {
	t              *testing.T
	doors          *doors
	names          []string // that are asked for in turn
	stop           context.Context
	finish         context.CancelFunc
	group          sync.WaitGroup
	udp, tcp, http atomic.Int64
}

func newSteadyLoad(t *testing.T, d *doors, names []string) *steadyLoad {
	l := &steadyLoad{t: t, doors: d, names: names}
	l.stop, l.finish = context.WithCancel(context.Background())
	t.Cleanup(func() { l.finish(); l.group.Wait() })
	for range 8 {
		l.group.Go(func() { l.askUDP(250) })
	}
	for range 2 {
		l.group.Go(l.askHTTP)
	}
	return l
}

func (l *steadyLoad) end() {
	l.finish()
	l.group.Wait()
}

// settle waits until there was so much more traffic over UDP.
func (l *steadyLoad) settle(more int64) {
	l.t.Helper()
	now := l.udp.Load()
	until(l.t, patience, "traffic", func() bool { return l.udp.Load() > now+more })
}

// query is one of the load's: every other one wants signatures.
func (l *steadyLoad) query(id uint16) []byte { return query(l.names[int(id/2)%len(l.names)], id) }

func query(name string, id uint16) []byte {
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeA)
	m.Id = id
	m.SetEdns0(1232, id%2 == 1)
	o := m.IsEdns0()
	o.Option = append(o.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24,
		Address: netip.AddrFrom4([4]byte{5, 9, byte(id)}).AsSlice()})
	packet, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return packet
}

// rollKey has the key replaced that signs a zone. What it returns waits until the next one
// signs.
func (a *applier) rollKey(zone string) (rolled func()) {
	a.Helper()
	before := signingTag(a.T, a.doors, zone)
	a.fairway(0, "dnssec", "roll", zone)
	return func() {
		a.Helper()
		until(a.T, patience, "the next key of "+zone+" signs", func() bool { return signingTag(a.T, a.doors, zone) != before })
	}
}

// signingTag is the tag of the key that signs a zone.
func signingTag(t *testing.T, d *doors, zone string) uint16 {
	t.Helper()
	request := new(dns.Msg).SetQuestion("live."+zone+".", dns.TypeCNAME).SetEdns0(1232, true)
	reply, _, err := (&dns.Client{Timeout: patience}).Exchange(request, d.dns)
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range reply.Answer {
		if sig, ok := rr.(*dns.RRSIG); ok {
			return sig.KeyTag
		}
	}
	t.Fatalf("not signed: %v", reply)
	return 0
}

// askUDP sends queries at a rate, whether or not there are answers, and wants one
// for each. After a pause of this process it makes up for what was due, in bursts
// that no queue is too short for.
func (l *steadyLoad) askUDP(rate float64) {
	c, err := net.Dial("udp", l.doors.dns)
	if err != nil {
		l.t.Error(err)
		return
	}
	defer c.Close()
	conn := c.(*net.UDPConn)
	_ = conn.SetReadBuffer(4 << 20)
	open := make(map[uint16]bool)
	buffer := make([]byte, 2000)
	read := func(within time.Duration) {
		conn.SetReadDeadline(time.Now().Add(within))
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			id := big.BigEndian.Uint16(buffer)
			if n < 12 || buffer[3]&15 != dns.RcodeSuccess || buffer[7] == 0 {
				l.t.Errorf("a query is answered with rcode %d and %d records", buffer[3]&15, buffer[7])
			}
			if open[id] {
				delete(open, id)
				l.udp.Add(1)
			}
			if len(open) == 0 {
				return
			}
		}
	}
	begin := time.Now()
	for sent := 0; l.stop.Err() == nil; {
		for due := int(time.Since(begin).Seconds() * rate); sent < due && len(open) < 300; sent++ {
			if open[uint16(sent)] {
				l.t.Errorf("no answer for %v", 65536/rate)
			}
			open[uint16(sent)] = true
			if _, err := conn.Write(l.query(uint16(sent))); err != nil {
				l.t.Errorf("send: %v", err)
			}
		}
		read(10 * time.Millisecond)
		time.Sleep(time.Millisecond)
	}
	for deadline := time.Now().Add(patience); len(open) > 0 && time.Now().Before(deadline); {
		read(time.Second)
	}
	if len(open) > 0 {
		l.t.Errorf("%d queries over UDP were lost", len(open))
	}
}

// askHTTP asks over one connection after the other, each until the door says that
// it ends.
func (l *steadyLoad) askHTTP() {
	for l.stop.Err() == nil {
		if err := l.askConnection(); err != nil {
			l.t.Errorf("HTTP: %v", err)
			return
		}
	}
}

func (l *steadyLoad) askConnection() error {
	conn, err := net.Dial("tcp", l.doors.http)
	if err != nil {
		return err
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for l.stop.Err() == nil {
		conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, "GET /r/live/main.m3u8 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return err
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusFound {
			return fmt.Errorf("status %d: %w", answer.StatusCode, err)
		}
		l.http.Add(1)
		if answer.Close {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// held is TCP connections to the DNS door that are in use until they are released.
type held struct {
	stop  context.CancelFunc
	group sync.WaitGroup
}

func (l *steadyLoad) hold(count int) *held {
	l.t.Helper()
	h := &held{}
	var stop context.Context
	stop, h.stop = context.WithCancel(l.stop)
	for range count {
		conn, err := net.Dial("tcp", l.doors.dns)
		if err != nil {
			l.t.Fatal(err)
		}
		h.group.Go(func() {
			defer conn.Close()
			for id := uint16(0); stop.Err() == nil; id++ {
				if err := askFramed(conn, l.query(id), id); err != nil {
					l.t.Errorf("a held connection: %v", err)
					return
				}
				l.tcp.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return h
}

func (h *held) release() {
	h.stop()
	h.group.Wait()
}

func askFramed(conn net.Conn, query []byte, id uint16) error {
	conn.SetDeadline(time.Now().Add(patience))
	c := &dns.Conn{Conn: conn}
	if _, err := c.Write(query); err != nil {
		return err
	}
	m, err := c.ReadMsg()
	if err == nil && (m.Id != id || m.Rcode != dns.RcodeSuccess) {
		err = errors.New(m.String())
	}
	return err
}

// writeGeo replaces the geo database with one in which Germany's first network
// lies elsewhere.
func writeGeo(t *testing.T, path, country string) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-Country", RecordSize: 24})
	if err != nil {
		t.Fatal(err)
	}
	record := func(country, continent string) mmdbtype.Map {
		return mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(country)}, "continent": mmdbtype.Map{"code": mmdbtype.String(continent)}}
	}
	for prefix, r := range map[string]mmdbtype.Map{"5.0.0.0/8": record(country, "EU"), "8.0.0.0/8": record("US", "NA")} {
		_, network, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, r); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	replaceFile(t, path, slices.Clone([]byte(b.String())))
}
