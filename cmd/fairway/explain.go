package main

import (
	"cmp"
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
	var service, client, door, path, at string
	var resolver bool
	c := &cobra.Command{
		Use:   "explain --service S --client IP",
		Short: "Show why a client gets the CDN that it gets",
		Long: `Show the decision for one client with every stage that led to it: the region and
the rule that matched (with its place in your files), what each stage put aside
and why, every endpoint's measurements with their age, what holds a move back,
and what each door answers.`,
		Example: "  fairway explain --service live --client 203.0.113.7\n  fairway explain --service live --client 203.0.113.7 --at 2026-03-01T20:15:00Z",
		RunE: func(c *cobra.Command, _ []string) error {
			address, err := netip.ParseAddr(client)
			if err != nil {
				return usageError{fmt.Errorf("--client %q is not an IP address", client), c.CommandPath()}
			}
			q := steering.Query{Client: address, Path: path}
			if path != "" {
				q.Door = steering.DoorRedirect
			}
			if door != "" {
				var known bool
				if q.Door, known = steering.DoorNamed(door); !known {
					return usageError{fmt.Errorf("--door %q is none of dns, redirect, steering and decide", door), c.CommandPath()}
				}
			}
			if resolver {
				q.Source = steering.SourceResolver
			}
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			var x *steering.Explanation
			if at == "" {
				x, err = node.Explain(c.Context(), service, q)
			} else {
				x, err = explainAt(c, node, service, q, at)
			}
			if err != nil {
				return err
			}
			return ask.show(c, x, func(w io.Writer) { printExplanation(w, x) })
		},
	}
	c.Flags().StringVarP(&service, "service", "s", "", "the service's key (required)")
	c.Flags().StringVar(&client, "client", "", "the client's IP address (required)")
	c.Flags().StringVar(&door, "door", "", "where it asks, if rules read it: dns, redirect, steering or decide")
	c.Flags().StringVar(&path, "path", "", "what it asks an HTTP door for behind the service, such as /vod/a.m3u8, if rules read it")
	c.Flags().StringVar(&at, "at", "", "explain what was decided at this time, as 2026-03-01T20:15:00Z or 90m for so long ago")
	c.Flags().BoolVar(&resolver, "resolver", false, "the address is that of a resolver which does not say who the client is")
	offer(c, "door", "dns", "redirect", "steering", "decide")
	ask.offer(c, "service", serviceNames)
	c.MarkFlagRequired("service")
	c.MarkFlagRequired("client")
	ask.flags(c)
	return c
}

