package main

import (
	"path/filepath"
	"strings"

	"fairway/steering"
)

// placed writes places relative to the folder that all of them are in, which is said once:
// a node's own paths are long, and the same in every line.
type placed struct{ folder string } // with a slash at its end; empty = they have none in common

// placesOf is for the places of an explanation.
func placesOf(x *steering.Explanation) placed {
	var files []string
	add := func(p steering.Place) {
		if p.File != "" {
			files = append(files, p.File)
		}
	}
	for _, r := range x.Rules {
		add(r.Place)
	}
	for _, s := range x.Stages {
		add(s.Place)
	}
	for _, e := range x.Endpoints {
		add(e.Place)
	}
	return placed{sharedFolder(files)}
}

// sharedFolder is the longest path of folders that all files begin with.
func sharedFolder(files []string) string {
	if len(files) == 0 {
		return ""
	}
	shared, _ := filepath.Split(files[0])
	for _, file := range files[1:] {
		for !strings.HasPrefix(file, shared) {
			shared, _ = filepath.Split(strings.TrimSuffix(shared, string(filepath.Separator)))
		}
	}
	return shared
}

func (p placed) at(place steering.Place) string {
	place.File = strings.TrimPrefix(place.File, p.folder)
	return place.String()
}
