package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/user"
	"time"

	"fairway/steering"
	"fairway/steering/api"

	"github.com/spf13/cobra"
)

// target is what an override names beside the provider or endpoint.
type target struct {
	asking
	region, service string
}

func (t *target) flags(c *cobra.Command) {
	c.Flags().StringVar(&t.region, "region", "", "only for clients of this region")
	c.Flags().StringVar(&t.service, "service", "", "only for this service")
	t.asking.flags(c)
}

func drainCommand() *cobra.Command {
	var t target
	var reason, author string
	var hold time.Duration
	c := &cobra.Command{
		Use:   "drain PROVIDER|ENDPOINT --reason WHY --for DURATION",
		Short: "Send no new clients to a CDN or an endpoint",
		Long: `Send no new clients to a CDN or an endpoint until the time is over or "fairway
undrain" lifts it. It takes effect at once, survives restarts, beats policy, and
is kept with its reason and author. When everything is drained, on_all_down
applies: drained endpoints serve again rather than nobody, unless the policy says
"none".`,
		Example: "  fairway drain akamai --region eu --reason 'ticket 4711' --for 1h",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			node, err := t.node(c)
			if err != nil {
				return err
			}
			made, err := node.Drain(c.Context(), api.OverrideRequest{
				Target: args[0], Region: t.region, Service: t.service, Reason: reason,
				Author: cmp.Or(author, whoAmI()), ForSeconds: hold.Seconds(),
			})
			if err != nil {
				return err
			}
			return t.show(c, made, func(w io.Writer) {
				fmt.Fprintf(w, "drained until %s; lift it earlier with: fairway undrain %s%s\n",
					made.Expires.Local().Format(time.DateTime), args[0], t.again())
				printOverrides(w, []steering.Override{made}, time.Now())
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for whoever asks later (required)")
	c.Flags().DurationVar(&hold, "for", 0, "how long, such as 30m or 2h (required)")
	c.Flags().StringVar(&author, "author", "", "who (default: you, "+whoAmI()+")")
	c.MarkFlagRequired("reason")
	c.MarkFlagRequired("for")
	t.flags(c)
	return c
}

// again repeats the flags that the lifting command needs.
func (t *target) again() string {
	text := ""
	if t.region != "" {
		text += " --region " + t.region
	}
	if t.service != "" {
		text += " --service " + t.service
	}
	return text
}

func undrainCommand() *cobra.Command {
	var t target
	c := &cobra.Command{
		Use:   "undrain PROVIDER|ENDPOINT",
		Short: "Lift drains before their time is over",
		Long: `Lift the drains of a CDN or an endpoint: all of them, or only those made for the
region and service named. Clients come back as after a failure: by dwell and ramp.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			node, err := t.node(c)
			if err != nil {
				return err
			}
			lifted, err := node.Undrain(c.Context(), api.OverrideMatch{Target: args[0], Region: t.region, Service: t.service})
			if err != nil {
				return err
			}
			return t.show(c, lifted, func(w io.Writer) {
				fmt.Fprintln(w, "lifted")
				printOverrides(w, lifted, time.Now())
			})
		},
	}
	t.flags(c)
	return c
}

func overridesCommand() *cobra.Command {
	var ask asking
	c := &cobra.Command{
		Use:   "overrides",
		Short: "List the overrides in force",
		RunE: func(c *cobra.Command, _ []string) error {
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			list, err := node.Overrides(c.Context())
			if err != nil {
				return err
			}
			return ask.show(c, list, func(w io.Writer) {
				if len(list) == 0 {
					fmt.Fprintln(w, "no override is in force")
					return
				}
				printOverrides(w, list, time.Now())
			})
		},
	}
	ask.flags(c)
	return c
}

func printOverrides(w io.Writer, list []steering.Override, now time.Time) {
	t := newTable(w, "  ID", "KIND", "TARGET", "REGION", "SERVICE", "LEFT", "AUTHOR", "REASON")
	for _, o := range list {
		t.row("  "+o.ID, string(o.Kind), o.Provider+o.Endpoint, cmp.Or(o.Region, "all"), cmp.Or(o.Service, "all"),
			age(max(0, o.Expires.Sub(now))), o.Author, o.Reason)
	}
	t.flush()
}

// whoAmI is the author that an override gets when none is named.
func whoAmI() string {
	name := os.Getenv("SUDO_USER")
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	if host, err := os.Hostname(); err == nil && name != "" {
		return name + "@" + host
	}
	return cmp.Or(name, "unknown")
}
