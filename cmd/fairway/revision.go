package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"fairway/steering/api"
	"fairway/steering/api/client"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

func revisionsCommand() *cobra.Command {
	var ask asking
	c := &cobra.Command{
		Use:   "revisions",
		Short: "List the revisions that a node keeps, and what is in force",
		RunE: func(c *cobra.Command, _ []string) error {
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			list, err := node.Revisions(c.Context())
			if err != nil {
				return err
			}
			return ask.show(c, list, func(w io.Writer) { printRevisions(w, &list) })
		},
	}
	ask.flags(c)
	return c
}

// maxReason is how much of a reason the table shows; -o json has all of it.
const maxReason = 60

func printRevisions(w io.Writer, list *api.RevisionList) {
	t := newTable(w, "REVISION", "STATE", "HASH", "CREATED", "AUTHOR", "PARENT", "REASON")
	for _, r := range list.Revisions {
		state, reason, parent := string(r.State), r.Reason, "-"
		if c := list.Rollout.Canary; r.State == api.StateCanary && c != nil {
			state = "canary " + percent(c.Share)
		}
		if r.Restores > 0 {
			reason = fmt.Sprintf("(the files of %d) %s", r.Restores, reason)
		}
		if r.Parent > 0 {
			parent = strconv.FormatUint(r.Parent, 10)
		}
		if long := []rune(reason); len(long) > maxReason {
			reason = string(long[:maxReason]) + "…"
		}
		t.row(strconv.FormatUint(r.Number, 10), orDash(state), fmt.Sprintf("%.12s", r.Hash), r.Created.Local().Format(time.DateTime), r.Author, parent, orDash(reason))
	}
	t.flush()
	printRollout(w, &list.Rollout)
}

// printRollout tells where the configuration comes from, what is on trial and
// watched, and how the last trial or watch ended.
func printRollout(w io.Writer, r *api.Rollout) {
	if r == nil || r.InForce.Number == 0 {
		return
	}
	if r.Source == api.SourceApplied {
		fmt.Fprintf(w, "configuration: revision %d, applied by %s at %s%s; it wins over the files on disk until they change\n",
			r.InForce.Number, r.InForce.Author, r.InForce.Created.Local().Format(time.DateTime), because(r.InForce.Reason))
	} else {
		fmt.Fprintf(w, "configuration: revision %d, from the files on disk\n", r.InForce.Number)
	}
	if c := r.Canary; c != nil {
		fmt.Fprintf(w, "CANARY: revision %d (%.12s) for %s of the clients, by %s since %s%s\n", c.Revision.Number, c.Revision.Hash,
			percent(c.Share), c.Revision.Author, c.Revision.Created.Local().Format(time.DateTime), because(c.Revision.Reason))
	}
	if r.Watch != nil {
		fmt.Fprintf(w, "WATCHED: revision %d, to be taken back if %s: %s\n", r.Watch.Revision, orDash(r.Watch.RevertIf), watchText(r.Watch))
	}
	if r.Ended != nil {
		fmt.Fprintf(w, "last trial or watch: %s\n", endedText(r.Ended))
	}
}

func diffCommand() *cobra.Command {
	var ask asking
	c := &cobra.Command{
		Use:   "diff REVISION REVISION|PATH",
		Short: "Show what differs between two revisions, or a revision and files",
		Long: `Show what differs between two revisions of a node, or between one and the
configuration at a path, as a unified diff. A name that is a number is a revision;
write ./12 for a file of that name. Exit code 0 in any case but an error.`,
		Example: "  fairway diff 11 12\n  fairway diff 12 /etc/fairway",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			var names [2]string
			var files [2][]api.File
			for i, arg := range args {
				if names[i], files[i], err = filesAt(c.Context(), node, arg); err != nil {
					return err
				}
			}
			differences := compare(names[0], files[0], names[1], files[1])
			return ask.show(c, differences, func(w io.Writer) {
				if len(differences) == 0 {
					fmt.Fprintln(w, "no difference")
				}
				difference(w, differences)
			})
		},
	}
	ask.flags(c)
	return c
}

