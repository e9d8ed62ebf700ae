package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairway/dnsserver"
	"fairway/policies"
	"fairway/steering/plan"

	"github.com/spf13/cobra"
)

// exitChanges is `plan --detailed-exitcode` when something would change, as
// Terraform's.
const exitChanges = 2

// errChanges asks for exitChanges; all has been told.
var errChanges = errors.New("there are changes")

// planOptions are the flags of `fairway plan`.
type planOptions struct {
	at               string
	to               connection
	state, save, svg string
	output           string
	detailed         bool
	volume           volume
}

func planCommand() *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan PATH",
		Short: "Show who would move where under a changed configuration, before it happens",
		Long: `Compile the configuration at PATH and the one that a node runs, decide both from
the node's present health, overrides and shares, and show what would change: the
settings, with their lines in both; the clients that would move, per region and
service, at once and when no bound holds them back any more; latency, price, TTL.
Nothing is changed.

The node's own sample of real queries says who the clients are; without one they
are spread over the address space. Exit code 0; with --detailed-exitcode 0 when
nothing would change, 2 when something would, 1 when it cannot be told.`,
		Example: `  fairway plan fairway.yaml
  fairway plan fairway.yaml --gb-month 1_000_000 --svg plan.svg
  fairway plan --save tonight.jsonl              # keep the node's state
  fairway plan fairway.yaml --state tonight.jsonl`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(c, o.output); err != nil {
				return err
			}
			if len(args) == 0 && o.save == "" {
				return usageError{errors.New("name the changed configuration, or --save FILE"), c.CommandPath()}
			}
			return o.run(c, args)
		},
	}
	f := c.Flags()
	f.StringVar(&o.state, "state", "", "plan from this file instead of a running node: what --save or \"fairway record\" wrote")
	f.StringVar(&o.at, "at", "", "as it would be at this time, such as 2026-11-28T18:00:00+01:00: for schedules and rules that read the time")
	f.StringVar(&o.save, "save", "", "keep the node's configuration, state and query sample in this file")
	f.StringVar(&o.svg, "svg", "", "draw the moves into this file")
	f.BoolVar(&o.detailed, "detailed-exitcode", false, "exit 2 when something would change, 0 when nothing would, 1 on errors")
	f.Var(&o.volume, "gb-month", "GB that clients take in a month, such as 1_000_000: for the cost")
	o.to.flags(c)
	outputFlag(c, &o.output)
	return c
}

func (o *planOptions) run(c *cobra.Command, args []string) error {
	var hour time.Time
	if o.at != "" {
		var err error
		if hour, err = time.Parse(time.RFC3339, o.at); err != nil {
			return usageError{fmt.Errorf("--at %q is not a time such as 2026-11-28T18:00:00+01:00", o.at), c.CommandPath()}
		}
	}
	var after *configuration
	if len(args) > 0 { // first: who mends a file wants its findings, node or not
		var err error
		if after, err = loadChanged(c.ErrOrStderr(), args[0]); err != nil {
			return err
		}
	}
	from, err := o.from(c.Context())
	if err != nil {
		return err
	}
	if o.save != "" {
		if err := from.save(o.save); err != nil {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "saved: %s\n", o.save)
	}
	if after == nil {
		return nil
	}
	before, err := compileRevision(from.revision)
	if err != nil {
		return err
	}
	if before.geoError != nil {
		fmt.Fprintf(c.ErrOrStderr(), "warning: %v\n    the built-in country data stands in for the node's; regions may be cut otherwise there\n", before.geoError)
	}
	p, err := plan.Compare(plan.Input{
		Hour:   hour,
		Before: before.layout, After: after.layout, State: from.state.State, Overrides: from.state.Overrides,
		Now: from.state.Now, Traffic: from.traffic, GBMonth: float64(o.volume),
	})
	if err != nil {
		return err
	}
	return o.tell(c, args[0], from, p)
}

// from is the moment to plan from.
func (o *planOptions) from(ctx context.Context) (*capture, error) {
	if o.state != "" {
		r, err := readRecording(o.state)
		if err != nil {
			return nil, err
		}
		return &r.capture, nil
	}
	c, err := askNode(ctx, &o.to)
	return &c, err
}

// loadChanged compiles the changed configuration as far as a reload would.
func loadChanged(w io.Writer, path string) (*configuration, error) {
	files, err := policies.Read(path)
	if err != nil {
		return nil, err
	}
	c, findings, err := compile(files, true)
	if err == nil {
		err = dnsserver.Check(c.layout)
	}
	if err != nil {
		tell(w, findings, nil, err)
		fmt.Fprintf(w, "%s: this configuration would be refused; nothing is planned\n", path)
		return nil, errTold
	}
	warnings := slices.Clone(c.warnings)
	if c.geoError != nil {
		warnings = append(warnings, c.geoError.Error())
	}
	tell(w, findings, warnings, nil)
	return c, nil
}

// tell writes the plan in every form that is asked for.
func (o *planOptions) tell(c *cobra.Command, path string, from *capture, p *plan.Plan) error {
	if o.output == "json" {
		if err := writeJSON(c.OutOrStdout(), p); err != nil {
			return err
		}
	} else {
		printPlan(c.OutOrStdout(), path, from, p)
	}
	if o.svg != "" {
		if err := os.WriteFile(o.svg, p.SVG(), 0o644); err != nil {
			return err
		}
	}
	if o.detailed && p.Changed {
		return errChanges
	}
	return nil
}

// volume is a number of GB that may be written with underscores.
type volume float64

func (v *volume) Set(text string) error {
	n, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	if err != nil || !(n > 0) || n > 1e18 {
		return fmt.Errorf("%q is no volume; write GB in a month, such as 1_000_000", text)
	}
	*v = volume(n)
	return nil
}

func (v *volume) String() string { return strconv.FormatFloat(float64(*v), 'f', -1, 64) }
func (v *volume) Type() string   { return "GB" }
