package main

import (
	"fmt"
	"os"
	"strings"

	"fairway/policies"
	"fairway/policies/importers"

	"github.com/spf13/cobra"
)

func importCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "import FORMAT FILE...",
		Short: "Turn another system's configuration into ours",
		Long: `Read the configuration of another traffic steering system and write ours to
standard output. What could not be carried over, or only nearly, goes to standard
error with its file and line: read it before you use the result.`,
		Example: "  fairway import octodns zones/video.example.yaml > fairway.yaml\n  fairway check fairway.yaml",
		Args:    cobra.ArbitraryArgs, // so that an unknown format is called one
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("name a format: %s", formatNames()), c.CommandPath()}
			}
			return usageError{fmt.Errorf("unknown format %q; there are %s", args[0], formatNames()), c.CommandPath()}
		},
	}
	for _, f := range importers.Formats() {
		c.AddCommand(&cobra.Command{
			Use:   f.Name + " FILE...",
			Short: "Import " + f.About,
			Args:  cobra.MinimumNArgs(1),
			RunE: func(c *cobra.Command, names []string) error {
				return importFiles(c, f, names)
			},
		})
	}
	return c
}

func formatNames() string {
	var names []string
	for _, f := range importers.Formats() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

func importFiles(c *cobra.Command, format importers.Format, names []string) error {
	var files []policies.File
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		files = append(files, policies.File{Name: name, Data: data})
	}
	result, err := format.Import(files)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if _, err := c.OutOrStdout().Write(result.YAML); err != nil {
		return err
	}
	for _, n := range result.Notes {
		fmt.Fprintln(c.ErrOrStderr(), n)
	}
	fmt.Fprintf(c.ErrOrStderr(), "%d notes on what was not carried over as it was\n", len(result.Notes))
	return nil
}
