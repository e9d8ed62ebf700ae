package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"fairway/policies"
)

// durationFlag adds a flag for a time span, written as in a configuration: 500ms, 30s,
// 1h30m, 7d.
func durationFlag(c *cobra.Command, into *time.Duration, name string, otherwise time.Duration, usage string) {
	*into = otherwise
	c.Flags().Var((*span)(into), name, usage)
}

type span time.Duration

func (s *span) Set(text string) error {
	d, err := policies.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("write a number with a unit: 500ms, 30s, 5m, 1h, 7d")
	}
	*s = span(d)
	return nil
}

// String leaves zero out, so that a flag without a default shows none.
func (s *span) String() string {
	if *s == 0 {
		return ""
	}
	return policies.FormatDuration(time.Duration(*s))
}

func (s *span) Type() string { return "duration" }
