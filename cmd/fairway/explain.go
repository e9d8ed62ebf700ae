package main

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fairway/steering"

	"github.com/spf13/cobra"
)

func explainCommand() *cobra.Command {
	var ask asking
	var service, client string
	c := &cobra.Command{
		Use:   "explain --service S --client IP",
		Short: "Show why a client gets the CDN that it gets",
		Long: `Show the decision for one client with every stage that led to it: the region and
the rule that matched (with its place in your files), what each stage put aside
and why, every endpoint's measurements with their age, what holds a move back,
and what each door answers.`,
		Example: "  fairway explain --service live --client 203.0.113.7",
		RunE: func(c *cobra.Command, _ []string) error {
			address, err := netip.ParseAddr(client)
			if err != nil {
				return usageError{fmt.Errorf("--client %q is not an IP address", client), c.CommandPath()}
			}
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			x, err := node.Explain(c.Context(), service, address)
			if err != nil {
				return err
			}
			return ask.show(c, x, func(w io.Writer) { printExplanation(w, x) })
		},
	}
	c.Flags().StringVarP(&service, "service", "s", "", "the service's key (required)")
	c.Flags().StringVar(&client, "client", "", "the client's IP address (required)")
	c.MarkFlagRequired("service")
	c.MarkFlagRequired("client")
	ask.flags(c)
	return c
}

func printExplanation(w io.Writer, x *steering.Explanation) {
	fmt.Fprintf(w, "client %s, service %s\n", x.Client, x.Service)
	fmt.Fprintf(w, "region %s%s; the answer holds for its /%d\n", x.Cell.Region, attributes(x.Cell), x.Scope)
	fmt.Fprintf(w, "generation %d of %s, revision %.12s, TTL %d s\n\n", x.Generation, x.Published.Local().Format(time.DateTime), x.Revision, x.TTLSeconds)
	if x.Canary {
		fmt.Fprint(w, "CANARY: this client is among those of the revision on trial\n\n")
	}
	fmt.Fprintf(w, "policy %s\n", x.Policy)
	for _, r := range x.Rules {
		mark, when := "no match", "always"
		if r.Matched {
			mark = "MATCHED"
		}
		if r.When != "" {
			when = "when " + r.When
		}
		fmt.Fprintf(w, "  %-8s  %s  rule %s: %s\n", mark, r.Place, r.Name, when)
	}
	fmt.Fprintln(w, "\nstages")
	for _, s := range x.Stages {
		printStage(w, &s)
	}
	fmt.Fprintln(w, "\nendpoints, in the order in which this client should try them")
	printEndpoints(w, x.Endpoints)
	fmt.Fprintf(w, "\ndecided by %s\n", x.Reason)
	for _, h := range x.Holds {
		fmt.Fprintf(w, "  %s\n", holdText(h))
	}
	for _, door := range slices.Sorted(maps.Keys(x.Doors)) {
		fmt.Fprintf(w, "%-9s %s\n", door, x.Doors[door])
	}
}

// attributes lists what the rules can read of the client's network.
func attributes(c steering.Cell) string {
	var list []string
	for _, a := range [][2]string{{"country", c.Country}, {"subdivision", c.Subdivision}, {"continent", c.Continent}} {
		if a[1] != "" {
			list = append(list, a[0]+" "+a[1])
		}
	}
	if c.ASN != 0 {
		list = append(list, fmt.Sprintf("AS%d", c.ASN))
	}
	if list == nil {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

func printStage(w io.Writer, s *steering.StageTrace) {
	fmt.Fprintf(w, "  %-12s %d left", s.Stage, len(s.Left))
	if s.Note != "" {
		fmt.Fprintf(w, "; %s", s.Note)
	}
	if s.Place != (steering.Place{}) {
		fmt.Fprintf(w, "  [%s]", s.Place)
	}
	fmt.Fprintln(w)
	for _, a := range s.Aside {
		fmt.Fprintf(w, "  %-12s - %s: %s\n", "", a.Endpoint, a.Reason)
	}
}

func printEndpoints(w io.Writer, endpoints []steering.EndpointTrace) {
	t := newTable(w, "  ENDPOINT", "SHARE", "TARGET", "HEALTH", "SCORE", "P50", "P95", "AVAIL", "SAMPLES", "AGE", "PLACE", "WHY")
	for _, e := range endpoints {
		p50, p95, available, old := "-", "-", "-", "-"
		if e.Health.Samples > 0 {
			p50, p95 = age(e.Health.P50), age(e.Health.P95)
			available, old = percent(e.Health.Availability), age(seconds(e.AgeSeconds))
		}
		t.row("  "+e.ID, percent(e.Weight), percent(e.Target), e.Health.Verdict.String(), fmt.Sprintf("%.3f", e.Score),
			p50, p95, available, fmt.Sprint(e.Health.Samples), old, e.Place.String(), e.Reason.String())
	}
	t.flush()
}