// filesAt is the files of a revision, or of a path.
func filesAt(ctx context.Context, node *client.Client, arg string) (name string, files []api.File, err error) {
	number, err := strconv.ParseUint(arg, 10, 64)
	if err != nil {
		files, err = readFiles(arg)
		return arg, files, err
	}
	revision, err := node.RevisionAt(ctx, number)
	return "revision " + arg, revision.Files, err
}

// fileDiff is what differs in one file.
type fileDiff struct {
	File string `json:"file"`
	Diff string `json:"diff"` // unified
}

// compare lists the files that differ, by name.
func compare(aName string, a []api.File, bName string, b []api.File) []fileDiff {
	if len(a) == 1 && len(b) == 1 { // one file in place of another, whatever it is called
		b = []api.File{{Name: a[0].Name, Data: b[0].Data}}
	}
	texts := [2]map[string][]byte{{}, {}}
	for i, files := range [][]api.File{a, b} {
		for _, f := range files {
			texts[i][f.Name] = f.Data
		}
	}
	all := maps.Clone(texts[0])
	maps.Copy(all, texts[1])
	list := []fileDiff{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d := diff.Diff(name+" ("+aName+")", texts[0][name], name+" ("+bName+")", texts[1][name])
		if len(d) > 0 {
			list = append(list, fileDiff{File: name, Diff: string(d)})
		}
	}
	return list
}

// difference writes what differs.
func difference(w io.Writer, differences []fileDiff) {
	for _, f := range differences {
		fmt.Fprint(w, f.Diff)
	}
}

// change is a command that changes what is in force, with an author and a
// reason.
func change(use, short, long string, args cobra.PositionalArgs, do func(ctx context.Context, node *client.Client, args []string, by api.By) (api.Applied, error)) *cobra.Command {
	var ask asking
	var by api.By
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Args: args,
		RunE: func(c *cobra.Command, args []string) error {
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			by.Author = cmp.Or(by.Author, whoAmI())
			applied, err := do(c.Context(), node, args, by)
			if usage, is := errors.AsType[usageError](err); is {
				return usageError{usage.error, c.CommandPath()}
			}
			if err != nil {
				return err
			}
			return ask.show(c, applied, func(w io.Writer) {
				if applied.Unchanged {
					fmt.Fprintln(w, "unchanged: these files are in force already")
				}
				fmt.Fprintf(w, "revision %d (%.12s) is in force for everybody\n", applied.Revision.Number, applied.Revision.Hash)
			})
		},
	}
	c.Flags().StringVar(&by.Reason, "reason", "", "why, for whoever asks later")
	c.Flags().StringVar(&by.Author, "author", "", "who (default: you, "+whoAmI()+")")
	ask.flags(c)
	return c
}

func rollbackCommand() *cobra.Command {
	return change("rollback [REVISION]", "Go back to an earlier revision",
		`Put an earlier revision in force again, as a new revision. Without a number: while
a canary is on trial, end it; else go back to the parent of the revision in force.
Each further rollback goes one further back. It takes effect at once and without a
question.`,
		cobra.MaximumNArgs(1),
		func(ctx context.Context, node *client.Client, args []string, by api.By) (api.Applied, error) {
			number := uint64(0)
			if len(args) == 1 {
				var err error
				if number, err = strconv.ParseUint(args[0], 10, 64); err != nil || number == 0 {
					return api.Applied{}, usageError{fmt.Errorf("%q is no revision: see fairway revisions", args[0]), "fairway rollback"}
				}
			}
			return node.Rollback(ctx, number, by)
		})
}

func canaryCommand() *cobra.Command {
	c := &cobra.Command{Use: "canary", Short: "End a trial: promote or abort the canary"}
	c.AddCommand(
		change("promote", "Have the canary serve everybody", "Have the revision on trial serve everybody. A watch with a condition goes on.", cobra.NoArgs,
			func(ctx context.Context, node *client.Client, _ []string, by api.By) (api.Applied, error) {
				return node.Promote(ctx, by)
			}),
		change("abort", "Have the canary serve nobody", "End the trial: the revision in force serves everybody again.", cobra.NoArgs,
			func(ctx context.Context, node *client.Client, _ []string, by api.By) (api.Applied, error) {
				return node.Abort(ctx, by)
			}))
	return c
}
