package main

import (
	"errors"
	"fmt"
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
--strict), 1 when it cannot. Each PATH is a configuration of its own.`,
		Example: "  fairway check fairway.yaml\n  fairway check --strict /etc/fairway",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(c, output); err != nil {
				return err
			}
			var results []checkResult
			bad := false
			for _, path := range args {
				r := check(path, strict)
				results = append(results, r)
				bad = bad || !r.OK
			}
			if output == "json" {
				writeJSON(c.OutOrStdout(), results)
			} else {
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
	outputFlag(c, &output)
	return c
}

// checkResult is what `check` says of one configuration.
type checkResult struct {
	Path            string            `json:"path"`
	OK              bool              `json:"ok"`
	Errors          int               `json:"errors"`
	Warnings        int               `json:"warnings"`
	Findings        policies.Findings `json:"findings"`
	Services        int               `json:"services"`
	Endpoints       int               `json:"endpoints"`
	ProbesPerMinute float64           `json:"probes_per_minute"`
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
		for _, w := range c.warnings {
			r.add(policies.Warning, w)
		}
		r.count(c)
		if err := prepareZones(c.layout); err != nil {
			r.add(policies.Error, err.Error())
		}
	}
	r.Errors, r.Warnings = r.Findings.Errors(), r.Findings.Warnings()
	r.OK = r.Errors == 0 && !(strict && r.Warnings > 0)
	return r
}

func (r *checkResult) add(severity policies.Severity, message string) {
	r.Findings = append(r.Findings, policies.Finding{Severity: severity, Message: message, Place: steering.Place{File: r.Path}})
}

// count tells how large the configuration is, and what it costs to probe.
func (r *checkResult) count(c *configuration) {
	r.Services = len(c.Revision.Services)
	for _, s := range c.Revision.Services {
		r.Endpoints += len(s.Endpoints)
	}
	r.Cells = len(c.layout.Table.Cells())
	for _, t := range probes.Targets(c.Revision) {
		r.ProbesPerMinute += float64(len(c.Revision.Vantages)) * float64(time.Minute) / float64(t.Probe.Every)
	}
}

// prepareZones compiles the zones as the DNS door would.
func prepareZones(layout *steering.Layout) error {
	current, _ := steering.NewCurrent(nil)
	door, err := dnsserver.New(dnsserver.Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		return err
	}
	return door.Prepare(layout)
}

func (r *checkResult) print(c *cobra.Command) {
	w := c.OutOrStdout()
	for _, f := range r.Findings {
		fmt.Fprintln(w, f)
	}
	if r.Errors > 0 {
		fmt.Fprintf(w, "%s: %s, %s: this configuration would be refused\n", r.Path, count(r.Errors, "error"), count(r.Warnings, "warning"))
		return
	}
	verdict := "ok"
	if !r.OK {
		verdict = "refused by --strict"
	}
	fmt.Fprintf(w, "%s: %s, %s; %s, %s, %s, %.0f probes a minute\n", r.Path, verdict, count(r.Warnings, "warning"),
		count(r.Services, "service"), count(r.Endpoints, "endpoint"), count(r.Cells, "cell"), r.ProbesPerMinute)
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
