package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"fairway/steering/api"

	"github.com/spf13/cobra"
)

// completeWithin is how long a shell may wait for names: who has pressed a key waits.
const completeWithin = time.Second

// names picks those that a command takes from what a node knows.
type names func(*api.Status) []string

func serviceNames(s *api.Status) (all []string) {
	for _, service := range s.Services {
		all = append(all, service.Key)
	}
	return all
}

func regionNames(s *api.Status) []string { return s.Regions }

func poolNames(s *api.Status) (all []string) {
	for _, pool := range s.Pools {
		all = append(all, pool.Name)
	}
	return all
}

// targetNames are what an order may be for: providers, and endpoints of theirs.
func targetNames(s *api.Status) []string {
	var providers, endpoints []string
	for _, service := range s.Services {
		for _, e := range service.Endpoints {
			providers, endpoints = append(providers, e.Provider), append(endpoints, e.ID)
		}
	}
	slices.Sort(providers)
	return append(slices.Compact(providers), endpoints...)
}

// orderNames are the overrides in force, each with what it is for.
func orderNames(s *api.Status) (all []string) {
	for _, o := range s.Overrides {
		all = append(all, cobra.CompletionWithDesc(o.ID, string(o.Kind)+" "+cmp.Or(o.Endpoint, o.Provider, o.Pool)))
	}
	return all
}

// known has a shell complete with names of the node that the command would ask. Without
// one, or without an answer in time, there are none: a shell shows no errors.
func (c *connection) known(pick names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		node, err := c.open()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		status, err := node.Status(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return pick(&status), cobra.ShellCompDirectiveNoFileComp
	}
}

// offer has a shell complete a flag with names of the node.
func (c *connection) offer(cmd *cobra.Command, flag string, pick names) {
	if err := cmd.RegisterFlagCompletionFunc(flag, c.known(pick)); err != nil {
		panic("fairway: " + err.Error()) // there is no such flag
	}
}

// offerFirst has a shell complete the first word after a command with names of the node.
func (c *connection) offerFirst(cmd *cobra.Command, pick names) {
	known := c.known(pick)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return known(cmd, args, typed)
	}
}
