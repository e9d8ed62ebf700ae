package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairway/dnsserver"
	"fairway/steering"
	"fairway/steering/metrics"
)

// The servers. echo is the least that a server can do: it sends every packet
// back, by the same system calls.
const (
	echo            = "echo"
	mmsgFast        = "mmsg"
	portableFast    = "portable"
	portableGeneral = "portable-general"
	plain           = "miekg+mmdb"
	gdnsd           = "gdnsd"
	knot            = "knot"
	pdns            = "pdns"
)

func serverNames() []string {
	return []string{echo, mmsgFast, gdnsd, knot, pdns, plain, portableFast, portableGeneral}
}

const plenty = 1_000_000_000

// serve is one of our servers, until it is told to end.
func serve(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	switch o.serve {
	case echo:
		return serveEcho(ctx, o.listen)
	case plain:
		return servePlain(ctx, o.listen)
	}
	first, err := snapshot()
	if err != nil {
		return err
	}
	current, _ := steering.NewCurrent(first)
	config := dnsserver.Config{
		Listen: []string{o.listen}, Current: current, Backend: dnsserver.BackendPortable, General: o.serve == portableGeneral,
		Observer: metrics.New(metrics.Config{Snapshot: current.Load}).DNS(),
		// Limits so high that they never bite, and are looked at for every answer.
		Limits: dnsserver.Limits{Answers: plenty, Negatives: plenty, Errors: plenty, Slip: 2, IPv4Bits: 24, IPv6Bits: 56, Amplification: 5, SignedAmplification: 12},
	}
	if o.serve == mmsgFast {
		config.Backend = dnsserver.BackendMmsg
	}
	door, err := dnsserver.New(config)
	if err != nil {
		return err
	}
	if err := door.Prepare(first.Layout); err != nil {
		return err
	}
	runtime.GC()
	return door.Run(ctx)
}

// server is one that runs, with what its turns gave.
type server struct {
	name    string
	address string
	process *exec.Cmd
	results []result
}

// begin starts a server on processor 0, and waits until it answers.
func begin(name, address, folder string, o options) (*server, error) {
	cmd, err := command(name, address, filepath.Join(folder, name), o)
	if err != nil {
		return nil, err
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{name: name, address: address, process: cmd}
	if err := s.await(); err != nil {
		return nil, errors.Join(err, s.end(), errors.New(log.String()))
	}
	return s, nil
}

func command(name, address, folder string, o options) (*exec.Cmd, error) {
	var line []string
	if o.workers == 1 {
		line = []string{"taskset", "-c", "0"}
	}
	for _, p := range peers() {
		if p.name == name {
			more, err := p.command(placeOf(address, folder, o.workers))
			if err != nil {
				return nil, err
			}
			line = append(line, more...)
			return exec.Command(line[0], line[1:]...), nil
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line = append(line, self, "-serve", name, "-listen", address)
	return exec.Command(line[0], line[1:]...), nil
}

func write(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// await returns when the server answers.
func (s *server) await() error {
	conn, err := net.Dial("udp", s.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	q := makeQueries()[0]
	buffer := make([]byte, 1500)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		conn.Write(q.packet)
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := conn.Read(buffer); err == nil && (s.name == echo || bytes.Contains(buffer[:n], []byte(q.target))) {
			return nil
		}
	}
	return fmt.Errorf("no answer within 20 s")
}

// end ends the server.
func (s *server) end() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end %s: %w", s.name, err)
	}
	_ = s.process.Wait() // gdnsd's way to end is the signal
	return nil
}

// tick is the unit of times in /proc: USER_HZ is 100 everywhere.
const tick = 10 * time.Millisecond

// used is the user and system time that the server has taken.
func (s *server) used() (user, system time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	u, errU := strconv.Atoi(fields[11])
	v, errV := strconv.Atoi(fields[12])
	return time.Duration(u) * tick, time.Duration(v) * tick, errors.Join(errU, errV)
}

// memory is what the server holds, in octets.
func (s *server) memory() int {
	statm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.process.Process.Pid))
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize()
}

// pin keeps every thread of a process on these processors.
func pin(pid int, processors ...int) error {
	var set unix.CPUSet
	for _, p := range processors {
		set.Set(p)
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, _ := strconv.Atoi(thread.Name())
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return fmt.Errorf("pin the load to processors %v: %w", processors, err)
		}
	}
	return nil
}
