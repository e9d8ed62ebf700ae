package main

import (
	"fmt"
	"time"

	"fairway/steering/rum"

	"github.com/spf13/cobra"
)

func reportsCommand() *cobra.Command {
	c := &cobra.Command{Use: "reports", Short: "Sign the URLs that players report to"}
	var secretFile, service string
	var length time.Duration
	sign := &cobra.Command{
		Use:   "sign --service S --secret-file FILE",
		Short: "Print a signed path for players' reports",
		Long: `Print the paths at the HTTP door, with a signature, that players of a service may
report to for a while. A service with "reports: signed" takes no others. The secret
is that of http.steering_secret_file, which all nodes with the HTTP door share.

Sign anew for each page that you serve, for somewhat longer than it plays. The same
can be made elsewhere: see docs/RUM.md.`,
		Example: "  fairway reports sign --service live --secret-file /etc/fairway/steering.secret --for 6h",
		RunE: func(c *cobra.Command, _ []string) error {
			secret, err := readPrivate(secretFile, "secret")
			switch {
			case err != nil:
				return err
			case secret == "":
				return fmt.Errorf("secret file %s is empty", secretFile)
			case length <= 0:
				return usageError{fmt.Errorf("--for must be above 0"), c.CommandPath()}
			}
			query := rum.Sign(rum.SigningKey([]byte(secret)), service, time.Now().Add(length))
			fmt.Fprintf(c.OutOrStdout(), "/cmcd/v2/%s?%s\n/beacon/v1/%s?%s\n", service, query, service, query)
			return nil
		},
	}
	sign.Flags().StringVar(&service, "service", "", "the service's key (required)")
	sign.Flags().StringVar(&secretFile, "secret-file", "", "the file of http.steering_secret_file (required)")
	durationFlag(sign, &length, "for", 6*time.Hour, "how long it holds")
	sign.MarkFlagRequired("service")
	sign.MarkFlagRequired("secret-file")
	c.AddCommand(sign)
	return c
}
