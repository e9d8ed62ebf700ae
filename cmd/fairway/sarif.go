package main

import (
	"cmp"
	"net/url"
	"path/filepath"
	"strings"

	"fairway/policies"
	"fairway/steering"
)

// SARIF 2.1.0 (OASIS, 27 March 2020), as far as findings fill it. Code-scanning
// services show each result at its line in the change that brought it.
type (
	sarifLog struct {
		Version string     `json:"version"` // §3.13.2
		Schema  string     `json:"$schema"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"` // §3.14.17: our columns count code points
		Results    []sarifResult `json:"results"`    // never null: empty means checked and sound (§3.14.23)
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
		Related   []sarifLocation `json:"relatedLocations,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"` // absent: the file as a whole
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	// Without an end the region reaches to the end of the line (§3.30.6-8).
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

// languageKind is the rule id of findings that have no kind of their own.
const languageKind = "configuration"

// sarifRules describes every kind of finding.
func sarifRules() []sarifRule {
	return []sarifRule{
		{languageKind, sarifText{"The configuration says something that it may not, or that is likely a mistake"}},
		{"region-unreachable", sarifText{"No address is in a region"}},
		{"rule-never-matches", sarifText{"A rule decides for no client"}},
		{"rule-overlap", sarifText{"Two rules match the same clients and neither is narrower"}},
		{"endpoint-never-picked", sarifText{"An endpoint gets no clients, whatever happens to the others"}},
		{"weight-never-counts", sarifText{"A weight divides no clients"}},
	}
}

// sarifOf writes the findings of all configurations as one run.
func sarifOf(results []checkResult) sarifLog {
	rules := sarifRules()
	index := make(map[string]int, len(rules))
	for i, r := range rules {
		index[r.ID] = i
	}
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: "fairway", Version: version(), Rules: rules}},
		ColumnKind: "unicodeCodePoints",
		Results:    []sarifResult{},
	}
	for _, result := range results {
		for _, f := range result.Findings {
			kind := cmp.Or(f.Kind, languageKind)
			if _, known := index[kind]; !known {
				kind = languageKind
			}
			out := sarifResult{
				RuleID: kind, RuleIndex: index[kind], Level: sarifLevel(f.Severity),
				Message:   sarifText{strings.TrimSuffix(f.Message+"\n"+f.Remedy, "\n")},
				Locations: []sarifLocation{sarifAt(f.Place, result.Path)},
			}
			if f.Related != (steering.Place{}) {
				out.Related = []sarifLocation{sarifAt(f.Related, result.Path)}
			}
			run.Results = append(run.Results, out)
		}
	}
	return sarifLog{Version: "2.1.0", Schema: "https://json.schemastore.org/sarif-2.1.0.json", Runs: []sarifRun{run}}
}

func sarifLevel(s policies.Severity) string {
	if s == policies.Error {
		return "error"
	}
	return "warning"
}

// sarifAt is a place as SARIF has it. Relative paths stay relative, which
// services take as relative to the repository's root (§3.4.3).
func sarifAt(p steering.Place, path string) sarifLocation {
	file := cmp.Or(p.File, path)
	uri := (&url.URL{Path: filepath.ToSlash(file)}).String()
	if filepath.IsAbs(file) {
		uri = "file://" + uri
	}
	at := sarifLocation{sarifPhysical{Artifact: sarifArtifact{uri}}}
	if p.Line > 0 {
		at.Physical.Region = &sarifRegion{StartLine: p.Line, StartColumn: p.Col}
	}
	return at
}
