package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"fairway/dnsserver/load"
)

// Bounds of a load that nobody asked to be larger.
const (
	politeRate  = 1000 // queries per second beyond loopback
	longestLoad = time.Hour
)

// benchOptions are the flags of `fairway bench dns`.
type benchOptions struct {
	names, types, clients []string
	ecs, ipv6, do, cookie float64
	size                  uint16
	tcp, mine             bool
	rate                  float64
	window, sockets       int
	duration, timeout     time.Duration
	count                 int
	maxLoss               float64
	output                string
}

func benchCommand() *cobra.Command {
	c := &cobra.Command{Use: "bench", Short: "Put a server under load and measure it"}
	c.AddCommand(benchDNSCommand())
	return c
}

func benchDNSCommand() *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:   "dns ADDRESS",
		Short: "Load a DNS server: answers per second, latency, loss",
		Long: `Send DNS queries to a server, at a rate or as fast as it answers, and tell what
came back.

Without --rate each answer makes room for the next query (--window are under way),
which finds out what the server can take. With --rate queries are sent when they
are due, and a latency counts from then: a server that stands still is charged
with all that was due meanwhile. To size an edge, find the rate at which p99 and
loss are still what you want.

A server beyond this machine is refused unless you say --target-is-mine: a load on
somebody else's server is an attack. It then gets 1000 queries a second, unless
you say --rate.

Exit code 1 when nothing was answered, when an answer was wrong, or when more than
--max-loss was lost.`,
		Example: `  fairway bench dns 127.0.0.1:5300 --name live.fairway.test
  fairway bench dns 127.0.0.1:5300 --name live.fairway.test --ecs 0.9 --ipv6 0.3 --rate 20000 --duration 1m
  fairway bench dns ns1.example.net --target-is-mine --name live.example.net --name '*.example.net' --type A,AAAA,HTTPS
  fairway bench dns 127.0.0.1:5300 --name live.fairway.test --ecs 1 --clients 5.9.0.0/16 --tcp --count 10000 -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(c, o.output); err != nil {
				return err
			}
			config, err := o.config(c.Context(), args[0], c.Flags().Changed("rate"))
			if err != nil {
				return usageError{err, c.CommandPath()}
			}
			return o.run(c, config)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&o.names, "name", nil, "ask for this name, or several; *.zone for random labels below zone (required)")
	f.StringSliceVar(&o.types, "type", []string{"A"}, "ask for these types, in equal parts")
	f.Float64Var(&o.ecs, "ecs", 0, "share of queries with a client subnet, 0 to 1")
	f.Float64Var(&o.ipv6, "ipv6", 0, "share of the client subnets that are IPv6, 0 to 1")
	f.StringSliceVar(&o.clients, "clients", nil, "networks that the client subnets are in (default anywhere)")
	f.Float64Var(&o.do, "do", 0, "share of queries that want signatures, 0 to 1")
	f.Float64Var(&o.cookie, "cookie", 0, "share of queries with a client cookie, 0 to 1")
	f.Uint16Var(&o.size, "edns-size", 0, "EDNS size to announce (default 1232 where EDNS is needed, else no EDNS)")
	f.BoolVar(&o.tcp, "tcp", false, "over TCP, a connection per socket")
	f.Float64Var(&o.rate, "rate", 0, "queries per second; 0 = as fast as it answers")
	f.IntVar(&o.window, "window", 128, "queries under way at most")
	f.IntVar(&o.sockets, "sockets", 8, "source ports to send from")
	durationFlag(c, &o.duration, "duration", 10*time.Second, "how long, one hour at most")
	f.IntVar(&o.count, "count", 0, "send so many queries at most; 0 = no bound")
	durationFlag(c, &o.timeout, "timeout", time.Second, "how long an answer may take before it counts as lost")
	f.Float64Var(&o.maxLoss, "max-loss", 0.01, "share of queries that may be lost, 0 to 1, before the exit code is 1")
	f.BoolVar(&o.mine, "target-is-mine", false, "the server is mine to load, although it is not on this machine")
	outputFlag(c, &o.output)
	c.MarkFlagRequired("name")
	return c
}

// config checks the flags, all of them.
func (o *benchOptions) config(ctx context.Context, server string, rateGiven bool) (load.Config, error) {
	var findings []error
	find := func(format string, args ...any) { findings = append(findings, fmt.Errorf(format, args...)) }
	mix := load.Mix{Names: o.names, ECS: o.ecs, IPv6: o.ipv6, DO: o.do, Cookie: o.cookie, Size: o.size, Seed: uint64(time.Now().UnixNano())}
	for _, name := range o.types {
		t, err := load.TypeOf(name)
		if err != nil {
			find("--type: %w", err)
		}
		mix.Types = append(mix.Types, t)
	}
	for _, text := range o.clients {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			find("--clients: %q is no network; write it as 192.0.2.0/24 or 2001:db8::/32", text)
			continue
		}
		mix.Clients = append(mix.Clients, network.Masked())
	}
	if o.duration <= 0 || o.duration > longestLoad {
		find("--duration: %v is not between 0 and %v", o.duration, longestLoad)
	}
	if o.window < 1 || o.window > load.MaxQueries/2 {
		find("--window: %d is not between 1 and %d", o.window, load.MaxQueries/2)
	}
	if o.sockets < 1 || o.sockets > 1024 {
		find("--sockets: %d is not between 1 and 1024", o.sockets)
	}
	if o.count < 0 {
		find("--count: %d is below 0", o.count)
	}
	if !(o.maxLoss >= 0 && o.maxLoss <= 1) {
		find("--max-loss: %v is not between 0 and 1", o.maxLoss)
	}
	address, near, err := benchTarget(ctx, server)
	switch {
	case err != nil:
		findings = append(findings, err)
	case !near && !o.mine:
		find("%s is not on this machine: say --target-is-mine if it is yours to load", address)
	case !near && !rateGiven:
		o.rate = politeRate
	}
	distinct := load.MaxQueries
	if o.count > 0 {
		distinct = min(distinct, max(o.count, 2*o.window))
	}
	queries, err := mix.Queries(distinct)
	if err != nil {
		findings = append(findings, err)
	}
	return load.Config{
		Address: address, TCP: o.tcp, Queries: queries, Rate: o.rate, Window: o.window, Sockets: o.sockets, Timeout: o.timeout,
	}, errors.Join(findings...)
}

// benchTarget is the address of a server, and whether it is on this machine for sure.
func benchTarget(ctx context.Context, server string) (address string, near bool, err error) {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		host, port = strings.Trim(server, "[]"), "53"
	}
	if host == "" {
		host = "localhost"
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", false, fmt.Errorf("the server's address: %w", err)
	}
	// The one that is sent to is the one that was looked at.
	first := addresses[0].Unmap()
	return net.JoinHostPort(first.String(), port), first.IsLoopback(), nil
}

// run puts the load on and reports.
func (o *benchOptions) run(c *cobra.Command, config load.Config) error {
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := load.New(config)
	if err != nil {
		return err
	}
	defer l.Close()
	done := make(chan struct{})
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		if o.output == "text" {
			o.progress(c.ErrOrStderr(), l, done)
		}
	}()
	r, err := l.Run(ctx, o.duration, o.count)
	close(done)
	<-shown
	report := o.report(config, r)
	if o.output == "json" {
		err = errors.Join(err, writeJSON(c.OutOrStdout(), report))
	} else {
		report.write(c.OutOrStdout())
	}
	if err != nil {
		return err
	}
	return report.verdict(o.maxLoss)
}

// progress shows how far it is, on a terminal only.
func (o *benchOptions) progress(w io.Writer, l *load.Load, done <-chan struct{}) {
	const every = 200 * time.Millisecond
	bar := newBar(w)
	defer bar.end()
	tick := time.NewTicker(every)
	defer tick.Stop()
	begin, before := time.Now(), int64(0)
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		sent, answered, lost := l.Live()
		part := time.Since(begin).Seconds() / o.duration.Seconds()
		if o.count > 0 {
			part = max(part, float64(sent)/float64(o.count))
		}
		bar.show(part, fmt.Sprintf("  %.0f answers/s  %d lost", float64(answered-before)/every.Seconds(), lost))
		before = answered
	}
}

// benchReport is what a load found, for people and for programs.
type benchReport struct {
	Server     string         `json:"server"`
	Transport  string         `json:"transport"`
	Rate       float64        `json:"rate,omitempty"` // asked for; 0 = a closed loop
	Window     int            `json:"window"`
	Seconds    float64        `json:"seconds"`
	Sent       int            `json:"sent"`
	Answered   int            `json:"answered"`
	PerSecond  float64        `json:"answers_per_second"`
	Lost       int            `json:"lost"`
	LossRatio  float64        `json:"loss_ratio"`
	Late       int            `json:"late"`
	Wrong      int            `json:"wrong"`
	Truncated  int            `json:"truncated"`
	MeanOctets float64        `json:"mean_octets"`
	Rcodes     map[string]int `json:"rcodes"`
	Latency    benchLatency   `json:"latency_seconds"`
}

type benchLatency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func (o *benchOptions) report(c load.Config, r *load.Result) benchReport {
	b := benchReport{
		Server: c.Address, Transport: "udp", Rate: c.Rate, Window: o.window, Seconds: r.Took.Seconds(),
		Sent: r.Sent, Answered: r.Answered, PerSecond: r.PerSecond(), Lost: r.Lost, LossRatio: r.LossRatio(),
		Late: r.Late, Wrong: r.Wrong, Truncated: r.Truncated, MeanOctets: float64(r.Octets) / float64(max(r.Answered, 1)),
		Rcodes: make(map[string]int),
		Latency: benchLatency{
			Mean: r.Latency.Mean() / 1e9, P50: r.Quantile(0.5).Seconds(), P90: r.Quantile(0.9).Seconds(),
			P99: r.Quantile(0.99).Seconds(), P999: r.Quantile(0.999).Seconds(), Max: r.Quantile(1).Seconds(),
		},
	}
	if o.tcp {
		b.Transport = "tcp"
	}
	for rcode, n := range r.Rcodes {
		name := dns.RcodeToString[rcode]
		if rcode == dns.RcodeBadVers {
			name = "BADVERS" // not BADSIG, which is of TSIG
		}
		if name == "" {
			name = fmt.Sprint("RCODE", rcode)
		}
		b.Rcodes[name] += n
	}
	return b
}

func (b benchReport) write(w io.Writer) {
	fmt.Fprintf(w, "%s over %s, %.1f s\n", b.Server, strings.ToUpper(b.Transport), b.Seconds)
	t := newTable(w, "sent", "answered", "answers/s", "lost", "late", "wrong", "truncated", "octets")
	t.row(fmt.Sprint(b.Sent), fmt.Sprint(b.Answered), fmt.Sprintf("%.0f", b.PerSecond), fmt.Sprintf("%d (%s)", b.Lost, percent(b.LossRatio)),
		fmt.Sprint(b.Late), fmt.Sprint(b.Wrong), fmt.Sprint(b.Truncated), fmt.Sprintf("%.0f", b.MeanOctets))
	t.flush()
	for _, code := range slices.Sorted(maps.Keys(b.Rcodes)) {
		fmt.Fprintf(w, "  %-10s %d\n", code, b.Rcodes[code])
	}
	ms := func(seconds float64) string { return fmt.Sprintf("%.3f", 1000*seconds) }
	t = newTable(w, "latency, ms", "mean", "p50", "p90", "p99", "p99.9", "max")
	t.row("", ms(b.Latency.Mean), ms(b.Latency.P50), ms(b.Latency.P90), ms(b.Latency.P99), ms(b.Latency.P999), ms(b.Latency.Max))
	t.flush()
	if b.Rate > 0 && b.PerSecond < 0.95*b.Rate {
		fmt.Fprintf(w, "%.0f a second were asked for: the server, this machine or the window (%d) is too small\n", b.Rate, b.Window)
	}
}

// verdict is why the server did not pass, if it did not.
func (b benchReport) verdict(maxLoss float64) error {
	switch {
	case b.Answered == 0:
		return fmt.Errorf("%s answered nothing: does a DNS server listen there, over %s?", b.Server, strings.ToUpper(b.Transport))
	case b.Wrong > 0:
		return fmt.Errorf("%d answers are none to what was asked", b.Wrong)
	case b.LossRatio > maxLoss:
		return fmt.Errorf("%s of the queries were lost, more than --max-loss %v", percent(b.LossRatio), maxLoss)
	}
	return nil
}