func printExplanation(w io.Writer, x *steering.Explanation) {
	fmt.Fprintf(w, "client %s, service %s, by %s", x.Client, x.Service, x.Door)
	if x.Path != "" {
		fmt.Fprintf(w, " for %s", x.Path)
	}
	if x.Source == steering.SourceResolver.String() {
		fmt.Fprint(w, " through a resolver")
	}
	fmt.Fprintln(w)
	if x.Schedule != "" {
		fmt.Fprintf(w, "schedule %s is open\n", x.Schedule)
	}
	fmt.Fprintf(w, "region %s%s; the answer holds for its /%d\n", x.Cell.Region, attributes(x.Cell), x.Scope)
	fmt.Fprintf(w, "generation %d of %s, revision %.12s, TTL %d s\n", x.Generation, x.Published.Local().Format(time.DateTime), x.Revision, x.TTLSeconds)
	places := placesOf(x)
	if places.folder != "" {
		fmt.Fprintf(w, "places are below %s\n", places.folder)
	}
	fmt.Fprintln(w)
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
		if r.Policy != "" {
			r.Name += " of policy " + r.Policy
		}
		fmt.Fprintf(w, "  %-8s  %s  rule %s: %s\n", mark, places.at(r.Place), r.Name, when)
	}
	fmt.Fprintln(w, "\nstages")
	for _, s := range x.Stages {
		printStage(w, places, &s)
	}
	fmt.Fprintln(w, "\nendpoints, in the order in which this client should try them")
	printEndpoints(w, places, x.Endpoints)
	printReadings(w, x.Endpoints)
	fmt.Fprintln(w, "\nwhat their health rests on")
	printEvidence(w, x)
	fmt.Fprintf(w, "\ndecided by %s\n", x.Reason)
	fmt.Fprintf(w, "TTL %d s, %s\n", x.TTLSeconds, cmp.Or(x.TTLWhy, "as it was when the generation was made"))
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
	if c.Family != "" {
		list = append(list, c.Family)
	}
	if c.Prefix.IsValid() {
		list = append(list, "in "+c.Prefix.String())
	}
	if list == nil {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

func printStage(w io.Writer, places placed, s *steering.StageTrace) {
	fmt.Fprintf(w, "  %-12s %d left", s.Stage, len(s.Left))
	if s.Note != "" {
		fmt.Fprintf(w, "; %s", s.Note)
	}
	if s.Place != (steering.Place{}) {
		fmt.Fprintf(w, "  [%s]", places.at(s.Place))
	}
	fmt.Fprintln(w)
	for _, a := range s.Aside {
		fmt.Fprintf(w, "  %-12s - %s: %s\n", "", a.Endpoint, a.Reason)
	}
}

func printEndpoints(w io.Writer, places placed, endpoints []steering.EndpointTrace) {
	t := newTable(w, "  ENDPOINT", "SHARE", "TARGET", "HEALTH", "SCORE", "P50", "P95", "AVAIL", "SAMPLES", "AGE", "PLACE", "WHY")
	for _, e := range endpoints {
		p50, p95, available, old := "-", "-", "-", "-"
		if e.Health.P50 > 0 { // some measurement was good
			p50, p95 = age(e.Health.P50), age(e.Health.P95)
		}
		if e.Health.Samples > 0 {
			available, old = percent(e.Health.Availability), age(seconds(e.AgeSeconds))
		}
		t.row("  "+e.ID, percent(e.Weight), percent(e.Target), e.Health.Verdict.String(), fmt.Sprintf("%.3f", e.Score),
			p50, p95, available, fmt.Sprint(e.Health.Samples), old, places.at(e.Place), e.Reason.String())
	}
	t.flush()
}

// printReadings writes the signals that the score read, where it read some.
func printReadings(w io.Writer, endpoints []steering.EndpointTrace) {
	if !slices.ContainsFunc(endpoints, func(e steering.EndpointTrace) bool { return len(e.Signals) > 0 }) {
		return
	}
	fmt.Fprintln(w, "\nsignals")
	t := newTable(w, "  ENDPOINT", "SIGNAL", "VALUE", "AGE")
	for _, e := range endpoints {
		for _, s := range e.Signals {
			old := age(seconds(s.AgeSeconds))
			switch s.StandIn {
			case steering.SignalOfOthers:
				old = "not known: the mean of the others"
			case steering.SignalDefault:
				old = "not known: the default"
			}
			t.row("  "+e.ID, s.Name, fmt.Sprintf("%.6g", s.Value), old)
		}
	}
	t.flush()
}

// printEvidence tells of each verdict since when it is, how far it can be trusted, and
// what it was made of.
func printEvidence(w io.Writer, x *steering.Explanation) {
	t := newTable(w, "  ENDPOINT", "HEALTH", "FOR", "CONFIDENCE", "REASON", "EVIDENCE")
	for _, e := range x.Endpoints {
		since := "-"
		if !e.Health.Since.IsZero() {
			since = age(x.Now.Sub(e.Health.Since))
		}
		evidence := e.Health.Evidence
		if e.Health.MeasuredIn != "" {
			evidence += ", measured in " + e.Health.MeasuredIn
		}
		t.row("  "+e.ID, e.Health.Verdict.String(), since, percent(e.Health.Confidence), orDash(string(e.Health.Reason)), evidence)
	}
	t.flush()
}
