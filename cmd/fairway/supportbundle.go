package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"fairway/cmd/fairway/support"
	"fairway/policies"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func supportCommand() *cobra.Command {
	var to connection
	var config, out string
	c := &cobra.Command{
		Use:   "support-bundle",
		Short: "Pack what a node tells of itself, without secrets",
		Long: `Pack what a running node tells of itself into an archive for whoever shall find out
what is wrong: status, fleet, decisions, overrides, revisions with their files, metrics
and what the program is at. Secrets are taken out: those in files and variables that
--config names wherever they stand, and whatever has the shape of one. README.txt in
it says what was taken out and what could not be had. Nothing is sent anywhere.`,
		Example: "  fairway support-bundle --config /etc/fairway --out support.tar.gz",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			now := time.Now()
			folder := "fairway-support-" + now.UTC().Format("20060102T150405Z")
			if out == "" {
				out = folder + ".tar.gz"
			}
			file, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			b, err := collect(c.Context(), &to, config, now)
			if err == nil {
				err = b.Write(file, folder)
			}
			if closed := file.Close(); err == nil {
				err = closed
			}
			if err != nil {
				os.Remove(out) // half of it is of no use
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s\n%s", out, b.About())
			return nil
		},
	}
	to.flags(c)
	c.Flags().StringVar(&config, "config", "", "the node's configuration, a file or a folder: what it names as secret is looked for everywhere")
	c.Flags().StringVar(&out, "out", "", "the archive, which must not be there yet (default fairway-support-TIME.tar.gz)")
	return c
}

// bundled are the paths of a node that a bundle asks for.
var bundled = []struct{ file, path string }{
	{"status.json", "/api/v1/status"},
	{"fleet.json", fleetPath + "nodes"},
	{"node.json", fleetPath + "node"},
	{"state.json", "/api/v1/state"},
	{"overrides.json", "/api/v1/overrides"},
	{"overrides-log.json", "/api/v1/overrides/log"},
	{"revisions.json", "/api/v1/revisions"},
	{"traffic.json", "/api/v1/usage"},
	{"metrics.txt", "/metrics"},
	{"readyz.txt", "/readyz"},
	{"healthz.txt", "/healthz"},
	{"goroutines.txt", "/debug/pprof/goroutine?debug=1"},
	{"heap.txt", "/debug/pprof/heap?debug=1"},
}

// collect asks a node for everything. One that does not answer is no reason to have
// no bundle: what is here is in it.
func collect(ctx context.Context, to *connection, config string, now time.Time) (*support.Bundle, error) {
	to.waiting = nil // what cannot be asked now is what the bundle is about
	node, err := to.open()
	if err != nil {
		return nil, err
	}
	files, secrets, unread := named(config)
	b := support.New(support.NewRedactor(append(secrets, node.Secrets()...)), now)
	for _, err := range unread {
		b.Miss("configuration", err)
	}
	for _, f := range files {
		b.Add("on-disk/"+filepath.Base(f.Name), string(f.Data))
	}
	if build, known := debug.ReadBuildInfo(); known {
		b.Add("program.txt", "fairway "+version()+"\n"+build.String())
	}
	for _, file := range []string{"/proc/version", "/proc/loadavg", "/proc/meminfo", "/proc/self/limits"} {
		if text, err := os.ReadFile(file); err == nil { // elsewhere than on Linux there is none
			b.Add("machine"+file+".txt", string(text))
		}
	}
	for _, part := range bundled {
		text, status, err := node.Text(ctx, part.path)
		switch {
		case err != nil:
			b.Miss(part.file, err)
		case status != http.StatusOK && part.file != "readyz.txt" && part.file != "healthz.txt":
			b.Miss(part.file, fmt.Errorf("HTTP %d: %s", status, text))
		default:
			b.Add(part.file, text)
		}
	}
	inForce, err := node.Revision(ctx)
	if err != nil {
		b.Miss("in-force", err)
		return b, nil
	}
	for _, f := range inForce.Files {
		b.Add("in-force/"+filepath.Base(f.Name), string(f.Data))
	}
	return b, nil
}

// secretKey are the keys under which configurations name files with secrets.
var secretKey = regexp.MustCompile(`^(key|file|.*_file)$`)

// named reads a configuration as it is on disk, and the secrets that it names. What
// cannot be read is told, and the rest is there all the same.
func named(config string) (files []policies.File, secrets []string, unread []error) {
	if config == "" {
		return nil, nil, nil
	}
	files, err := policies.Read(config)
	if err != nil {
		return nil, nil, []error{err}
	}
	for _, f := range files {
		var root yaml.Node
		if err := yaml.Unmarshal(f.Data, &root); err != nil {
			unread = append(unread, fmt.Errorf("%s: the secrets that it names are not known: %w", f.Name, err))
			continue
		}
		found, failed := secretsOf(&root, filepath.Dir(f.Name))
		secrets, unread = append(secrets, found...), append(unread, failed...)
	}
	return files, secrets, unread
}

// secretsOf are the secrets that a part of a configuration names.
func secretsOf(n *yaml.Node, folder string) (secrets []string, unread []error) {
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 0 || child.Kind != yaml.ScalarNode {
			found, failed := secretsOf(child, folder)
			secrets, unread = append(secrets, found...), append(unread, failed...)
			continue
		}
		switch key := n.Content[i-1].Value; {
		case key == "env":
			secrets = append(secrets, os.Getenv(child.Value))
		case secretKey.MatchString(key) && key != "ca_file" && key != "cert_file":
			path := child.Value
			if !filepath.IsAbs(path) {
				path = filepath.Join(folder, path)
			}
			text, err := os.ReadFile(path)
			if err != nil && !strings.Contains(child.Value, "/") {
				continue // a name, such as that of a TSIG key
			}
			if err != nil {
				unread = append(unread, fmt.Errorf("%s: what it holds cannot be looked for: %w", key, err))
				continue
			}
			secrets = append(secrets, string(text))
		}
	}
	return secrets, unread
}
