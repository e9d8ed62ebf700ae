package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"fairway/steering/sim"
	"fairway/steering/store/kept"
)

// worldShelf keeps simulated worlds as files in a folder, a file each.
type worldShelf struct {
	folder string
	build  string // what wrote them: other code makes other results
}

func newWorldShelf(folder string) (*worldShelf, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("--keep %s: %w", folder, err)
	}
	return &worldShelf{folder, version()}, nil
}

// keptWorld is what a file holds.
type keptWorld struct {
	Build   string       `json:"build"`
	Results []sim.Result `json:"results"`
}

func (s *worldShelf) path(key string) string { return filepath.Join(s.folder, "world-"+key+".json") }

// Get implements sim.Shelf. What cannot be read, or is of another build, is lived
// through again.
func (s *worldShelf) Get(key string) ([]sim.Result, bool) {
	data, err := os.ReadFile(s.path(key))
	var k keptWorld
	if err != nil || json.Unmarshal(data, &k) != nil || k.Build != s.build || len(k.Results) == 0 {
		return nil, false
	}
	return k.Results, true
}

// Put implements sim.Shelf.
func (s *worldShelf) Put(key string, results []sim.Result) error {
	data, err := json.Marshal(keptWorld{s.build, results})
	if err != nil {
		return err
	}
	return kept.WriteFile(s.path(key), data, 0o644)
}
