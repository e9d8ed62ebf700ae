package support

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Bundle collects texts.
type Bundle struct {
	redactor *Redactor
	now      time.Time
	files    map[string]string // redacted
	missing  []string
}

// New begins a bundle.
func New(r *Redactor, now time.Time) *Bundle {
	return &Bundle{redactor: r, now: now, files: make(map[string]string)}
}

// Add adds a text. Names are redacted too, and stay inside of the bundle's folder.
func (b *Bundle) Add(name, text string) {
	name = strings.TrimPrefix(path.Clean("/"+b.redactor.Text(name)), "/")
	b.files[name] = b.redactor.Text(text)
}

// Miss notes what could not be had, and why.
func (b *Bundle) Miss(name string, why error) {
	b.missing = append(b.missing, b.redactor.Text(fmt.Sprintf("%s: %v", name, why)))
}

// About tells what is in the bundle, what was taken out, and what is missing.
func (b *Bundle) About() string {
	var text strings.Builder
	fmt.Fprintf(&text, "What a Fairway node told of itself, %s.\n\nIn it:\n", b.now.UTC().Format(time.RFC3339))
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		fmt.Fprintf(&text, "  %s, %d bytes\n", name, len(b.files[name]))
	}
	text.WriteString("\nTaken out, and marked " + removed + " where it was:\n")
	if len(b.redactor.Removed) == 0 {
		text.WriteString("  nothing\n")
	}
	for _, kind := range slices.Sorted(maps.Keys(b.redactor.Removed)) {
		fmt.Fprintf(&text, "  %s: %d\n", kind, b.redactor.Removed[kind])
	}
	if len(b.missing) > 0 {
		text.WriteString("\nCould not be had:\n")
		for _, line := range b.missing {
			text.WriteString("  " + strings.ReplaceAll(strings.TrimSpace(line), "\n", "\n    ") + "\n")
		}
	}
	text.WriteString("\nNames, addresses and URLs of the configuration are in it. Look through it before you hand it on.\n")
	return text.String()
}

// Write writes the bundle as a compressed archive with one folder.
func (b *Bundle) Write(w io.Writer, folder string) error {
	packed := gzip.NewWriter(w)
	archive := tar.NewWriter(packed)
	files := maps.Clone(b.files)
	files["README.txt"] = b.About()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: folder + "/" + name, Mode: 0o600, Size: int64(len(files[name])), ModTime: b.now, Format: tar.FormatPAX}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.WriteString(archive, files[name]); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return packed.Close()
}
