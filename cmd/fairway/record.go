package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func recordCommand() *cobra.Command {
	var to connection
	var out, from string
	var length, every time.Duration
	c := &cobra.Command{
		Use:   "record --out FILE",
		Short: "Record what a running node measures, for replay and plan",
		Long: `Ask a running node again and again for its health and overrides, and write them
as JSON lines with its configuration and a sample of its queries. Play them back
with "fairway replay", or plan from the last moment with "fairway plan --state".

The file holds the node's whole configuration and the networks (not the
addresses) of clients, so it is readable by its owner only. Ctrl-C ends early.`,
		Example: "  fairway record --out friday.jsonl --for 2h --every 5s",
		RunE: func(c *cobra.Command, _ []string) error {
			node, err := to.open()
			if err != nil {
				return err
			}
			if from != "" {
				return recordPast(c, node, out, from, length)
			}
			if every <= 0 || length <= 0 {
				return usageError{fmt.Errorf("--for and --every must be above 0"), c.CommandPath()}
			}
			ctx, cancel := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer cancel()
			ctx, end := context.WithTimeout(ctx, length)
			defer end()
			r := &recorder{node: node, begun: func() {
				fmt.Fprintf(c.ErrOrStderr(), "recording %s every %v for %v into %s; Ctrl-C ends it\n", node.Address(), every, length, out)
			}}
			err = writeFile(out, func(w io.Writer) error {
				r.out = json.NewEncoder(w)
				return r.run(ctx, every)
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %s", out, count(r.moments, "moment"))
			if r.missed > 0 {
				fmt.Fprintf(c.OutOrStdout(), ", %d without an answer", r.missed)
			}
			fmt.Fprintln(c.OutOrStdout())
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write (required)")
	c.Flags().StringVar(&from, "from", "", "record what the node has kept, from this time on: 2026-03-01T20:00:00Z, or 3h for so long ago")
	durationFlag(c, &length, "for", time.Minute, "how long")
	durationFlag(c, &every, "every", time.Second, "how often the node is asked")
	c.MarkFlagRequired("out")
	to.flags(c)
	return c
}
