package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"fairway/probes"
	"fairway/probes/agent"
	"fairway/steering/api/client"
	"fairway/steering/certs"
)

// agentOptions is all that a vantage needs that has no configuration.
type agentOptions struct {
	control   []string // base URLs, or each consul:// where they are registered
	vantages  []string // the one that it is
	tokenFile string
	caFile    string
	certFile  string // shown to control; empty = none
	keyFile   string
	data      string // folder for what was assigned last
	listen    []string
	buffer    int
	log       *slog.Logger
	now       func() time.Time // the clock of this machine; nil = time.Now
}

// check finds what is wrong with the command line.
func (o *agentOptions) check(r roles) error {
	var problems []error
	if len(o.control) == 0 {
		return errors.New("--config is missing; a node with the role probe alone may have --control in its place")
	}
	if r != (roles{probe: true}) {
		problems = append(problems, errors.New("without --config a node can have the role probe only: add --role probe"))
	}
	if slices.ContainsFunc(o.control, inConsul) && slices.ContainsFunc(o.control, func(one string) bool { return !inConsul(one) }) {
		problems = append(problems, errors.New("--control names Consul and something else: Consul knows all control nodes"))
	}
	if len(o.vantages) != 1 {
		problems = append(problems, errors.New("an agent is one vantage: name it with --vantage"))
	}
	if (o.certFile == "") != (o.keyFile == "") {
		problems = append(problems, errors.New("--control-cert-file and --control-key-file go together"))
	}
	if o.buffer < 0 {
		problems = append(problems, errors.New("--buffer is below 0"))
	}
	return errors.Join(problems...)
}

// runAgent measures what control says until SIGTERM.
func runAgent(ctx context.Context, o agentOptions) error {
	name, folder := o.vantages[0], filepath.Join(o.data, "agent-"+strings.Join(o.vantages, "-"))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("the folder of what is assigned: %w", err)
	}
	nodes, found, err := o.nodes(folder)
	if err != nil {
		return err
	}
	var scheduler *probes.Scheduler
	courier, err := agent.New(agent.Config{
		Control: asControl(nodes), Later: found != nil, Buffer: o.buffer, Version: version(), Now: o.now, Logger: o.log,
		Withheld: func() int64 { return scheduler.Withheld() },
	})
	if err != nil {
		return err
	}
	scheduler, err = probes.New(probes.Config{Sink: courier.Sink, Told: courier.Told, Now: o.now, Logger: o.log.With("part", "probes"), Seed: uint64(time.Now().UnixNano())})
	if err != nil {
		return err
	}
	follower := &agent.Follower{
		Control: asControl(nodes), Vantage: name, Folder: folder, Logger: o.log,
		Take: func(w *agent.Work) error {
			aim, err := w.Aim(folder)
			if err == nil {
				scheduler.Set(aim)
			}
			return err
		},
	}
	open, err := o.open()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	courier.Told(name, scheduler.Condition(name)) // so that control hears of it before anything is measured
	o.log.Info("running", "version", version(), "vantage", name, "control", strings.Join(o.control, ","))
	var parts sync.WaitGroup
	all := []func(context.Context) error{courier.Run, scheduler.Run, follower.Run}
	if found != nil {
		found.set = func(nodes []*client.Client) {
			courier.SetControl(asControl(nodes))
			follower.SetControl(asControl(nodes))
		}
		all = append(all, found.Run)
	}
	for _, run := range all {
		parts.Go(func() { run(ctx) })
	}
	for _, l := range open {
		server := &http.Server{Handler: http.HandlerFunc(agentAlive), ReadHeaderTimeout: 5 * time.Second}
		parts.Go(func() { server.Serve(l) })
		defer server.Close()
	}
	<-ctx.Done()
	for _, l := range open {
		l.Close()
	}
	parts.Wait()
	return nil
}

// open opens what the command line says to listen on: nothing, unless it says so.
func (o *agentOptions) open() (open []net.Listener, err error) {
	for _, address := range o.listen {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("--api: %w", err)
		}
		open = append(open, l)
	}
	return open, nil
}

// agentAlive is all that an agent answers, to those who supervise it. What it
// measures, and how it is, control tells.
func agentAlive(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
		http.NotFound(w, r)
		return
	}
	fmt.Fprintln(w, "ok")
}

// nodes makes the clients of all control nodes; or, where Consul knows them, what finds
// them there.
func (o *agentOptions) nodes(folder string) ([]*client.Client, *discovery, error) {
	token := ""
	if o.tokenFile != "" {
		var err error
		if token, err = readToken(o.tokenFile); err != nil {
			return nil, nil, err
		}
	}
	transport, err := o.transport()
	if err != nil {
		return nil, nil, err
	}
	if inConsul(o.control[0]) {
		found, err := newDiscovery(o.control, folder, o.log)
		if err != nil {
			return nil, nil, err
		}
		found.to = func(address string) (*client.Client, error) {
			return client.New(address, token, client.Over(transport))
		}
		return nil, found, nil
	}
	nodes, err := controls(o.control, token, client.Over(transport))
	return nodes, nil, err
}

// transport checks control's certificate, and shows the agent's own where it has one.
func (o *agentOptions) transport() (http.RoundTripper, error) {
	if o.certFile != "" {
		files, err := certs.OpenPeers(o.certFile, o.keyFile, o.caFile, o.log)
		if err != nil {
			return nil, err
		}
		return files.Transport(), nil
	}
	if o.caFile == "" {
		return http.DefaultTransport.(*http.Transport).Clone(), nil
	}
	transport, err := certs.Trust(o.caFile)
	if err != nil {
		return nil, fmt.Errorf("--control-ca-file: %w", err)
	}
	return transport, nil
}
