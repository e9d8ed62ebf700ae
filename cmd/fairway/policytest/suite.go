package policytest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"fairway/policies"
)

// Config says what to run.
type Config struct {
	// Paths are test files, or folders that are searched for them with their
	// sub-folders. At least one test must be found below each.
	Paths []string
	// Run picks the tests whose name matches; nil = all.
	Run *regexp.Regexp
}

// Run runs the tests. An error means that there was nothing to run; what is
// wrong with a test, its file or its configuration is in the report.
func Run(config Config) (*Report, error) {
	names, err := find(config.Paths)
	if err != nil {
		return nil, err
	}
	s := suite{run: config.Run, worlds: make(map[string]*world)}
	report := &Report{OK: true}
	for _, name := range names {
		f := s.file(name)
		report.OK = report.OK && f.OK
		report.Files = append(report.Files, f)
	}
	if s.run != nil && s.picked == 0 && report.OK {
		return nil, fmt.Errorf("no test has a name that matches %q: the first of %d is %q", s.run, len(s.names), s.names[0])
	}
	report.Coverage = s.coverage()
	return report, nil
}

// find lists the test files at the paths, each once.
func find(paths []string) ([]string, error) {
	var names []string
	var errs []error
	for _, path := range paths {
		found, err := findIn(path)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("%s has no policy test: write one beside the configuration, in a file such as %s",
				path, filepath.Join(path, "fairway_test.yaml"))
		}
		if err != nil {
			errs = append(errs, err)
		}
		for _, name := range found {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, errors.Join(errs...)
}

func findIn(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir() && !isTest(filepath.Base(path)):
		return nil, fmt.Errorf("%s is no policy test: name a folder, or a file whose name ends in _test.yaml", path)
	case !info.IsDir():
		return []string{path}, nil
	}
	var names []string
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != path && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !d.IsDir() && isTest(d.Name()):
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

func isTest(base string) bool {
	stem, yaml := strings.CutSuffix(base, ".yaml")
	if !yaml {
		stem, yaml = strings.CutSuffix(base, ".yml")
	}
	return yaml && strings.HasSuffix(stem, "_test") && !strings.HasPrefix(base, ".")
}

// suite is one run over many files.
type suite struct {
	run    *regexp.Regexp
	worlds map[string]*world // by the path of the configuration
	order  []*world
	names  []string // of all tests
	picked int
}

// world compiles the configuration at a path, once for all its test files.
func (s *suite) world(path string) *world {
	w, known := s.worlds[path]
	if !known {
		w = newWorld(path)
		s.worlds[path] = w
		s.order = append(s.order, w)
	}
	return w
}

// file runs one test file. What cannot be understood in part is not run at all.
func (s *suite) file(name string) FileReport {
	begin := time.Now()
	r := FileReport{File: name, Tests: []TestReport{}}
	data, err := os.ReadFile(name)
	if err != nil {
		r.Findings = policies.Findings{finding(place(name, nil), "make it readable", "%v", err)}
		return r
	}
	p := newParser(name, data)
	r.Configuration = p.configuration()
	var tests []*test
	if w := s.world(r.Configuration); w.failed() {
		r.Findings = w.findings
	} else {
		r.Notes = w.notes
		tests = p.tests(w)
	}
	r.Findings = append(r.Findings, p.findings...).Sorted()
	r.OK = r.Findings.Errors() == 0
	if r.OK {
		s.runAll(&r, p.stage, tests)
	}
	r.Seconds = time.Since(begin).Seconds()
	return r
}

func (s *suite) runAll(r *FileReport, stage *stage, tests []*test) {
	for _, t := range tests {
		s.names = append(s.names, t.name)
		if s.run != nil && !s.run.MatchString(t.name) {
			continue
		}
		s.picked++
		result := stage.run(t)
		r.OK = r.OK && result.OK
		r.Tests = append(r.Tests, result)
	}
}
