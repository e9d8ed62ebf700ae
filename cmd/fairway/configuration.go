package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fairway/cmd/fairway/review"
	"fairway/dnsserver/transfer"
	"fairway/policies"
	"fairway/probes"
	"fairway/steering"
	"fairway/steering/geo"
	"fairway/steering/store"
)

// configuration is a set of files that compiled, with the layout made from it.
type configuration struct {
	*policies.Configuration
	layout    *steering.Layout
	geo       *geo.Table
	geoError  error // a database that could not be read: the built-in data stands in
	warnings  []string
	tsig      []transfer.Key     // the TSIG keys whose secrets could be read
	asWritten *steering.Revision // the revision without what came from other name servers; nil until it was looked for
	loaded    time.Time
	stored    bool            // it came from the store, and not from the files on disk
	from      *store.Revision // the revision that it was compiled from; nil = it was none
	beside    *configuration  // of one on trial: the one in force that its measurements were set apart from
	lastGood  string          // why the files on disk do not serve; empty = they do
}

// findingsError carries the findings of a configuration that was refused.
type findingsError struct{ findings policies.Findings }

func (e findingsError) Error() string {
	return fmt.Sprintf("%s in the configuration; first: %s", count(e.findings.Errors(), "error"), e.first())
}

func (e findingsError) first() string {
	for _, f := range e.findings {
		if f.Severity == policies.Error {
			return f.String()
		}
	}
	return ""
}

// loadFiles reads and compiles the files at a path.
func loadFiles(path string) (*configuration, policies.Findings, error) {
	files, err := policies.Read(path)
	if err != nil {
		return nil, nil, err
	}
	return compile(files, false)
}

// compile compiles files and the network map. With patient set, a geo database
// that cannot be read is replaced by the built-in data, so that a node can
// start without it; otherwise it is an error.
func compile(files []policies.File, patient bool) (*configuration, policies.Findings, error) {
	compiled, findings := policies.Compile(files)
	if compiled == nil {
		return nil, findings, findingsError{findings}
	}
	if unread := unreadAuthorities(compiled.Revision); len(unread) > 0 && !patient {
		findings = append(findings, unread...)
		return nil, findings, findingsError{findings}
	}
	keys, unusable := readKeys(compiled.Node.TSIGKeys)
	findings = append(findings, unusable...)
	findings = append(findings, unusableTokens(compiled.Revision)...)
	c := &configuration{Configuration: compiled, tsig: keys, loaded: time.Now()}
	want := geo.Config{Regions: compiled.Revision.Regions, Reads: compiled.Revision.Reads, Databases: compiled.Node.Databases}
	table, warnings, err := geo.Compile(want)
	if err != nil && patient && len(want.Databases) > 0 {
		c.geoError = err
		want.Databases = nil
		table, warnings, err = geo.Compile(want)
	}
	if err != nil {
		return nil, findings, err
	}
	c.geo, c.warnings = table, warnings
	if c.layout, err = steering.NewLayout(compiled.Revision, table); err != nil {
		return nil, findings, err
	}
	return c, findings, nil
}

// unreadAuthorities finds the ca_file of a probe that cannot be read. Package
// policies opens no file, so this is the place.
func unreadAuthorities(r *steering.Revision) policies.Findings {
	var findings policies.Findings
	seen := make(map[string]bool)
	for _, target := range probes.Targets(r) {
		p := target.Probe
		if p.CAFile == "" || seen[p.CAFile] {
			continue
		}
		seen[p.CAFile] = true
		if _, err := os.ReadFile(p.CAFile); err != nil {
			findings = append(findings, policies.Finding{
				Place: p.Place, Severity: policies.Error, Message: fmt.Sprintf("probe %q: the ca_file cannot be read: %v", p.Name, err),
				Remedy: "name a PEM file that this user can read, or remove ca_file to trust the system's authorities",
			})
		}
	}
	return findings
}

// fromRevision compiles a revision of the store as if its files lay in a folder.
func fromRevision(r store.Revision, folder string, patient bool) (*configuration, error) {
	c, _, err := compile(filesOf(r, folder), patient)
	if err != nil {
		return nil, fmt.Errorf("stored revision %d: %w", r.Number, err)
	}
	c.from = &r
	return c, nil
}

func filesOf(r store.Revision, folder string) []policies.File {
	files := make([]policies.File, 0, len(r.Files))
	for _, f := range r.Files {
		files = append(files, policies.File{Name: below(folder, f.Name), Data: f.Data})
	}
	return files
}

// below puts the name of a stored file into a folder, so that relative paths in
// it mean the same as on disk.
func below(folder, name string) string {
	if name = filepath.FromSlash(name); filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(folder, name)
}

// relativeTo is the other way round: how the store and the API name a file.
func relativeTo(folder, name string) string {
	relative, err := filepath.Rel(folder, name)
	if err != nil || strings.HasPrefix(relative, "..") {
		return filepath.Base(name)
	}
	return filepath.ToSlash(relative)
}

// folderOf is the folder that a configuration's file names are relative to.
func folderOf(path string) string {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() || err != nil && filepath.Ext(path) == "" {
		return path
	}
	return filepath.Dir(path)
}

// revision gives files on disk as the store keeps them.
func (c *configuration) revision(folder string) store.Revision {
	r := store.Revision{Hash: c.Revision.Hash, Created: c.loaded.UTC(), Author: "file", Reason: "loaded from disk"}
	for _, f := range c.Files {
		r.Files = append(r.Files, store.File{Name: relativeTo(folder, f.Name), Data: f.Data})
	}
	return r
}

// revisionOf gives a stored configuration as what it is in the store; nil for none.
func (c *configuration) revisionOf() *store.Revision {
	if c == nil {
		return nil
	}
	return c.from
}

// review finds what looks like a mistake once the network map is known.
func (c *configuration) review() policies.Findings {
	var told review.Told
	for _, d := range c.geo.Info().Databases {
		told.Country = told.Country || d.Countries > 0
		told.Subdivision = told.Subdivision || d.Subdivisions > 0
		told.Continent = told.Continent || d.Continents > 0 || d.Countries > 0 // continents are derived
		told.ASN = told.ASN || d.ASNs > 0
	}
	return review.Review(c.layout, told)
}

// reviewed is the review as warnings alone: what serves is never given up for
// what only looks like a mistake.
func (c *configuration) reviewed() policies.Findings {
	findings := c.review()
	for i := range findings {
		findings[i].Severity = policies.Warning
	}
	return findings
}

// tell writes every finding, errors and warnings, and how many there are.
func tell(w io.Writer, findings policies.Findings, geoWarnings []string, err error) {
	for _, f := range findings {
		fmt.Fprintln(w, f)
	}
	for _, warning := range geoWarnings {
		fmt.Fprintln(w, "warning:", warning)
	}
	var refused findingsError
	if err != nil && !errors.As(err, &refused) {
		fmt.Fprintln(w, err)
	}
}
