package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"fairway/cmd/fairway/demo"

	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	var options demo.Options
	var level string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run everything on this machine: three emulated CDNs and the Fairway that steers between them",
		Long: `Run three emulated CDNs (alpha, bravo, charlie) with an origin pool per continent,
twelve vantages in four regions, and a whole Fairway node, all on loopback
addresses. Break a CDN with "fairway demo fault" and watch the answers move.
Ctrl-C ends everything; nothing stays on disk.`,
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := newLogger(c, level)
			if err != nil {
				return err
			}
			return runDemo(c, options, log)
		},
	}
	c.Flags().StringVar(&options.DNS, "dns", "127.0.0.1:5300", "where the DNS door listens")
	c.Flags().StringVar(&options.HTTP, "http", "127.0.0.1:8080", "where the HTTP door listens")
	c.Flags().StringVar(&options.API, "api", "127.0.0.1:8400", "where API, console and metrics listen")
	logFlag(c, &level, "warn")
	c.AddCommand(faultCommand(), demoFleetCommand())
	return c
}

// runDemo starts the world, then a node with the world's configuration.
func runDemo(c *cobra.Command, options demo.Options, log *slog.Logger) error {
	if running, yes := findDemo(); yes {
		log.Warn("another demo runs already: fault and explain will find this one", "pid", running.PID)
	}
	folder, err := os.MkdirTemp("", "fairway-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	options.Dir = folder
	world, err := demo.New(options)
	if err != nil {
		return err
	}
	if err := world.Listen(); err != nil {
		return err
	}
	n, err := newNode(nodeOptions{
		path: world.ConfigFile(), data: filepath.Join(folder, "state"), roles: roles{true, true, true, true}, log: log,
		extra: map[string]http.Handler{"/demo/v1/": world.Handler()},
	})
	if err != nil {
		return err
	}
	stop, cancel := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	return serveDemo(stop, c.OutOrStdout(), world, n)
}

// serveDemo runs world and node until stop ends; the node goes first, so that
// its last probes do not fail.
func serveDemo(stop context.Context, out io.Writer, world *demo.World, n *node) error {
	here := runningDemo{PID: os.Getpid(), API: "http://" + world.API(), TokenFile: world.TokenFile(), Folder: filepath.Dir(world.ConfigFile())}
	if err := here.announce(); err != nil {
		return err
	}
	defer here.withdraw()
	running, end := context.WithCancel(context.WithoutCancel(stop))
	defer end()
	nodeStop, stopNode := context.WithCancel(stop)
	defer stopNode()
	var worldDone sync.WaitGroup
	var worldErr error
	worldDone.Go(func() {
		defer stopNode() // without CDNs there is nothing to show
		worldErr = world.Run(running)
	})
	welcome(out, world)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	err := n.Run(nodeStop, signals{reload: hup})
	end()
	worldDone.Wait()
	return errors.Join(err, worldErr)
}

// welcome says what runs, where, and what to type next.
func welcome(w io.Writer, world *demo.World) {
	_, dnsPort, _ := strings.Cut(world.DNS(), ":")
	token, _ := readToken(world.TokenFile())
	fmt.Fprintf(w, `Fairway demo: CDNs alpha, bravo, charlie; regions na, eu, as, sa with three vantages each;
services live and vod. Configuration: %[1]s
  DNS      %[2]s   zone fairway.test
  HTTP     http://%[3]s
  API      http://%[4]s   metrics: /metrics
  console  http://%[4]s/#token=%[5]s
  players  %[7]s

Ask as a viewer in Germany, then in the United States:
  dig @127.0.0.1 -p %[6]s live.fairway.test A +subnet=5.9.0.0/24
  curl -sI -H 'X-Forwarded-For: 8.8.8.8' http://%[3]s/r/live/main.m3u8
  curl -sL http://%[3]s/r/live/main.m3u8
Ask why, then break what it chose:
  %[8]s explain --service live --client 5.9.0.1
  %[8]s demo fault bravo --region eu --blackhole
  %[8]s status
  %[8]s demo fault bravo --clear
Ctrl-C ends everything.
`, world.ConfigFile(), world.DNS(), world.HTTP(), world.API(), token, dnsPort, world.Page(), os.Args[0])
}

func faultCommand() *cobra.Command {
	var to connection
	var fault demo.Fault
	var throttle string
	c := &cobra.Command{
		Use:   "fault CDN [--region R] --latency 300ms | --error-rate 0.5 | --blackhole | --throttle 60kbps | --clear",
		Short: "Break or mend an emulated CDN of the running demo",
		Long: `Break or mend an emulated CDN of the demo that runs on this machine, for clients
and vantages of one region or of all. Faults add up; --clear mends.`,
		Example: `  fairway demo fault bravo --region eu --blackhole
  fairway demo fault alpha --latency 300ms
  fairway demo fault bravo --clear`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			fault.CDN = args[0]
			var err error
			if throttle != "" {
				if fault.ThrottleBps, err = demo.ParseRate(throttle); err != nil {
					return usageError{err, c.CommandPath()}
				}
			}
			running, yes := findDemo()
			if !yes && to.address == "" {
				return errors.New("no demo runs on this machine: start one with \"fairway demo\"")
			}
			if to.address == "" && running.Faults != "" {
				to.address = running.Faults
				to.tokenFile = cmp.Or(to.tokenFile, running.TokenFile)
			}
			node, err := to.open()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
			defer cancel()
			var now struct{ Faults []demo.Fault }
			if err := node.Do(ctx, http.MethodPost, "/demo/v1/faults", fault, &now); err != nil {
				return err
			}
			printFaults(c.OutOrStdout(), now.Faults)
			return nil
		},
	}
	c.Flags().StringVar(&fault.Region, "region", "", "only for this region: na, eu, as, sa, or local: clients on this machine")
	offer(c, "region", "na", "eu", "as", "sa", "local")
	durationFlag(c, &fault.Latency, "latency", 0, "delay the first byte by so much more")
	c.Flags().Float64Var(&fault.ErrorRate, "error-rate", 0, "answer this share of requests with 503, 0..1")
	c.Flags().BoolVar(&fault.Blackhole, "blackhole", false, "accept connections and never answer")
	c.Flags().StringVar(&throttle, "throttle", "", "send bodies at this rate, such as 60kbps or 2mbps")
	c.Flags().BoolVar(&fault.Clear, "clear", false, "mend")
	to.flags(c)
	return c
}

func printFaults(w io.Writer, faults []demo.Fault) {
	if len(faults) == 0 {
		fmt.Fprintln(w, "nothing is broken")
		return
	}
	for _, f := range faults {
		what := []string{}
		if f.Latency > 0 {
			what = append(what, fmt.Sprintf("+%v to the first byte", f.Latency))
		}
		if f.ErrorRate > 0 {
			what = append(what, fmt.Sprintf("%s of answers are 503", percent(f.ErrorRate)))
		}
		if f.Blackhole {
			what = append(what, "black hole")
		}
		if f.ThrottleBps > 0 {
			what = append(what, fmt.Sprintf("%d kbit/s", f.ThrottleBps/1000))
		}
		region := f.Region
		if region == "" {
			region = "everywhere"
		}
		fmt.Fprintf(w, "%s, %s: %s\n", f.CDN, region, strings.Join(what, ", "))
	}
}
