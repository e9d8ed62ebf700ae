package main

import (
	"fmt"
	"os"
	"strings"

	"fairway/tools/sidebyside"
)

// The tables stand between these lines of the file.
const (
	beginMarker = "<!-- compare-dns begins: written by make compare-dns -->"
	endMarker   = "<!-- compare-dns ends -->"
)

// compareInto makes every comparison and writes the tables into a file.
func compareInto(o options) error {
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
	return sidebyside.WriteBetween(o.into, beginMarker, endMarker, b.String())
}
