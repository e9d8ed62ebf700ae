package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"time"

	"fairway/policies"
	"fairway/steering/store"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/filestore"
	"fairway/steering/store/kept"

	"github.com/spf13/cobra"
)

func storeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "store",
		Short: "Export, import and migrate what outlives the nodes",
		Long: `Export, import and migrate what outlives the nodes: revisions with their files, what
is in force, overrides with their log, decisions, and what else is kept there, number
by number. The store is the one that the configuration names: Consul, or else the
data folder. What was written is read back and compared.`,
	}
	var from storeAt
	export := &cobra.Command{
		Use: "export FILE", Short: "Write everything into a file, with a checksum", Args: cobra.ExactArgs(1),
		Example: "  fairway store export --config /etc/fairway backup.fairway",
		RunE: func(c *cobra.Command, args []string) error {
			s, err := from.open(c, false)
			if err != nil {
				return err
			}
			defer s.Close()
			contents, err := store.Export(c.Context(), s, valueFolders...)
			if err != nil {
				return err
			}
			if err := kept.Write(args[0], contents); err != nil {
				return err
			}
			describe(c.OutOrStdout(), "exported", contents)
			return nil
		},
	}
	from.flags(export)
	var to storeAt
	imports := &cobra.Command{
		Use: "import FILE", Short: "Put everything from a file into the store; no control node may be running", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			contents, err := kept.Read[store.Contents](args[0])
			if err != nil {
				return err
			}
			return to.fill(c, contents)
		},
	}
	to.flags(imports)
	var both storeAt
	migrate := &cobra.Command{
		Use: "migrate", Short: "Bring what is in the data folder into the Consul that the configuration names",
		Long: `Bring everything from the data folder into the Consul that the configuration names.
Stop the control node first, so that nothing changes meanwhile; doors go on. The data
folder stays as it is.`,
		Example: "  fairway store migrate --config /etc/fairway --data /var/lib/fairway",
		RunE: func(c *cobra.Command, _ []string) error {
			settings, err := both.settings()
			if err != nil {
				return err
			}
			if settings.Consul == nil {
				return errors.New("the configuration names no Consul to migrate to: add store: {consul: {address: …}}")
			}
			s, err := filestore.Open(both.data, filestore.Options{Writer: true}) // nobody else writes while this lasts
			if err != nil {
				return err
			}
			defer s.Close()
			contents, err := store.Export(c.Context(), s, valueFolders...)
			if err != nil {
				return err
			}
			return both.fill(c, contents)
		},
	}
	both.flags(migrate)
	c.AddCommand(export, imports, migrate)
	return c
}

// valueFolders are the folders in which parts of Fairway keep values.
var valueFolders = []string{"dnssec", "tokens", "tsig"}

// storeAt is a store as the flags of a command name it.
type storeAt struct {
	config, data string
	force        bool
}

func (a *storeAt) flags(c *cobra.Command) {
	c.Flags().StringVarP(&a.config, "config", "c", "", "the configuration, which says where the store is (required)")
	c.Flags().StringVar(&a.data, "data", stateFolder(), "the data folder")
	c.Flags().BoolVar(&a.force, "force", false, "write although a control node seems to lead, or something is stored already")
	c.MarkFlagRequired("config")
}

func (a *storeAt) settings() (policies.Node, error) {
	files, err := policies.Read(a.config)
	if err != nil {
		return policies.Node{}, err
	}
	c, findings := policies.Compile(files)
	if c == nil {
		return policies.Node{}, findingsError{findings}
	}
	return c.Node, nil
}

// open opens the store that the configuration names.
func (a *storeAt) open(c *cobra.Command, writer bool) (store.Store, error) {
	settings, err := a.settings()
	if err != nil {
		return nil, err
	}
	if settings.Consul != nil {
		return openConsul(settings.Consul, consulstore.Options{Writer: writer}, slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil)))
	}
	return filestore.Open(a.data, filestore.Options{Writer: writer, Warn: func(err error) { fmt.Fprintln(c.ErrOrStderr(), err) }})
}

// fill puts contents into a store that nobody else writes, and compares what is
// there then.
func (a *storeAt) fill(c *cobra.Command, contents store.Contents) error {
	s, err := a.open(c, true)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := a.mayFill(c.Context(), s); err != nil {
		return err
	}
	if err := s.(store.Importer).Import(c.Context(), contents); err != nil {
		return err
	}
	stored, err := store.Export(c.Context(), s, valueFolders...)
	if err != nil {
		return fmt.Errorf("what was written cannot be read back: %w", err)
	}
	if what := differing(contents, stored); what != "" {
		return fmt.Errorf("what was written is not what is stored: %s differ; nothing was removed, import again", what)
	}
	describe(c.OutOrStdout(), "stored and verified", stored)
	return nil
}

// mayFill refuses to write over a fleet that is alive.
func (a *storeAt) mayFill(ctx context.Context, s store.Store) error {
	if a.force {
		return nil
	}
	if shared, is := s.(*consulstore.Store); is {
		watching, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		shared.Watch(watching)
		if l, leads := shared.Leader(); leads {
			return fmt.Errorf("control node %s leads this fleet, at %s: stop the control nodes first, or use --force", l.Node, l.Address)
		}
	}
	if _, known, err := s.InForce(ctx); err != nil || known {
		return errors.Join(err, errors.New("something is in force there already: choose another prefix or folder, or use --force to write over it"))
	}
	return nil
}

// differing names what differs between what was to be stored and what is.
func differing(want, got store.Contents) string {
	for what, pair := range map[string][2]any{
		"revisions": {want.Revisions, got.Revisions}, "what is in force": {want.InForce, got.InForce}, "overrides": {want.Overrides, got.Overrides},
		"values": {want.Values, got.Values}, "decisions": {want.State, got.State},
	} {
		a, errA := json.Marshal(pair[0])
		b, errB := json.Marshal(pair[1])
		var left, right any
		if errA != nil || errB != nil || json.Unmarshal(a, &left) != nil || json.Unmarshal(b, &right) != nil || !reflect.DeepEqual(orEmpty(left), orEmpty(right)) {
			return what
		}
	}
	return ""
}

// orEmpty takes an empty list for none.
func orEmpty(v any) any {
	if list, is := v.([]any); is && len(list) == 0 {
		return nil
	}
	return v
}

func describe(w io.Writer, done string, c store.Contents) {
	generation := "no decisions"
	if c.State != nil {
		generation = fmt.Sprintf("decisions of generation %d", c.State.Generation)
	}
	inForce := "nothing in force"
	if c.InForce != nil {
		inForce = fmt.Sprintf("revision %d in force", c.InForce.Revision)
	}
	fmt.Fprintf(w, "%s: %s, %s, %s, %s, %s\n", done, count(len(c.Revisions), "revision"), inForce, count(len(c.Overrides), "override"), count(len(c.Values), "value"), generation)
}
