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
	"syscall"
	"time"

	"fairway/dnsserver"
	"fairway/steering"
	"fairway/steering/metrics"
	"fairway/tools/sidebyside"
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
	world := snapshot
	z, sized := sizeOf(o.serve)
	if sized {
		world = z.snapshot
	}
	first, err := world()
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
	if o.serve == mmsgFast || sized {
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
	*sidebyside.Process
	results []result
}

// begin starts a server on processor 0, and waits until it answers a query.
func begin(name, address, folder string, o options, q query) (*server, error) {
	cmd, err := command(name, address, filepath.Join(folder, name), o)
	if err != nil {
		return nil, err
	}
	p, err := sidebyside.Start(cmd)
	if err != nil {
		return nil, err
	}
	s := &server{name: name, address: address, Process: p}
	if err := s.await(q); err != nil {
		return nil, errors.Join(err, s.End(), errors.New(s.Log()))
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

// startTime is how long a server may take to start: a large world takes a good part of it where others
// work as well.
const startTime = 5 * time.Minute

// await returns when the server answers.
func (s *server) await(q query) error {
	conn, err := net.Dial("udp", s.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	buffer := make([]byte, 1500)
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		conn.Write(q.packet)
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := conn.Read(buffer); err == nil && (s.name == echo || bytes.Contains(buffer[:n], []byte(q.target))) {
			return nil
		}
	}
	return fmt.Errorf("no answer within %v", startTime)
}
