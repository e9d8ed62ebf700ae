package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"fairway/policies"
	"fairway/steering/api"
	"fairway/steering/api/client"

	"github.com/spf13/cobra"
)

// applying is one run of `fairway apply`.
type applying struct {
	path, canary, output string
	request              api.ApplyRequest
	watch                time.Duration
	yes, detach          bool
	to                   connection

	node   *client.Client
	out    io.Writer
	before api.Revision      // in force; without a number when nothing is stored
	named  map[string]string // file as the node names it → as it is named here
}

func applyCommand() *cobra.Command {
	var a applying
	c := &cobra.Command{
		Use:   "apply PATH",
		Short: "Put a configuration in force on a running node",
		Long: `Send a configuration to the control node, which checks it as a reload would and
puts it in force, or on trial for a share of the clients (--canary). Every
finding comes back with its place; with one error nothing changes.

An applied revision wins over the files on the node's disk, also after a restart,
until those files change: then the files win.

With --watch the node asks --revert-if once a second of every service in every
region, and takes the revision back by itself when it holds three times in a row.
It may read availability (0 to 1), p50_ms and p95_ms of what clients are handed,
down (endpoints that are down), service and region. The node goes on watching
when this command is interrupted, and after a restart.

Exit code 0 when it is in force, on trial, or the watch has passed; 1 when it was
refused or taken back.`,
		Example: `  fairway apply /etc/fairway --reason 'ticket 4711'
  fairway apply fairway.yaml --canary 5% --watch 10m --revert-if 'availability < 0.99' --promote --yes
  fairway apply fairway.yaml --expect 12 --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a.path, a.out = args[0], c.OutOrStdout()
			if err := a.parse(c); err != nil {
				return err
			}
			var err error
			if a.node, err = a.to.open(); err != nil {
				return err
			}
			return a.run(c.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&a.request.Reason, "reason", "", "why, for whoever asks later")
	f.StringVar(&a.request.Author, "author", "", "who (default: you, "+whoAmI()+")")
	f.StringVar(&a.request.Expect, "expect", "", "the revision (number or hash) that this change was made for; another one in force is a conflict (default: the one shown before you say yes)")
	f.StringVar(&a.canary, "canary", "", "put it on trial for this share of the clients first, such as 5%")
	durationFlag(c, &a.watch, "watch", 0, "watch it for so long, such as 10m")
	f.StringVar(&a.request.RevertIf, "revert-if", "", "take it back when this holds while it is watched")
	f.BoolVar(&a.request.ConfirmShrink, "confirm-shrink", false, "less than half of the services, hostnames or endpoints are meant to be left")
	f.BoolVar(&a.request.Promote, "promote", false, "the canary serves everybody when the watch has passed")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&a.detach, "detach", false, "do not wait for the end of the watch")
	a.to.flags(c)
	outputFlag(c, &a.output)
	return c
}

func (a *applying) parse(c *cobra.Command) error {
	if err := checkOutput(c, a.output); err != nil {
		return err
	}
	share, err := parseShare(a.canary)
	if err != nil {
		return usageError{err, c.CommandPath()}
	}
	a.request.Canary, a.request.Author = share, cmp.Or(a.request.Author, whoAmI())
	if a.watch != 0 {
		a.request.Watch = a.watch.String()
	}
	if !a.yes && (a.output == "json" || !isTerminal(os.Stdin)) {
		return usageError{errors.New("nobody is there to ask: add --yes"), c.CommandPath()}
	}
	return nil
}

// parseShare reads "5%" or "0.05"; empty = 0.
func parseShare(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	number, percent := strings.CutSuffix(strings.ReplaceAll(text, " ", ""), "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share > 0 && share <= 1) {
		return 0, fmt.Errorf("--canary %q is no share of the clients: write it like 5%%", text)
	}
	return share, nil
}

// run checks, shows, asks, applies and watches.
func (a *applying) run(ctx context.Context) error {
	if err := a.load(ctx); err != nil {
		return err
	}
	check := a.request
	check.DryRun = true
	checked, err := a.node.Apply(ctx, check)
	if err != nil {
		return a.refused(err)
	}
	if a.output == "text" {
		a.show(&checked)
	}
	if a.request.Expect == "" && checked.Rollout.InForce.Number > 0 {
		a.request.Expect = strconv.FormatUint(checked.Rollout.InForce.Number, 10)
	}
	if !a.yes && !a.confirmed() {
		fmt.Fprintln(a.out, "nothing changed")
		return errTold
	}
	applied, err := a.node.Apply(ctx, a.request)
	if err != nil {
		return a.refused(err)
	}
	if a.output == "text" {
		a.tell(&applied)
	}
	if watch := applied.Rollout.Watch; watch != nil && !a.detach && !applied.Unchanged {
		err = a.follow(ctx, &applied)
	}
	if a.output == "json" {
		return errors.Join(writeJSON(a.out, applied), err)
	}
	return err
}

// load reads the files, and what is in force. One file in place of one file
// takes its name, whatever it is called here.
func (a *applying) load(ctx context.Context) error {
	files, err := readFiles(a.path)
	if err != nil {
		return err
	}
	list, err := a.node.Revisions(ctx)
	if err != nil {
		return err
	}
	if number := list.Rollout.InForce.Number; number > 0 {
		if a.before, err = a.node.RevisionAt(ctx, number); err != nil {
			return err
		}
	}
	a.named = make(map[string]string)
	folder := folderOf(a.path)
	for i, f := range files {
		here := below(folder, f.Name)
		if len(files) == 1 && len(a.before.Files) == 1 {
			files[i].Name = a.before.Files[0].Name
		}
		a.named[files[i].Name] = here
	}
	a.request.Files = files
	return nil
}

// readFiles reads a configuration as it goes over the API.
func readFiles(path string) ([]api.File, error) {
	read, err := policies.Read(path)
	if err != nil {
		return nil, err
	}
	folder := folderOf(path)
	var files []api.File
	for _, f := range read {
		files = append(files, api.File{Name: relativeTo(folder, f.Name), Data: f.Data})
	}
	return files, nil
}

// refused tells every finding, at its place on this machine.
func (a *applying) refused(err error) error {
	refused, is := errors.AsType[*api.Error](err)
	if !is || len(refused.Findings) == 0 {
		return err
	}
	a.place(refused.Findings)
	if a.output == "json" {
		return errors.Join(errTold, writeJSON(a.out, refused))
	}
	tell(a.out, refused.Findings, nil, nil)
	fmt.Fprintf(a.out, "%s: %s\n", a.path, refused.Message)
	return errTold
}

// place gives findings the names that the files have here.
func (a *applying) place(findings policies.Findings) {
	for i := range findings {
		findings[i].Place.File = cmp.Or(a.named[findings[i].Place.File], findings[i].Place.File)
	}
}

// show tells the warnings, and what would change.
func (a *applying) show(checked *api.Applied) {
	a.place(checked.Findings)
	tell(a.out, checked.Findings, nil, nil)
	now := a.before
	if checked.Unchanged || now.Number == 0 {
		return
	}
	difference(a.out, compare(fmt.Sprintf("revision %d", now.Number), now.Files, a.path, a.request.Files))
	fmt.Fprintf(a.out, "in force is revision %d (%.12s), by %s %s ago%s\n", now.Number, now.Hash, now.Author, age(time.Since(now.Created)), because(now.Reason))
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func (a *applying) confirmed() bool {
	whom := "everybody"
	if a.request.Canary > 0 {
		whom = percent(a.request.Canary) + " of the clients"
	}
	fmt.Fprintf(a.out, "put it in force for %s? [y/N] ", whom)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		fmt.Fprintln(a.out, "\nnobody answers: add --yes")
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// tell says what is in force now, and what to type next.
func (a *applying) tell(applied *api.Applied) {
	r := applied.Revision
	switch canary := applied.Rollout.Canary; {
	case applied.Unchanged:
		fmt.Fprintf(a.out, "unchanged: revision %d (%.12s) is in force already\n", r.Number, r.Hash)
	case canary != nil:
		fmt.Fprintf(a.out, "revision %d (%.12s) is on trial for %s of the clients\n", r.Number, r.Hash, percent(canary.Share))
		if watch := applied.Rollout.Watch; watch == nil || !watch.Promote {
			fmt.Fprintln(a.out, "  end it with: fairway canary promote, or fairway canary abort")
		}
	default:
		fmt.Fprintf(a.out, "revision %d (%.12s) is in force; go back with: fairway rollback\n", r.Number, r.Hash)
	}
}

// follow waits for the end of the watch and tells what is seen meanwhile. A node
// that restarts goes on watching.
func (a *applying) follow(ctx context.Context, applied *api.Applied) error {
	watch := applied.Rollout.Watch
	a.progress("watching until %s; to take it back: %s\n", watch.Until.Local().Format(time.TimeOnly), orDash(watch.RevertIf))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	strikes, told, silent := 0, time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		list, err := a.node.Revisions(ctx)
		if err != nil {
			if !silent {
				a.progress("  the node does not answer; it goes on watching when it is back: %v\n", err)
			}
			if silent = true; time.Since(watch.Until) > time.Minute {
				return err
			}
			continue
		}
		silent, applied.Rollout = false, list.Rollout
		now := list.Rollout.Watch
		if now == nil || now.Revision != applied.Revision.Number {
			return a.ended(applied)
		}
		if now.Strikes != strikes || time.Since(told) > 15*time.Second {
			strikes, told = now.Strikes, time.Now()
			a.progress("  %s\n", watchText(now))
		}
	}
}

func (a *applying) progress(format string, args ...any) {
	if a.output == "text" {
		fmt.Fprintf(a.out, format, args...)
	}
}

// watchText says in a line what a watch sees.
func watchText(w *api.WatchRollout) string {
	text := fmt.Sprintf("%s left", age(max(0, time.Until(w.Until))))
	if w.Strikes > 0 {
		text += fmt.Sprintf("; %s HOLDS, %d of 3", w.RevertIf, w.Strikes)
	}
	if f := w.Worst; f != nil {
		return text + fmt.Sprintf("; worst is %s in %s: availability %.4f, p50 %.0f ms, p95 %.0f ms, %d down", f.Service, f.Region, f.Availability, f.P50Ms, f.P95Ms, f.Down)
	}
	return text + "; nothing is measured yet"
}

// ended tells how the watch ended.
func (a *applying) ended(applied *api.Applied) error {
	e := applied.Rollout.Ended
	if e == nil || e.Revision != applied.Revision.Number {
		a.progress("the watch of revision %d has ended: revision %d is in force now\n", applied.Revision.Number, applied.Rollout.InForce.Number)
		return errTold
	}
	a.progress("%s\n", endedText(e))
	if now := applied.Rollout; now.InForce.Number != e.Revision {
		a.progress("in force is revision %d (%.12s)\n", now.InForce.Number, now.InForce.Hash)
	}
	if e.How != "passed" && e.How != "promoted" {
		return errTold
	}
	return nil
}

func endedText(e *api.EndedRollout) string {
	how := e.How
	if how == "reverted" {
		how = "REVERTED"
	}
	return fmt.Sprintf("revision %d: %s by %s at %s%s", e.Revision, how, e.By, e.At.Local().Format(time.DateTime), because(e.Detail))
}
