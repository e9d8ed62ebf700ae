package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"fairway/dnsserver/dnssec"
)

func dnssecCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "dnssec",
		Short: "Look after the keys of signed zones",
		Long: `Show the keys of the zones that a running node signs, what happens to them next
and when, and what the parent has to know. A zone is signed when its configuration
says so: zones: [{name: …, dnssec: {}}].`,
	}
	c.AddCommand(dnssecStatusCommand(), dnssecDSCommand(), dnssecRollCommand())
	return c
}

func dnssecStatusCommand() *cobra.Command {
	var ask asking
	c := &cobra.Command{
		Use:   "status [ZONE]",
		Short: "Show keys, their states, and the next steps",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			zones, err := ask.signedZones(c, args)
			if err != nil {
				return err
			}
			return ask.show(c, zones, func(w io.Writer) { printSigned(w, zones, time.Now()) })
		},
	}
	ask.flags(c)
	return c
}

func dnssecDSCommand() *cobra.Command {
	var ask asking
	c := &cobra.Command{
		Use:   "ds ZONE",
		Short: "Print what to hand to the parent",
		Long: `Print the DS records that the parent should have, as in a zone file, and the DNSKEY
records for registries that ask for those. Hand over what is said to wait for the
parent; a key that is said to be not ready must not have a DS there yet.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			zones, err := ask.signedZones(c, args)
			if err != nil {
				return err
			}
			return ask.show(c, zones[0].Keys, func(w io.Writer) { printDS(w, zones[0]) })
		},
	}
	ask.flags(c)
	return c
}

func dnssecRollCommand() *cobra.Command {
	var ask asking
	var order keyOrder
	var role string
	c := &cobra.Command{
		Use:   "roll ZONE [--key csk|ksk|zsk] | --ds-seen",
		Short: "Replace a key, or say that the parent has the DS",
		Long: `Publish the successor of a key. It takes over by itself when every cache can know
it; the successor of a KSK or CSK then waits for its DS at the parent, which
--ds-seen confirms where the configuration names no parent.servers to ask.`,
		Example: `  fairway dnssec roll video.example
  fairway dnssec roll video.example --ds-seen`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if role != "" && order.DSSeen {
				return usageError{fmt.Errorf("--key and --ds-seen are two things; do one after the other"), c.CommandPath()}
			}
			zones, err := ask.signedZones(c, args)
			if err != nil {
				return err
			}
			if !order.DSSeen {
				order.Roll = dnssec.Role(role)
				if role == "" {
					order.Roll = signingRole(zones[0])
				}
			}
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
			defer cancel()
			if err := node.Do(ctx, http.MethodPost, keysPath+"/"+zones[0].Zone, order, &zones); err != nil {
				return err
			}
			zones = slices.DeleteFunc(zones, func(z signedStatus) bool { return z.Zone != dns.CanonicalName(args[0]) })
			return ask.show(c, zones, func(w io.Writer) { printSigned(w, zones, time.Now()) })
		},
	}
	c.Flags().StringVar(&role, "key", "", "which key: csk, ksk or zsk (default the one that signs the data)")
	offer(c, "key", "csk", "ksk", "zsk")
	c.Flags().BoolVar(&order.DSSeen, "ds-seen", false, "the parent has the DS of the key that waits for it")
	ask.flags(c)
	return c
}

// signingRole is the role of the key that signs the zone's data.
func signingRole(z signedStatus) dnssec.Role {
	for _, k := range z.Keys {
		if k.Role != dnssec.KSK {
			return k.Role
		}
	}
	return dnssec.CSK
}

// signedZones asks the node for its signed zones; for one, where args names it.
func (a *asking) signedZones(c *cobra.Command, args []string) (zones []signedStatus, err error) {
	node, err := a.node(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
	defer cancel()
	if err := node.Do(ctx, http.MethodGet, keysPath, nil, &zones); err != nil || len(args) == 0 {
		return zones, err
	}
	var names []string
	for _, z := range zones {
		if z.Zone == dns.CanonicalName(args[0]) {
			return []signedStatus{z}, nil
		}
		names = append(names, z.Zone)
	}
	return nil, fmt.Errorf("zone %s is not signed by this node, which signs: %s", args[0], orDash(strings.Join(names, " ")))
}

func printSigned(w io.Writer, zones []signedStatus, now time.Time) {
	if len(zones) == 0 {
		fmt.Fprintln(w, "no zone is signed; give one a dnssec in the configuration (docs/DNSSEC.md)")
	}
	for i, z := range zones {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s, %s", z.Zone, strings.ToLower(z.Algorithm))
		if z.Leaving {
			fmt.Fprint(w, ", leaving DNSSEC")
		}
		fmt.Fprintln(w)
		if z.Error != "" {
			fmt.Fprintf(w, "  ERROR: %s\n", indent(z.Error))
		}
		t := newTable(w, "  KEY", "TAG", "STATE", "PARENT", "PUBLISHED")
		for _, k := range z.Keys {
			t.row("  "+string(k.Role), fmt.Sprint(k.Tag), k.State, orDash(k.Parent), k.Published.Local().Format(time.DateTime))
		}
		t.flush()
		for _, next := range z.Next {
			when := "waits until"
			if !next.At.IsZero() {
				when = fmt.Sprintf("%s, in %s:", next.At.Local().Format(time.DateTime), age(max(next.At.Sub(now), 0)))
			}
			fmt.Fprintf(w, "  next: %s %s\n", when, next.What)
		}
		if z.Waiting {
			fmt.Fprintf(w, "  hand it over: fairway dnssec ds %s\n", z.Zone)
		}
		printSignals(w, z)
	}
}

// printSignals tells whether the zone's servers speak for it to the parent (RFC 9615), as
// long as that is of use: until the parent has a first DS.
func printSignals(w io.Writer, z signedStatus) {
	if slices.ContainsFunc(z.Keys, func(k dnssec.KeyStatus) bool { return k.Parent == dnssec.ParentHas || k.Parent == dnssec.ParentDrops }) {
		return
	}
	for _, s := range z.Signals {
		switch {
		case s.Silent != "":
			fmt.Fprintf(w, "  %s does not speak for the zone (RFC 9615): %s\n", s.Server, s.Silent)
		case z.Waiting:
			fmt.Fprintf(w, "  %s speaks for the zone (RFC 9615), at %s\n", s.Server, s.Name)
		default:
			fmt.Fprintf(w, "  %s will speak for the zone (RFC 9615), at %s, once the parent may take the DS\n", s.Server, s.Name)
		}
	}
}

func printDS(w io.Writer, z signedStatus) {
	for _, k := range z.Keys {
		if k.DS == "" {
			continue
		}
		fmt.Fprintf(w, "; %s %d: %s\n%s\n; %s\n", k.Role, k.Tag, dsAdvice(k), k.DS, k.DNSKEY)
	}
}

func dsAdvice(k dnssec.KeyStatus) string {
	switch k.Parent {
	case dnssec.ParentAwaits:
		return "the parent should have this DS"
	case dnssec.ParentHas:
		return "the parent has this DS, and should keep it"
	case dnssec.ParentDrops:
		return "the parent should not have this DS any more"
	}
	return "not ready: hand it over when fairway dnssec status says so"
}
