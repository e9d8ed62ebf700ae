package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Study asks one question that the main comparison leaves open: what becomes of the
// results when something of the world, or of a policy, is another one.
type Study struct {
	Name  string
	Title string
	run   func(v *Inquiry) (Finding, error)
}

// Studies are all of them, in the order of the report.
func Studies() []Study {
	return []Study{
		{"timeline", "Failover timeline", timeline},
		{"ttl", "TTL", ttlSweep},
		{"granularity", "Granularity", granularity},
		{"hysteresis", "Hysteresis frontier", hysteresis},
		{"cost", "Cost frontier", costFrontier},
		{"commits", "Commit pacing", commitPacing},
		{"oscillation", "Oscillation", oscillation},
		{"loss", "False failovers", falseFailovers},
		{"forecast", "Forecast", forecast},
		{"robustness", "Robustness", robustness},
		{"generators", "Other generators", generators},
	}
}

// Inquiry is how much a study may ask.
type Inquiry struct {
	Base    Spec
	Seeds   []uint64
	Length  time.Duration // of each world that counts
	Warm    time.Duration // before it; 0 = WarmUp
	Outages int           // of each row of a timeline
	Workers int
	Shelf   Shelf // see Plan
	// Progress is told how much of the whole is done, 0..1; nil = nobody.
	Progress func(done float64)

	parts, done int // of the study at hand
}

// Finding is the answer: a table, and perhaps a drawing.
type Finding struct {
	Name  string     `json:"name"`
	Title string     `json:"title"`
	Text  string     `json:"text"` // what was asked, and how
	Head  []string   `json:"head"`
	Rows  [][]string `json:"rows"`
	Plot  *Plot      `json:"plot,omitempty"`
	// Guards are bounds that only this study tells of.
	Guards []Guard `json:"guards,omitempty"`
}

func (f *Finding) row(cells ...string) { f.Rows = append(f.Rows, cells) }

// Investigate makes a study. The same inquiry has the same finding.
func Investigate(s Study, v Inquiry) (Finding, error) {
	if v.Warm <= 0 {
		v.Warm = WarmUp
	}
	f, err := s.run(&v)
	f.Name, f.Title = s.Name, s.Title
	if err != nil {
		err = fmt.Errorf("study %s: %w", s.Name, err)
	}
	return f, err
}

// StudyNamed finds studies by their names; "all" names all of them.
func StudyNamed(names ...string) (list []Study, err error) {
	known := Studies()
	for _, name := range names {
		if name == "all" {
			return known, nil
		}
		i := slices.IndexFunc(known, func(s Study) bool { return s.Name == name })
		if i < 0 {
			var all []string
			for _, s := range known {
				all = append(all, s.Name)
			}
			return nil, fmt.Errorf("there is no study %q: all, %s", name, strings.Join(all, ", "))
		}
		list = append(list, known[i])
	}
	return list, nil
}

// live compares policies in one kind of world.
func (v *Inquiry) live(base Spec, scenario string, candidates []Candidate, only ...string) ([]Row, error) {
	results, err := v.results(base, scenario, candidates, only...)
	return Compare(results), err
}

// results are those of single worlds.
func (v *Inquiry) results(base Spec, scenario string, candidates []Candidate, only ...string) ([]Result, error) {
	for _, c := range candidates {
		only = append(only, c.Name)
	}
	return Run(Plan{
		Base: base, Scenarios: []string{scenario}, Seeds: v.Seeds, Length: v.Length, Warm: v.Warm, Workers: v.Workers, Shelf: v.Shelf,
		Policies: Field(candidates, only...),
		Progress: func(done float64) { v.told(done) },
	})
}

// told tells how far the part at hand is.
func (v *Inquiry) told(done float64) {
	if v.Progress != nil {
		v.Progress((float64(v.done) + done) / float64(max(v.parts, 1)))
	}
}

// next begins the next part.
func (v *Inquiry) next() { v.done++; v.told(0) }

// of finds a policy's row.
func of(rows []Row, policy string) Row {
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Policy == policy && r.Scenario != "mean" })
	if i < 0 {
		return Row{}
	}
	return rows[i]
}

// ours are the shipped policy from probes alone and with players' reports.
func ours() []Candidate {
	ships := Ships()
	return []Candidate{ships[0], ships[2]}
}

func (v *Inquiry) sized() string {
	return fmt.Sprintf("%d worlds of %v, seeds from %d on", len(v.Seeds), v.Length, v.Seeds[0])
}

func number(x float64) string  { return fmt.Sprintf("%.1f", x) }
func percent(x float64) string { return fmt.Sprintf("%.1f %%", x) }

// span writes a mean with its interval.
func span(i Interval) string { return fmt.Sprintf("%.0f (%.0f…%.0f)", i.Mean, i.Low, i.High) }
