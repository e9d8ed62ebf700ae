package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"fairway/tools/sidebyside"
)

// options are the flags.
type options struct {
	rounds  int
	each    time.Duration
	rate    int
	window  int
	workers int
	only    string
	into    string
	scopes  bool
	sizes   bool
	serve   string
	listen  string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often each server has its turn")
	flag.DurationVar(&o.each, "each", time.Second, "how long a turn is")
	flag.IntVar(&o.rate, "rate", 0, "queries per second; 0 = as fast as it goes")
	flag.IntVar(&o.window, "window", 128, "queries under way at most")
	flag.IntVar(&o.workers, "workers", 1, "processors of a server; with more than one nothing is pinned")
	flag.StringVar(&o.only, "only", "", "servers, by name, with commas; empty = all")
	flag.StringVar(&o.into, "into", "", "write the tables of all three runs into this file, between its markers")
	flag.BoolVar(&o.scopes, "scopes", false, "count the networks that each server announces for the whole of IPv4, and measure nothing")
	flag.BoolVar(&o.sizes, "sizes", false, "measure our door in a small world and in a large one: a million names, 10,000 services, 250 regions")
	flag.StringVar(&o.serve, "serve", "", "be one of the servers (internal)")
	flag.StringVar(&o.listen, "listen", "", "where to serve (internal)")
	flag.Parse()
	run := compare
	switch {
	case o.serve != "":
		run = serve
	case o.scopes:
		run = countScopes
	case o.sizes:
		run = compareSizes
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// compare runs the rounds and prints the table, or all tables into a file.
func compare(o options) error {
	if o.into == "" {
		run, err := measure(o)
		fmt.Print(run.table)
		return err
	}
	return compareInto(o)
}

// comparison is what one comparison found.
type comparison struct {
	table   string
	reached map[string]int // answers per second, by server
}

// measure runs one comparison.
func measure(o options) (_ comparison, err error) {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return comparison{}, err
	}
	defer os.RemoveAll(folder)
	var running []*server
	defer func() {
		for _, s := range running {
			err = errors.Join(err, s.End())
		}
	}()
	for i, name := range chosen(o) {
		s, err := begin(name, fmt.Sprintf("127.0.0.1:%d", 5400+i), folder, o, makeQueries()[0])
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", name, err)
			continue
		}
		running = append(running, s)
	}
	if len(running) == 0 {
		return comparison{}, errors.New("nothing to measure")
	}
	if err := pinLoad(o.workers); err != nil {
		return comparison{}, err
	}
	var processes []*sidebyside.Process
	var releases []string
	for _, s := range running {
		processes = append(processes, s.Process)
		if r := releaseOf(s.name); r != "" {
			releases = append(releases, s.name+" "+r)
		}
	}
	machine := sidebyside.NewWitness(processes)
	queries := makeQueries()
	for round := range o.rounds {
		for _, s := range running {
			r, err := s.turn(queries, o)
			if err != nil {
				return comparison{}, fmt.Errorf("%s: %w", s.name, err)
			}
			s.results = append(s.results, r)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", machine.Statement(releases...))
	report(&b, running)
	reached := make(map[string]int)
	for _, s := range running {
		reached[s.name] = int(sidebyside.Median(s.results, result.perSecond))
	}
	return comparison{b.String(), reached}, nil
}

// pinLoad keeps this process on processor 1 where the servers are on processor 0;
// else anywhere.
func pinLoad(workers int) error {
	if workers == 1 {
		return sidebyside.Pin(os.Getpid(), 1)
	}
	return sidebyside.Pin(os.Getpid(), allProcessors()...)
}

func allProcessors() (all []int) {
	for i := range runtime.NumCPU() {
		all = append(all, i)
	}
	return all
}

func chosen(o options) []string {
	if o.only != "" {
		return strings.Split(o.only, ",")
	}
	return slices.Clone(serverNames())
}
