package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"time"

	"fairway/steering"
	"fairway/steering/api"

	"github.com/spf13/cobra"
)

// scope is what an override names beside the provider or endpoint.
type scope struct {
	asking
	pool, region, service, labels string
}

func (s *scope) flags(c *cobra.Command, targets bool) {
	if targets {
		s.offerFirst(c, targetNames)
		c.Flags().StringVar(&s.pool, "pool", "", "only endpoints of this pool; stands for a provider or endpoint too")
		s.offer(c, "pool", poolNames)
	}
	c.Flags().StringVar(&s.region, "region", "", "only for clients of this region")
	c.Flags().StringVar(&s.service, "service", "", "only for this service")
	s.offer(c, "region", regionNames)
	s.offer(c, "service", serviceNames)
	c.Flags().StringVar(&s.labels, "labels", "", "only for services with these labels, as KEY=GLOB,KEY=GLOB")
	s.asking.flags(c)
}

// orderCommand completes a command that gives an order of a kind.
func orderCommand(kind steering.OverrideKind, c *cobra.Command) *cobra.Command {
	var s scope
	var reason, author string
	var hold time.Duration
	most := 1
	switch kind {
	case steering.Freeze:
		most = 0
	case steering.Weigh:
		most = 2
	}
	c.Args = cobra.MaximumNArgs(most)
	c.RunE = func(c *cobra.Command, args []string) error {
		request := api.OverrideRequest{
			Kind: kind, Pool: s.pool, Region: s.region, Service: s.service, Labels: s.labels, Reason: reason,
			Author: cmp.Or(author, whoAmI()), ForSeconds: hold.Seconds(),
		}
		if kind == steering.Weigh {
			if len(args) == 0 {
				return usageError{errors.New("say which weight, such as: fairway weight akamai 0.5"), c.CommandPath()}
			}
			var err error
			if request.Weight, err = strconv.ParseFloat(args[len(args)-1], 64); err != nil || !(request.Weight >= 0 && request.Weight <= 1e6) {
				return usageError{fmt.Errorf("%q is no weight; write a number from 0 to 1000000", args[len(args)-1]), c.CommandPath()}
			}
			args = args[:len(args)-1]
		}
		if len(args) > 0 {
			request.Target = args[0]
		}
		node, err := s.node(c)
		if err != nil {
			return err
		}
		made, err := node.Override(c.Context(), request)
		if err != nil {
			return err
		}
		return s.show(c, made, func(w io.Writer) {
			fmt.Fprintf(w, "in force until %s; lift it earlier with: fairway lift %s\n", made.Expires.Local().Format(time.DateTime), made.ID)
			printOverrides(w, []steering.Override{made}, time.Now())
		})
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for whoever asks later (required)")
	durationFlag(c, &hold, "for", 0, "how long, such as 30m, 2h or 1d (required)")
	c.Flags().StringVar(&author, "author", "", "who (default: you, "+whoAmI()+")")
	c.MarkFlagRequired("reason")
	c.MarkFlagRequired("for")
	s.flags(c, kind != steering.Freeze)
	return c
}

// liftCommand completes a command that lifts overrides of a kind, or one of any
// kind by its id.
func liftCommand(kind steering.OverrideKind, c *cobra.Command) *cobra.Command {
	var s scope
	var author string
	switch kind {
	case steering.Freeze:
		c.Args = cobra.NoArgs
	case "":
		c.Args = cobra.ExactArgs(1)
	default:
		c.Args = cobra.MaximumNArgs(1)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		node, err := s.node(c)
		if err != nil {
			return err
		}
		match := api.OverrideMatch{
			Pool: s.pool, Region: s.region, Service: s.service, Labels: s.labels, Kind: kind, By: cmp.Or(author, whoAmI()),
		}
		switch {
		case kind == "":
			match.ID = args[0]
		case len(args) > 0:
			match.Target = args[0]
		}
		lifted, err := node.Lift(c.Context(), match)
		if err != nil {
			return err
		}
		return s.show(c, lifted, func(w io.Writer) {
			if len(lifted) == 0 {
				fmt.Fprintln(w, "not in force any more, if it ever was: the answer that said so was lost")
				return
			}
			fmt.Fprintln(w, "lifted")
			printOverrides(w, lifted, time.Now())
		})
	}
	c.Flags().StringVar(&author, "author", "", "who (default: you, "+whoAmI()+")")
	if kind == "" {
		s.offerFirst(c, orderNames)
		s.asking.flags(c)
	} else {
		s.flags(c, kind != steering.Freeze)
	}
	return c
}

func overridesCommand() *cobra.Command {
	var ask asking
	var all bool
	c := &cobra.Command{
		Use:   "overrides",
		Short: "List the overrides in force, or who did what",
		RunE: func(c *cobra.Command, _ []string) error {
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			if all {
				log, err := node.OverrideLog(c.Context())
				if err != nil {
					return err
				}
				return ask.show(c, log, func(w io.Writer) { printOverrideLog(w, log) })
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
	c.Flags().BoolVar(&all, "all", false, "the log instead: who gave and lifted what, the newest last")
	ask.flags(c)
	return c
}

func printOverrides(w io.Writer, list []steering.Override, now time.Time) {
	t := newTable(w, "  ID", "KIND", "TARGET", "REGION", "SERVICE", "LEFT", "AUTHOR", "REASON")
	for i := range list {
		o := &list[i]
		t.row("  "+o.ID, kindText(o), cmp.Or(o.Target(), "all"), cmp.Or(o.Region, "all"), servicesText(o),
			age(max(0, o.Expires.Sub(now))), o.Author, o.Reason)
	}
	t.flush()
}

func printOverrideLog(w io.Writer, log []steering.OverrideEvent) {
	if len(log) == 0 {
		fmt.Fprintln(w, "no override was ever given")
		return
	}
	t := newTable(w, "  WHEN", "WHAT", "WHO", "ID", "KIND", "TARGET", "REGION", "SERVICE", "UNTIL", "REASON")
	for i := range log {
		e, o := &log[i], &log[i].Override
		what := map[string]string{"put": "given", "delete": "lifted", "expire": "over"}[e.Action]
		if e.Error != "" {
			what += ", FAILED: " + e.Error
		}
		t.row("  "+e.At.Local().Format(time.DateTime), what, cmp.Or(e.By, "-"), o.ID, kindText(o), cmp.Or(o.Target(), "all"),
			cmp.Or(o.Region, "all"), servicesText(o), o.Expires.Local().Format(time.DateTime), o.Reason)
	}
	t.flush()
}

func kindText(o *steering.Override) string {
	if o.Kind == steering.Weigh {
		return fmt.Sprintf("weight %.4g", o.Weight)
	}
	return string(o.Kind)
}

func servicesText(o *steering.Override) string {
	text := cmp.Or(o.Service, "all")
	if o.Labels != "" {
		text += " with " + o.Labels
	}
	return text
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
