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
	var text strings.Builder
	one := func(title string, o options) (comparison, error) {
		fmt.Fprintln(os.Stderr, title)
		run, err := measure(o)
		fmt.Fprintf(&text, "\n**%s**, %d rounds of %v. %s", title, o.rounds, o.each, run.table)
		return run, err
	}
	o.workers = 1
	saturated, err := one("As fast as it goes, one processor", o)
	if err != nil {
		return err
	}
	o.only = strings.Join([]string{echo, mmsgFast, gdnsd, knot}, ",")
	half := saturated.reached[gdnsd] / 2
	for _, below := range []struct {
		title         string
		rate, workers int
	}{
		{"Half of what gdnsd reached: %d queries a second, one processor", half, 1},
		{"%d queries a second, one processor", 30_000, 1},
		{"%d queries a second, two processors, nothing pinned", 40_000, 2},
	} {
		if below.rate == 0 {
			continue // gdnsd is not here
		}
		o.rate, o.workers = below.rate, below.workers
		if _, err := one(fmt.Sprintf(below.title, below.rate), o); err != nil {
			return err
		}
	}
	return sidebyside.WriteBetween(o.into, beginMarker, endMarker, text.String())
}
