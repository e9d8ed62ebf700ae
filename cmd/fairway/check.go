package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"fairway/dnsserver"
	"fairway/policies"
	"fairway/probes"
	"fairway/steering"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	var strict bool
	var output string
	c := &cobra.Command{
		Use:   "check PATH...",
		Short: "Find everything that is wrong with a configuration",
		Long: `Check a configuration as a running node would, and list every finding with its
place and its remedy. Exit code 0 when it can run (warnings do not matter unless
--strict), 1 when it cannot. Each PATH is a configuration of its own.

What only the compiled network map can tell is found too: rules that can never
match or that overlap, endpoints that no rule can pick, weights that never count.`,
		Example: "  fairway check fairway.yaml\n  fairway check --strict /etc/fairway\n  fairway check -o sarif /etc/fairway > fairway.sarif",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(c, output, sarif); err != nil {
				return err
			}
			var results []checkResult
			bad := false
			for _, path := range args {
				r := check(path, strict)
				results = append(results, r)
				bad = bad || !r.OK
			}
			switch output {
			case "json":
				writeJSON(c.OutOrStdout(), results)
			case sarif:
				writeJSON(c.OutOrStdout(), sarifOf(results))
			default:
				for i := range results {
					results[i].print(c)
				}
			}
			if bad {
				return errTold
			}
			return nil
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "treat warnings as errors")
	outputFlag(c, &output, sarif)
	return c
}

// sarif is the output form for code scanning, version 2.1.0.
const sarif = "sarif"

// checkResult is what `check` says of one configuration.
type checkResult struct {
	Path            string            `json:"path"`
	OK              bool              `json:"ok"`
	Runs            bool              `json:"runs"` // a node would run it: what errors there are, it only warns of
	Errors          int               `json:"errors"`
	Warnings        int               `json:"warnings"`
	Findings        policies.Findings `json:"findings"`
	Services        int               `json:"services"`
	Endpoints       int               `json:"endpoints"`
	ProbesPerMinute float64           `json:"probes_per_minute"` // from all vantages together
	MostMbps        float64           `json:"most_mbps"`         // what they may read: max_bytes of each, whole
	Cells           int               `json:"cells"`
}

// check goes as far as a node does before it listens.
func check(path string, strict bool) checkResult {
	r := checkResult{Path: path, Findings: policies.Findings{}}
	c, findings, err := loadFiles(path)
	r.Findings = append(r.Findings, findings...)
	var refused findingsError
	if err != nil && !errors.As(err, &refused) {
		r.add(policies.Error, err.Error())
	}
	if c != nil {
		r.addGeo(c)
		r.Findings = append(r.Findings, c.review()...)
		r.count(c)
		if message, remedy := thisMachine().tooFew(c.Node); message != "" {
			r.Findings = append(r.Findings, policies.Finding{Severity: policies.Warning, Place: c.Node.HTTP.ConnectionsAt, Message: message, Remedy: remedy, Kind: "descriptors"})
		}
		r.Runs = true
		if err := dnsserver.Check(c.layout); err != nil {
			r.add(policies.Error, err.Error())
			r.Runs = false
		}
	}
	r.Errors, r.Warnings = r.Findings.Errors(), r.Findings.Warnings()
	r.OK = r.Errors == 0 && !(strict && r.Warnings > 0)
	return r
}

func (r *checkResult) add(severity policies.Severity, message string) {
	r.Findings = append(r.Findings, policies.Finding{Severity: severity, Message: message, Place: steering.Place{File: r.Path}})
}

// addGeo adds the warnings of the network map. Those that speak of a region
// begin with its place.
func (r *checkResult) addGeo(c *configuration) {
	for _, w := range c.warnings {
		f := policies.Finding{Severity: policies.Warning, Message: w, Place: steering.Place{File: r.Path}}
		for _, region := range c.Revision.Regions {
			if rest, ok := strings.CutPrefix(w, region.Place.String()+": "); ok {
				f.Place, f.Kind, f.Message = region.Place, "region-unreachable", rest
				f.Message, f.Remedy, _ = strings.Cut(rest, "; ")
			}
		}
		r.Findings = append(r.Findings, f)
	}
}

// count tells how large the configuration is, and what it costs to probe.
func (r *checkResult) count(c *configuration) {
	r.Services = len(c.Revision.Services)
	for _, s := range c.Revision.Services {
		r.Endpoints += len(s.Endpoints)
	}
	r.Cells = len(c.layout.Table.Cells())
	for _, t := range probes.Targets(c.Revision) {
		perMinute := float64(len(c.Revision.Vantages)) * float64(time.Minute) / float64(t.Probe.Every)
		r.ProbesPerMinute += perMinute
		if t.Probe.Type.Fetches() {
			r.MostMbps += perMinute / 60 * float64(max(1, len(t.Addresses))) * 8 * float64(t.Probe.MaxBytes) / 1e6
		}
	}
	budget := c.Revision.Probing.Budget
	if budget.PerMinute > 0 && r.ProbesPerMinute > float64(budget.PerMinute) {
		r.add(policies.Warning, fmt.Sprintf("%.0f probes a minute are more than probing.budget.probes_per_minute, %d: raise every, or the budget", r.ProbesPerMinute, budget.PerMinute))
	}
	if budget.Bandwidth > 0 && r.MostMbps*1e6 > budget.Bandwidth {
		r.add(policies.Warning, fmt.Sprintf("probes may read up to %.1f Mbit/s, more than probing.budget.mbps, %g: they will wait; lower max_bytes, raise every, or the budget", r.MostMbps, budget.Bandwidth/1e6))
	}
}

func (r *checkResult) print(c *cobra.Command) {
	w := c.OutOrStdout()
	for _, f := range r.Findings {
		fmt.Fprintln(w, f)
	}
	if r.Errors > 0 {
		what := "this configuration would be refused"
		if r.Runs {
			what = "a node would run it all the same, and warn: mend it first"
		}
		fmt.Fprintf(w, "%s: %s, %s: %s\n", r.Path, count(r.Errors, "error"), count(r.Warnings, "warning"), what)
		return
	}
	verdict := "ok"
	if !r.OK {
		verdict = "refused by --strict"
	}
	fmt.Fprintf(w, "%s: %s, %s; %s, %s, %s, %.0f probes a minute (%.1f Mbit/s at most)\n", r.Path, verdict, count(r.Warnings, "warning"),
		count(r.Services, "service"), count(r.Endpoints, "endpoint"), count(r.Cells, "cell"), r.ProbesPerMinute, r.MostMbps)
}

func initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init HOST...",
		Short: "Write a first configuration from your CDN hostnames",
		Long: `Write a commented configuration to standard output that steers one service over
the CDN hostnames given. It passes "fairway check"; edit it from there.`,
		Example: "  fairway init live.akamaized.example d111.cloudfront.example > fairway.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, hosts []string) error {
			text, err := policies.Starter(hosts)
			if err != nil {
				return usageError{err, c.CommandPath()}
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
}
