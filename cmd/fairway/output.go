package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"fairway/policies"

	"github.com/spf13/cobra"
)

// outputFlag adds -o to a command: text, json, and the forms that it has besides.
func outputFlag(c *cobra.Command, output *string, more ...string) {
	forms := append([]string{"text", "json"}, more...)
	c.Flags().StringVarP(output, "output", "o", "text", "output form: "+strings.Join(forms, ", "))
	offer(c, "output", forms...)
}

// offer has a shell complete the values of a flag.
func offer(c *cobra.Command, flag string, values ...string) {
	err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic("fairway: " + err.Error()) // there is no such flag
	}
}

// logFlag adds --log to a command.
func logFlag(c *cobra.Command, level *string, otherwise string) {
	c.Flags().StringVar(level, "log", otherwise, "log level: debug, info, warn, error")
	offer(c, "log", "debug", "info", "warn", "error")
}

// checkOutput refuses a form that there is not.
func checkOutput(c *cobra.Command, output string, more ...string) error {
	forms := append([]string{"text", "json"}, more...)
	if !slices.Contains(forms, output) {
		return usageError{fmt.Errorf("-o %s: the output forms are %s", output, strings.Join(forms, ", ")), c.CommandPath()}
	}
	return nil
}

func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// percent writes a share of 0..1.
func percent(share float64) string {
	if share > 0 && share < 0.0995 {
		return fmt.Sprintf("%.1f %%", 100*share)
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

// age writes a duration as people say it.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return policies.FormatDuration(d.Round(time.Second))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// orDash shows that there is nothing to show.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// count writes a number with its noun.
func count(n int, noun string) string { return countAs(n, noun, noun+"s") }

func countAs(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
