package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fairway/steering/sim"
)

const (
	begin = "<!-- written by make quality -->"
	end   = "<!-- end -->"
)

// inputs are the pieces that tools/quality/run has left, and where to write.
type inputs struct {
	pieces         string // the folder
	page, drawings string
}

func main() {
	var in inputs
	flag.StringVar(&in.pieces, "pieces", "bin/quality", "the folder into which tools/quality/run wrote; what is not there is left out")
	flag.StringVar(&in.page, "into", "docs/STEERING-QUALITY.md", "the page")
	flag.StringVar(&in.drawings, "drawings", "docs/quality", "the folder of the drawings, beside the page")
	flag.Parse()
	if err := in.write(); err != nil {
		fmt.Fprintln(os.Stderr, "quality:", err)
		os.Exit(1)
	}
}

func (in *inputs) write() error {
	page, err := os.ReadFile(in.page)
	if err != nil {
		return err
	}
	before, rest, some := bytes.Cut(page, []byte(begin))
	_, after, ends := bytes.Cut(rest, []byte(end))
	if !some || !ends {
		return errors.New(in.page + " has not the two marks between which figures go")
	}
	text, err := in.figures()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(begin + "\n" + text + end)
	b.Write(after)
	return os.WriteFile(in.page, b.Bytes(), 0o644)
}

// figures is everything between the marks.
func (in *inputs) figures() (string, error) {
	var b strings.Builder
	note, err := os.ReadFile(filepath.Join(in.pieces, "run.txt"))
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "%s\n", note)
	studies, missing, err := in.studies()
	if err != nil {
		return "", err
	}
	if missing != nil {
		fmt.Fprintf(&b, "Not run: the studies %s.\n\n", strings.Join(missing, ", "))
	}
	var c comparison
	for i := range studies {
		c.more = append(c.more, studies[i].Guards...)
	}
	for _, pattern := range []string{"main-*.json", "more.json"} {
		names, _ := filepath.Glob(filepath.Join(in.pieces, pattern)) // sorted
		for _, name := range names {
			if err := c.read(name); err != nil {
				return "", err
			}
		}
	}
	if err := c.write(&b, in); err != nil {
		return "", err
	}
	for i := range studies {
		if err := in.finding(&b, &studies[i]); err != nil {
			return "", err
		}
	}
	for _, quoted := range []struct{ file, text string }{
		{"evacuation.txt", "### Evacuation\n\nA CDN dies at once in a region, and stays dead: how long until four in five of its viewers are elsewhere."},
		{"off-policy.txt", "### Off-policy evaluation\n\nWhat `fairway replay --estimate` does ([REPLAY.md](REPLAY.md)), where the truth is known: the log of one policy tells how viewers would have fared " +
			"under others, which steered the same worlds."},
	} {
		data, err := os.ReadFile(filepath.Join(in.pieces, quoted.file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s\n\n```\n%s```\n\n", quoted.text, data)
	}
	return b.String(), nil
}

// studies are those whose piece is there, in the order of the report.
func (in *inputs) studies() (there []sim.Finding, missing []string, err error) {
	for _, s := range sim.Studies() {
		var findings []sim.Finding
		err := read(filepath.Join(in.pieces, "study-"+s.Name+".json"), &findings)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, s.Name)
		case err != nil:
			return nil, nil, err
		}
		there = append(there, findings...)
	}
	return there, missing, nil
}

// finding writes a study.
func (in *inputs) finding(b *strings.Builder, f *sim.Finding) error {
	fmt.Fprintf(b, "### %s\n\n%s\n\n", f.Title, f.Text)
	if f.Plot != nil {
		if err := in.draw(b, f.Name, f.Title, func(file *os.File) error { return f.Plot.WriteSVG(file, f.Title) }); err != nil {
			return err
		}
	}
	table(b, f.Head, f.Rows)
	return nil
}

// draw makes a drawing and shows it.
func (in *inputs) draw(b *strings.Builder, name, title string, draw func(*os.File) error) error {
	if err := os.MkdirAll(in.drawings, 0o755); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(in.drawings, name+".svg"))
	if err != nil {
		return err
	}
	defer file.Close()
	fmt.Fprintf(b, "![%s](%s/%s.svg)\n\n", title, filepath.Base(in.drawings), name)
	return draw(file)
}

func table(b *strings.Builder, head []string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
	b.WriteString("\n")
}

func read(name string, into any) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
