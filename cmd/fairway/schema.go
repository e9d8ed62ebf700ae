package main

import (
	"fairway/policies"

	"github.com/spf13/cobra"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of a configuration file to standard output.
With it an editor completes and explains keys and marks mistakes as you type.
What depends on names and on other keys, only "fairway check" can tell.

Put this line first into a file for yaml-language-server:
  # yaml-language-server: $schema=./fairway.schema.json`,
		Example: "  fairway schema > fairway.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write(policies.Schema())
			return err
		},
	}
}
