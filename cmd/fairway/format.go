package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"fairway/policies"
	"fairway/steering/store/kept"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

func formatCommand() *cobra.Command {
	var how formatMode
	c := &cobra.Command{
		Use:   "fmt PATH...",
		Short: "Give configuration files their canonical layout",
		Long: `Lay out configuration files in one way: two blanks for each level, list items
below their key, no blanks at line ends, at most one empty line in a row. Keys
keep their order and every comment stays; the meaning stays the same.

A PATH is a file, a folder (every .yaml and .yml file in it), or - for standard
input. The result of one file goes to standard output; -w writes it back.`,
		Example: "  fairway fmt fairway.yaml\n  fairway fmt -w /etc/fairway\n  fairway fmt --check .      # in CI: exit 1 and name what is not formatted\n  fairway fmt --diff .",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return formatPaths(c, args, how)
		},
	}
	c.Flags().BoolVarP(&how.write, "write", "w", false, "write the result back to the files")
	c.Flags().BoolVar(&how.check, "check", false, "only name the files that are not formatted; exit 1 when there are any")
	c.Flags().BoolVar(&how.diff, "diff", false, "only show what would change; exit 1 when anything would")
	return c
}

// formatMode says what becomes of formatted files; none set prints them.
type formatMode struct{ write, check, diff bool }

func (m formatMode) prints() bool { return m == formatMode{} }

func formatPaths(c *cobra.Command, paths []string, how formatMode) error {
	if (how.write && how.check) || (how.check && how.diff) || (how.diff && how.write) {
		return usageError{errors.New("-w, --check and --diff exclude each other: give one"), c.CommandPath()}
	}
	files, err := filesToFormat(c.InOrStdin(), paths)
	if err != nil {
		return err
	}
	if how.prints() && len(files) > 1 {
		return usageError{fmt.Errorf("%d files cannot be printed as one: add -w to write them back, or --check, or --diff", len(files)), c.CommandPath()}
	}
	bad := false
	for _, f := range files {
		out, findings := policies.Format(f)
		if findings.Errors() > 0 {
			for _, finding := range findings {
				fmt.Fprintln(c.ErrOrStderr(), finding)
			}
			bad = true
			continue
		}
		same := bytes.Equal(out, f.Data)
		switch {
		case how.prints():
			c.OutOrStdout().Write(out)
		case same:
		case how.check:
			fmt.Fprintln(c.OutOrStdout(), f.Name)
			bad = true
		case how.diff:
			c.OutOrStdout().Write(diff.Diff(f.Name, f.Data, f.Name+" (formatted)", out))
			bad = true
		case f.Name == standardInput:
			return usageError{errors.New("standard input cannot be written back: leave -w out"), c.CommandPath()}
		default:
			if err := writeBack(f.Name, out); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), f.Name)
		}
	}
	if bad {
		return errTold
	}
	return nil
}

// standardInput is how findings name it.
const standardInput = "<standard input>"

func filesToFormat(stdin io.Reader, paths []string) ([]policies.File, error) {
	var files []policies.File
	for _, path := range paths {
		if path == "-" {
			data, err := io.ReadAll(stdin)
			if err != nil {
				return nil, fmt.Errorf("read standard input: %w", err)
			}
			files = append(files, policies.File{Name: standardInput, Data: data})
			continue
		}
		read, err := policies.Read(path)
		if err != nil {
			return nil, err
		}
		// Zone files have a language of their own.
		files = append(files, slices.DeleteFunc(read, func(f policies.File) bool { return policies.IsZone(f.Name) })...)
	}
	return files, nil
}

// writeBack replaces a file's content at once, so that a node that watches it
// never reads half of it. A link stays a link.
func writeBack(name string, data []byte) error {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return kept.WriteFile(real, data, info.Mode().Perm()) // by way of a hidden file, which nodes do not read
}
