package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"

	"fairway/policies"

	"github.com/spf13/cobra"
)

func tokenCommand() *cobra.Command {
	var scopes, vantages []string
	var out string
	c := &cobra.Command{
		Use:   "token NAME",
		Short: "Make a token for the API, and the line that lets it in",
		Long: `Make a token for the API. The token is for who shall have it, and is written nowhere
else; the line for api.tokens in the configuration holds its digest alone. To replace
a token, put the new digest beside the old one (sha256: [OLD, NEW]), hand the new token
out, and take the old digest away.`,
		Example: `  fairway token on-call --scopes operate
  fairway token fra --scopes measure --vantages fra --out /etc/fairway/control-token`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			token := rand.Text() + rand.Text()
			line, err := policies.TokenLine(args[0], sha256.Sum256([]byte(token)), scopes, vantages)
			if err != nil {
				return usageError{err, c.CommandPath()}
			}
			w := c.OutOrStdout()
			if out == "" {
				fmt.Fprintf(w, "token, to be kept in a file with mode 0600:\n  %s\n", token)
			} else if err := writeNew(out, token+"\n"); err != nil {
				return err
			}
			fmt.Fprintf(w, "under api: {tokens: …} of the configuration:\n  %s\n", line)
			return nil
		},
	}
	c.Flags().StringSliceVar(&scopes, "scopes", []string{"read"}, "what it may be used for: read, measure, operate, admin")
	offer(c, "scopes", "read", "measure", "operate", "admin")
	c.Flags().StringSliceVar(&vantages, "vantages", nil, "whose measurements it may report (default everybody's)")
	c.Flags().StringVar(&out, "out", "", "write the token into this file, which must not be there yet, and show it nowhere")
	return c
}

// writeNew writes a file that only its owner can read and that was not there.
func writeNew(path, text string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
