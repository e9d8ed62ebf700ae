package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	rounds  int
	each    time.Duration
	rate    int
	window  int
	workers int
	only    string
	gdnsd   string
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
	flag.StringVar(&o.gdnsd, "gdnsd", "gdnsd", "the gdnsd to compare with; left out when there is none")
	flag.StringVar(&o.serve, "serve", "", "be one of the servers (internal)")
	flag.StringVar(&o.listen, "listen", "", "where to serve (internal)")
	flag.Parse()
	run := compare
	if o.serve != "" {
		run = serve
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// compare runs the rounds and prints the table.
func compare(o options) (err error) {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	var running []*server
	defer func() {
		for _, s := range running {
			err = errors.Join(err, s.end())
		}
	}()
	for i, name := range chosen(o) {
		s, err := begin(name, fmt.Sprintf("127.0.0.1:%d", 5400+i), folder, o)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", name, err)
			continue
		}
		running = append(running, s)
	}
	if len(running) == 0 {
		return errors.New("nothing to measure")
	}
	if o.workers == 1 {
		if err := pin(os.Getpid(), 1); err != nil {
			return err
		}
	}
	queries := makeQueries()
	for round := range o.rounds {
		for _, s := range running {
			r, err := s.turn(queries, o)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.results = append(s.results, r)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	report(os.Stdout, running)
	return nil
}

func chosen(o options) []string {
	if o.only != "" {
		return strings.Split(o.only, ",")
	}
	return slices.Clone(serverNames())
}
