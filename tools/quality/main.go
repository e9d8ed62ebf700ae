package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"fairway/steering/sim"
)

const (
	begin = "<!-- written by make quality -->"
	end   = "<!-- end -->"
)

// report is what fairway sim -o json writes.
type report struct {
	Rows    []sim.Row    `json:"rows"`
	Results []sim.Result `json:"results"`
}

func main() {
	from := flag.String("from", "", "what fairway sim -o json wrote")
	moved := flag.String("evacuation", "", "what fairway sim --evacuation wrote; empty = leave it out")
	offline := flag.String("off-policy", "", "what fairway sim --off-policy wrote; empty = leave it out")
	into := flag.String("into", "docs/STEERING-QUALITY.md", "the page")
	drawn := flag.String("svg", "docs/steering-quality.svg", "the drawing")
	command := flag.String("command", "fairway sim", "what was run, for the page")
	flag.Parse()
	if err := write(*from, *moved, *offline, *into, *drawn, *command); err != nil {
		fmt.Fprintln(os.Stderr, "quality:", err)
		os.Exit(1)
	}
}

func write(from, moved, offline, into, drawn, command string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	page, err := os.ReadFile(into)
	if err != nil {
		return err
	}
	before, rest, some := bytes.Cut(page, []byte(begin))
	_, after, ends := bytes.Cut(rest, []byte(end))
	if !some || !ends {
		return errors.New(into + " has not the two marks between which figures go")
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(begin + "\n" + r.text(command))
	if moved != "" {
		text, err := os.ReadFile(moved)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n**Evacuation.** A CDN dies at once in a region, and stays dead: how long until four in five of its viewers are elsewhere.\n\n```\n%s```\n", text)
	}
	if offline != "" {
		text, err := os.ReadFile(offline)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n**Off-policy evaluation.** What `fairway replay --estimate` does (REPLAY.md), where the truth is known: the log of one policy tells how viewers would have fared under others, which steered the same worlds.\n\n```\n%s```\n", text)
	}
	b.WriteString(end)
	b.Write(after)
	if err := os.WriteFile(into, b.Bytes(), 0o644); err != nil {
		return err
	}
	var svg bytes.Buffer
	if err := sim.WriteSVG(&svg, r.Rows); err != nil {
		return err
	}
	return os.WriteFile(drawn, svg.Bytes(), 0o644)
}

// text is the main table: OGC by scenario, and the rest of S3.
func (r *report) text(command string) string {
	var scenarios, policies []string
	cells := make(map[[2]string]sim.Row)
	for _, row := range r.Rows {
		if _, known := cells[[2]string{row.Scenario, r.Rows[0].Policy}]; !known {
			scenarios = append(scenarios, row.Scenario)
		}
		cells[[2]string{row.Scenario, row.Policy}] = row
		if row.Scenario == r.Rows[0].Scenario {
			policies = append(policies, row.Policy)
		}
	}
	seeds, hours := 0, 0.0
	if len(r.Results) > 0 {
		seeds, hours = r.Rows[0].Seeds, r.Results[0].Hours
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From `%s`: %d worlds of each scenario, seeds from %d on, %.3g h of each.\n\n", command, seeds, r.Results[0].Seed, hours)
	b.WriteString("![OGC by policy and scenario](steering-quality.svg)\n\nOGC in percent, with 95 % intervals:\n\n| policy |")
	for _, s := range scenarios {
		fmt.Fprintf(&b, " %s |", s)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(scenarios)) + "\n")
	for _, p := range policies {
		fmt.Fprintf(&b, "| %s |", p)
		for _, s := range scenarios {
			o := cells[[2]string{s, p}].OGC
			fmt.Fprintf(&b, " %.0f (%.0f…%.0f) |", o.Mean, o.Low, o.High)
		}
		b.WriteString("\n")
	}
	for _, s := range []string{"S1", "S3"} {
		if _, known := cells[[2]string{s, policies[0]}]; !known {
			continue
		}
		fmt.Fprintf(&b, "\n%s in full:\n\n| policy | regret %% | J ms | latency ms | errors %% | bad %% | worst J | moves/h | back and forth/h | over %% |\n|---|---|---|---|---|---|---|---|---|---|\n", s)
		for _, p := range policies {
			c := cells[[2]string{s, p}]
			fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f | %.3f | %.2f | %.0f | %.1f | %.2f | %.2f |\n",
				p, c.Regret.Mean, c.J, c.Ms, c.Errors, c.Bad, c.WorstJ, c.Moves, c.Back/100, c.Overload)
		}
	}
	return b.String()
}
