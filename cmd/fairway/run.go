package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fairway/policies"
	"fairway/steering/history"
)

func runCommand() *cobra.Command {
	var (
		config, data, roleList, level, name string
		listen                              policies.Listen
		vantages                            []string
		kept                                history.Config
		logged                              loggedDecisions
		outpost                             agentOptions
	)
	c := &cobra.Command{
		Use:   "run --config PATH",
		Short: "Run a node: probes, control, DNS door and HTTP door, or some of them",
		Long: `Run a node until SIGTERM or Ctrl-C.

A change of the configuration on disk, or SIGHUP, reloads it; what cannot be
loaded whole is refused whole, and the running configuration goes on serving.
SIGUSR2 starts the program anew, as it is now on disk, and hands the sockets over
to the new process: no query and no connection is lost. If that fails, the
running process goes on. SIGTERM drains: the node stops being ready, goes on
answering for the configured time (drain:), finishes what is in flight, saves its
state and ends. A second signal ends it at once.

With the role probe alone, a node needs no configuration: --control says which control
nodes it works for. One of them tells what to measure, all get what it measures, and
nothing needs to reach it.`,
		Example: `  fairway run --config /etc/fairway
  fairway run --config fairway.yaml --data ./state
  fairway run --config /etc/fairway --role dns --api 127.0.0.1:8402
  fairway run --config /etc/fairway --role probe --vantage fra
  fairway run --role probe --vantage fra --control https://control-1.example:8400 --control-token-file fra.token`,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := parseRoles(roleList)
			if err != nil {
				return usageError{err, c.CommandPath()}
			}
			log, err := newLogger(c, level)
			if err != nil {
				return err
			}
			lineage, err := newLineage()
			if err != nil {
				return err
			}
			if config == "" {
				outpost.data, outpost.vantages, outpost.listen, outpost.log = data, vantages, listen.API, log
				if err := outpost.check(r); err != nil {
					return usageError{err, c.CommandPath()}
				}
				return runAgent(c.Context(), outpost)
			}
			n, err := newNode(nodeOptions{path: config, data: data, roles: r, listen: listen, name: name, asVantages: vantages, history: kept, logged: logged, log: log, lineage: lineage})
			if err != nil {
				return err
			}
			log.Info("running", "version", version(), "roles", strings.Join(r.names(), ","), "listen", fmt.Sprint((&control{n}).bound()))
			return runNode(c.Context(), n)
		},
	}
	c.Flags().StringVarP(&config, "config", "c", "", "a YAML file, or a folder of them (required, but with --control)")
	c.Flags().StringSliceVar(&outpost.control, "control", nil, "without --config: the control nodes, as base URLs; or consul://HOST:PORT/PREFIX, where they are registered")
	c.Flags().StringVar(&outpost.tokenFile, "control-token-file", "", "without --config: the file with the vantage's token")
	c.Flags().StringVar(&outpost.caFile, "control-ca-file", "", "without --config: PEM file with the authorities of the control nodes' certificates (default the system's)")
	c.Flags().StringVar(&outpost.certFile, "control-cert-file", "", "without --config: PEM file with the certificate that is shown to control nodes that want one")
	c.Flags().StringVar(&outpost.keyFile, "control-key-file", "", "without --config: PEM file with its key")
	c.Flags().IntVar(&outpost.buffer, "buffer", 0, "without --config: measurements kept for a control node that is away (default 30000)")
	c.Flags().StringVar(&data, "data", stateFolder(), "folder for overrides, state and the last good configuration")
	c.Flags().StringVar(&roleList, "role", strings.Join(allRoles, ","), "the roles of this node")
	c.Flags().StringSliceVar(&vantages, "vantage", nil, "probe as these vantages only: the ones that this machine is (default all)")
	c.Flags().StringSliceVar(&listen.API, "api", nil, "where API and metrics listen, in place of listen.api (for several nodes on one machine)")
	c.Flags().StringVar(&name, "name", "", "what this node is called in a fleet (default the machine's name with the API's port)")
	c.Flags().StringSliceVar(&listen.DNS, "dns", nil, "where the DNS door listens, in place of listen.dns")
	c.Flags().StringSliceVar(&listen.HTTP, "http", nil, "where the HTTP door listens, in place of listen.http")
	durationFlag(c, &kept.Keep, "history-keep", 7*24*time.Hour, "how long control keeps what was measured and decided, for explain --at and record --from")
	c.Flags().Int64Var(&kept.MaxBytes, "history-bytes", 256<<20, "the most octets that this may take; the oldest give way")
	logged.flags(c)
	logFlag(c, &level, "info")
	offer(c, "role", allRoles...)
	return c
}

// runNode runs a node until a signal or the end of the context.
func runNode(ctx context.Context, n *node) error {
	s := signals{reload: make(chan os.Signal, 1), replace: make(chan os.Signal, 1)}
	signal.Notify(s.reload, syscall.SIGHUP)
	defer signal.Stop(s.reload)
	if n.program != "" {
		signal.Notify(s.replace, syscall.SIGUSR2)
		defer signal.Stop(s.replace)
	}
	stop, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer cancel()
	go func() { // a second signal finds its default action again, and ends the process
		<-stop.Done()
		cancel()
	}()
	return n.Run(stop, s)
}

// signals are those that a node obeys beside the one to end.
type signals struct{ reload, replace chan os.Signal }

// newLogger logs as text to a terminal's eye and to journald alike.
func newLogger(c *cobra.Command, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError{fmt.Errorf("log level %q is none of debug, info, warn, error", level), c.CommandPath()}
	}
	return slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: l})), nil
}
