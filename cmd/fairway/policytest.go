package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"fairway/cmd/fairway/policytest"

	"github.com/spf13/cobra"
)

func testCommand() *cobra.Command {
	var pattern, least, output string
	var cover, verbose bool
	c := &cobra.Command{
		Use:   "test PATH...",
		Short: "Run the tests of policies",
		Long: `Run policy tests: *_test.yaml files, each beside the configuration that it tests.
A test states what is measured, which overrides are in force and what time it is,
and what clients must get. PATH is such a file, or a folder that is searched with
its sub-folders. Exit code 0 when all hold, 1 when one does not or there is none.`,
		Example: "  fairway test /etc/fairway\n  fairway test --cover-min 80% --run 'telekom' policies/",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, paths []string) error {
			if err := checkOutput(c, output); err != nil {
				return err
			}
			config := policytest.Config{Paths: paths}
			minimum, err := parseMinimum(least)
			if err == nil && pattern != "" {
				if config.Run, err = regexp.Compile(pattern); err != nil {
					err = fmt.Errorf("--run: %w", err)
				}
			}
			if err != nil {
				return usageError{err, c.CommandPath()}
			}
			report, err := policytest.Run(config)
			if err != nil {
				return err
			}
			low := report.Coverage.Share() < minimum
			report.OK = report.OK && !low
			if output == "json" {
				writeJSON(c.OutOrStdout(), report)
			} else {
				report.Print(c.OutOrStdout(), verbose)
				if cover || least != "" {
					report.Coverage.Print(c.OutOrStdout())
				}
				if low {
					fmt.Fprintf(c.OutOrStdout(), "FAIL  coverage is below %s: test the rules above, or lower --cover-min\n", least)
				}
			}
			if !report.OK {
				return errTold
			}
			return nil
		},
	}
	c.Flags().StringVar(&pattern, "run", "", "run only the tests whose name matches this regular expression")
	c.Flags().BoolVar(&cover, "cover", false, "tell which rules no test reaches")
	c.Flags().StringVar(&least, "cover-min", "", "fail below this coverage, such as 80%; implies --cover")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "name every test")
	outputFlag(c, &output)
	return c
}

// parseMinimum reads the percentage of --cover-min.
func parseMinimum(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(n >= 0 && n <= 100) {
		return 0, fmt.Errorf("--cover-min %q is no percentage: write 0%% to 100%%", text)
	}
	return n / 100, nil
}
