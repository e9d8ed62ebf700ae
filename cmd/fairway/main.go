package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	_ "time/tzdata" // schedules and rules name time zones, which a bare container lacks

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes, the same for every command.
const (
	exitOK     = 0
	exitFailed = 1 // it did not work, or the configuration has errors
	exitUsage  = 2 // the command line is wrong
)

// execute runs one command line and returns its exit code. Errors go to stderr
// with the program's name before them; a command that has told its findings
// already returns errTold.
func execute(args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := unknownCommand(root, args)
	if err == nil {
		var c *cobra.Command
		c, err = root.ExecuteContextC(context.Background())
		err = asUsage(err, c)
	}
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errTold):
		return exitFailed
	case errors.Is(err, errChanges):
		return exitChanges
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "fairway: %v\n", err)
		fmt.Fprintf(stderr, "  see: %s --help\n", usage.command)
		if slices.Contains(args, "--detailed-exitcode") {
			return exitFailed // there, 2 means changes
		}
		return exitUsage
	}
	fmt.Fprintf(stderr, "fairway: %v\n", err)
	return exitFailed
}

// errTold means that the operator has been told already.
var errTold = errors.New("told already")

// usageError is a command line that cannot be understood.
type usageError struct {
	error
	command string
}

// asUsage recognises the mistakes on a command line that cobra tells by their
// text alone.
func asUsage(err error, c *cobra.Command) error {
	if err != nil && (strings.HasPrefix(err.Error(), "unknown command") || strings.HasPrefix(err.Error(), "required flag")) {
		return usageError{err, c.CommandPath()}
	}
	return err
}

// unknownCommand finds a wrong word behind a command that only has sub-commands.
// Cobra shows the help then and calls that a success.
func unknownCommand(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	if err != nil || c == root || c.Runnable() || len(rest) == 0 || strings.HasPrefix(rest[0], "-") {
		return nil
	}
	why := fmt.Errorf("unknown command %q for %q", rest[0], c.CommandPath())
	if near := c.SuggestionsFor(rest[0]); len(near) > 0 {
		why = fmt.Errorf("%w; did you mean %s?", why, strings.Join(near, ", "))
	}
	return usageError{why, c.CommandPath()}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "fairway",
		Short: "Steer video players to the best CDN and origin",
		Long: `Fairway measures every CDN from every region, judges its health, scores it by
the policy that you write, and steers each player by DNS and HTTP redirect.

Start here:
  fairway demo                      everything in one process, on this machine
  fairway init HOST...              write a first configuration for your CDNs
  fairway check PATH                what is wrong with a configuration, and where
  fairway test PATH                 run the policy tests beside a configuration
  fairway run --config PATH         run it
  fairway doctor ZONE               what the world sees of your DNS zone, and what to do
  fairway plan PATH                 who moves where if this configuration were applied
  fairway sim                       how good policies are in simulated worlds

On a running node:
  fairway status                    who serves whom, and how healthy it is
  fairway usage                     what each provider carries, beside its contract
  fairway explain --service S --client IP
                                    why this client gets this CDN
  fairway drain CDN --reason WHY --for 1h
  fairway apply PATH --canary 5%    put a configuration in force, or on trial
  fairway rollback                  and go back`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
	}
	root.SetVersionTemplate("fairway {{.Version}}\n")
	root.AddCommand(formatCommand(), schemaCommand(), importCommand(), manifestCommand())
	root.AddCommand(fleetCommand(), storeCommand(), mirrorCommand())
	root.AddCommand(simCommand(), supportCommand(), tokenCommand())
	root.AddCommand(planCommand(), recordCommand(), replayCommand(), benchCommand(), cookiesCommand(), quarantineCommand())
	root.AddCommand(demoCommand(), runCommand(), checkCommand(), testCommand(), initCommand(),
		statusCommand(), explainCommand(), usageCommand(), reportsCommand(), drainCommand(), undrainCommand(), forceCommand(), weightCommand(),
		freezeCommand(), unfreezeCommand(), liftSomeCommand(), overridesCommand(),
		doctorCommand(), applyCommand(), revisionsCommand(), diffCommand(), rollbackCommand(), canaryCommand(), dnssecCommand(), certificatesCommand())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{err, c.CommandPath()} })
	markUsage(root)
	return root
}

// markUsage makes a wrong number of arguments a usage error, as a wrong flag is.
func markUsage(c *cobra.Command) {
	check := c.Args
	if check == nil && c.Runnable() && c.HasParent() {
		check = cobra.NoArgs
	}
	if check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{err, c.CommandPath()}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markUsage(sub)
	}
}

// version is what the build knows of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return release
	}
	return info.Main.Version
}

// release is the version of a build from a checkout.
const release = "0.1.0-dev"
