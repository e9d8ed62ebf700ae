package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"fairway/tools/sidebyside"
)

// options are the flags.
type options struct {
	rounds   int
	requests int
	only     string
	loads    string
	into     string
	serve    string
	listen   string
	folder   string
}

// The tables stand between these lines of the file.
const (
	beginMarker = "<!-- compare-http begins: written by make compare-http -->"
	endMarker   = "<!-- compare-http ends -->"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often each server has its turn")
	flag.IntVar(&o.requests, "requests", 40_000, "how many requests a turn has")
	flag.StringVar(&o.loads, "loads", "", "a regular expression: loads with a title that matches; empty = all")
	flag.StringVar(&o.only, "only", "", "servers, by name, with commas; empty = all")
	flag.StringVar(&o.into, "into", "", "write the tables into this file, between its markers")
	flag.StringVar(&o.serve, "serve", "", "be one of the servers (internal)")
	flag.StringVar(&o.listen, "listen", "", "where to serve, and where over TLS (internal)")
	flag.StringVar(&o.folder, "folder", "", "where the certificate is (internal)")
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

// compare runs all loads and writes their tables.
func compare(o options) (err error) {
	if _, err := exec.LookPath("h2load"); err != nil {
		return fmt.Errorf("%w\n    install it: tools/setup/install --peers", err)
	}
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := makeCertificate(folder); err != nil {
		return err
	}
	var running []*server
	defer func() {
		for _, s := range running {
			err = errors.Join(err, s.End())
		}
	}()
	names := serverNames()
	if o.only != "" {
		names = strings.Split(o.only, ",")
	}
	for i, name := range names {
		s, err := begin(name, 5500+2*i, folder)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s is left out: %v\n", name, err)
			continue
		}
		running = append(running, s)
	}
	var b strings.Builder
	wanted, err := regexp.Compile(o.loads)
	if err != nil {
		return err
	}
	for _, l := range loads() {
		if !wanted.MatchString(l.title) {
			continue
		}
		fmt.Fprintln(os.Stderr, l.title)
		if err := measure(&b, l, running, o, folder); err != nil {
			fmt.Print(b.String()) // what there is
			return err
		}
	}
	if o.into == "" {
		fmt.Print(b.String())
		return nil
	}
	return sidebyside.WriteBetween(o.into, beginMarker, endMarker, b.String())
}

// measure has every server take its turns under one load, and writes the table; then
// under half of what it did, where the load wants that.
func measure(b *strings.Builder, l load, running []*server, o options, folder string) error {
	if err := takeTurns(b, l, l.title, running, o, folder, func(*server) int { return 0 }); err != nil || !l.half {
		return err
	}
	half := make(map[*server]int)
	for _, s := range running {
		half[s] = sidebyside.Median(s.turns, turn.perSecond) / 2
	}
	return takeTurns(b, l, l.title+", half of what each can answer", running, o, folder, func(s *server) int { return half[s] })
}

func takeTurns(b *strings.Builder, l load, title string, running []*server, o options, folder string, rate func(*server) int) error {
	var processes []*sidebyside.Process
	var releases []string
	for _, s := range running {
		s.turns, processes = nil, append(processes, s.Process)
		if r := releaseOf(s.name); r != "" {
			releases = append(releases, s.name+" "+r)
		}
	}
	machine := sidebyside.NewWitness(processes)
	for round := range o.rounds {
		for _, s := range running {
			t, err := s.turn(l, rate(s), o.requests, filepath.Join(folder, "times"))
			if err != nil {
				return fmt.Errorf("%s: %s: %w", title, s.name, err)
			}
			s.turns = append(s.turns, t)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
	}
	fmt.Fprintf(b, "\n**%s**, %d rounds of %d requests. %s\n\n", title, o.rounds, l.count(o.requests), machine.Statement(releases...))
	report(b, running)
	return nil
}
