package main

import (
	"github.com/spf13/cobra"

	"fairway/steering"
)

// The orders that operators give a running node; see override.go for how.

func drainCommand() *cobra.Command {
	return orderCommand(steering.Drain, &cobra.Command{
		Use:   "drain [PROVIDER|ENDPOINT] --reason WHY --for DURATION",
		Short: "Send no new clients to a CDN, an endpoint or a pool",
		Long: `Send no new clients to a CDN, an endpoint or a pool until the time is over or
"fairway undrain" lifts it. It takes effect at once, survives restarts, beats
policy, and is kept with its reason and author. When everything is drained,
on_all_down applies: drained endpoints serve again rather than nobody, unless the
policy says "none".`,
		Example: "  fairway drain akamai --region eu --reason 'ticket 4711' --for 1h\n" +
			"  fairway drain --pool us --labels 'team=sport*' --reason 'origin moves' --for 30m",
	})
}

func forceCommand() *cobra.Command {
	return orderCommand(steering.Force, &cobra.Command{
		Use:   "force [PROVIDER|ENDPOINT] --reason WHY --for DURATION",
		Short: "Send all clients that it can serve to a CDN, an endpoint or a pool",
		Long: `Send all clients to a CDN, an endpoint or a pool, as far as it can serve them: what
is down, drained or denied by the rule gets nobody all the same.`,
		Example: "  fairway force fastly --service live --region eu --reason 'final' --for 3h",
	})
}

func weightCommand() *cobra.Command {
	return orderCommand(steering.Weigh, &cobra.Command{
		Use:   "weight [PROVIDER|ENDPOINT] WEIGHT --reason WHY --for DURATION",
		Short: "Give a CDN, an endpoint or a pool another weight",
		Long: `Give a CDN, an endpoint or a pool another weight in splits that use weights, instead
of the one in the configuration. The move is voluntary: dwell and max_shift bound
it, margin does not.`,
		Example: "  fairway weight fastly 0.5 --region eu --reason 'capacity' --for 2h",
	})
}

func freezeCommand() *cobra.Command {
	return orderCommand(steering.Freeze, &cobra.Command{
		Use:   "freeze --reason WHY --for DURATION",
		Short: "Stop voluntary moves",
		Long: `Stop voluntary moves, of all services and regions or of those named, until the time
is over or "fairway unfreeze" lifts it. What is down or drained is left all the same.`,
		Example: "  fairway freeze --labels 'team=sport*' --reason 'the final' --for 3h",
	})
}

func undrainCommand() *cobra.Command {
	return liftCommand(steering.Drain, &cobra.Command{
		Use:   "undrain [PROVIDER|ENDPOINT]",
		Short: "Lift drains before their time is over",
		Long: `Lift the drains of a CDN, an endpoint or a pool: all of them, or only those made for
the region, service and labels named. Clients come back as after a failure: by dwell
and ramp.`,
	})
}

func unfreezeCommand() *cobra.Command {
	return liftCommand(steering.Freeze, &cobra.Command{
		Use:   "unfreeze",
		Short: "Lift freezes before their time is over",
		Long:  "Lift the freezes made for the region, service and labels named, or all of them.",
	})
}

func liftSomeCommand() *cobra.Command {
	return liftCommand("", &cobra.Command{
		Use:     "lift ID",
		Short:   "Lift one override of any kind",
		Long:    `Lift one override before its time is over, by the id that "fairway overrides" shows.`,
		Example: "  fairway lift 4c2k7hqa",
	})
}
