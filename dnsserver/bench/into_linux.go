package main

import (
	"fmt"
	"os"
	"strings"
)

// The tables stand between these lines of the file.
const (
	beginMarker = "<!-- compare-dns begins: written by make compare-dns -->"
	endMarker   = "<!-- compare-dns ends -->"
)

// compareInto makes every comparison and writes the tables into a file.
func compareInto(o options) error {
	text, err := os.ReadFile(o.into)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), beginMarker)
	_, after, ends := strings.Cut(rest, endMarker)
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q to write between", o.into, beginMarker, endMarker)
	}
	nearest := strings.Join([]string{echo, mmsgFast, gdnsd, knot}, ",")
	var b strings.Builder
	for _, run := range []struct {
		title         string
		only          string
		rate, workers int
	}{
		{title: "As fast as it goes, one processor", workers: 1},
		{title: "30,000 queries a second, one processor", only: nearest, rate: 30_000, workers: 1},
		{title: "40,000 queries a second, two processors, nothing pinned", only: nearest, rate: 40_000, workers: 2},
	} {
		o.rate, o.workers = run.rate, run.workers
		if run.only != "" {
			o.only = run.only
		}
		fmt.Fprintln(os.Stderr, run.title)
		table, err := measure(o)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n**%s**, %d rounds of %v. %s", run.title, o.rounds, o.each, table)
	}
	return os.WriteFile(o.into, []byte(before+beginMarker+"\n"+b.String()+"\n"+endMarker+after), 0o644)
}
