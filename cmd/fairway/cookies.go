package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"fairway/dnsserver"
)

func cookiesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "cookies",
		Short: "Make and roll the secrets of DNS cookies",
		Long: `Make and roll the secrets that DNS cookies are made with (RFC 7873, RFC 9018).
The configuration names their file in dns.cookies.secret_file. Servers that answer
at one address need the same file; a node takes it up within seconds of a change.

To roll a secret on many servers, so that no client's cookie is refused
(RFC 9018 §5), bring the file to all of them after each of these steps:

  fairway cookies stage FILE   a new secret: accepted, not yet used
  fairway cookies use FILE     it makes the cookies, the old one is still accepted
  fairway cookies drop FILE    an hour later: the old one is gone

One server alone may stage and use in one go.`,
	}
	c.AddCommand(
		secretsCommand("new FILE", "Make a file with one secret", func(path string) ([]dnsserver.Secret, string, error) {
			if _, err := dnsserver.ReadSecrets(path); !errors.Is(err, fs.ErrNotExist) {
				return nil, "", fmt.Errorf("%s is there already: `fairway cookies stage` adds a secret to it", path)
			}
			return []dnsserver.Secret{dnsserver.NewSecret()}, "made a secret; name the file in dns.cookies.secret_file", nil
		}),
		secretsCommand("stage FILE", "Add a new secret, which is accepted and not yet used", changeSecrets(
			func(s []dnsserver.Secret) ([]dnsserver.Secret, string, error) {
				if len(s) > 1 {
					return nil, "", errors.New("a second secret is there already: use it, or drop it, first")
				}
				return append(s, dnsserver.NewSecret()), "added a secret; when every server has the file: fairway cookies use", nil
			})),
		secretsCommand("use FILE", "Make cookies with the newest secret, and go on accepting the old one", changeSecrets(
			func(s []dnsserver.Secret) ([]dnsserver.Secret, string, error) {
				if len(s) != 2 {
					return nil, "", fmt.Errorf("there are %d secrets, not two: stage a new one first", len(s))
				}
				return []dnsserver.Secret{s[1], s[0]}, "the newest secret makes the cookies; in an hour: fairway cookies drop", nil
			})),
		secretsCommand("drop FILE", "Keep only the secret that makes the cookies", changeSecrets(
			func(s []dnsserver.Secret) ([]dnsserver.Secret, string, error) {
				return s[:1], "kept the secret that makes the cookies", nil
			})),
	)
	return c
}

// changeSecrets reads a file and gives what change makes of it.
func changeSecrets(change func([]dnsserver.Secret) ([]dnsserver.Secret, string, error)) func(string) ([]dnsserver.Secret, string, error) {
	return func(path string) ([]dnsserver.Secret, string, error) {
		secrets, err := dnsserver.ReadSecrets(path)
		if err != nil {
			return nil, "", err
		}
		return change(secrets)
	}
}

// secretsCommand writes what next makes of a file, and says what it did.
func secretsCommand(use, short string, next func(path string) ([]dnsserver.Secret, string, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			secrets, done, err := next(args[0])
			if err != nil {
				return err
			}
			if err := dnsserver.WriteSecrets(args[0], secrets); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", args[0], done)
			return nil
		},
	}
}
