package alias

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"

	"fairway/steering/store/kept"
)

// saved is a target's answer in the file.
type saved struct {
	Host, Region string
	found
}

// save writes what is known, whole or not at all. Without it a restart begins with
// nothing: worth a warning, and no more.
func (b *Book) save() {
	if b.config.File == "" {
		return
	}
	all := []saved{}
	for k, e := range *b.entries.Load() {
		if f := e.found.Load(); f != nil {
			all = append(all, saved{k.host, k.region, *f})
		}
	}
	slices.SortFunc(all, func(x, y saved) int { return cmp.Or(cmp.Compare(x.Host, y.Host), cmp.Compare(x.Region, y.Region)) })
	data, err := json.MarshalIndent(all, "", " ")
	if err == nil {
		err = kept.WriteFile(b.config.File, data, 0o644)
	}
	if err != nil {
		b.log.Warn("alias: what was found cannot be kept over a restart", "file", b.config.File, "err", err)
	}
}

// restore reads what an earlier process found. It stands until it was looked up
// again.
func (b *Book) restore() map[key]*found {
	known := make(map[key]*found)
	if b.config.File == "" {
		return known
	}
	data, err := os.ReadFile(b.config.File)
	if errors.Is(err, fs.ErrNotExist) {
		return known
	}
	var all []saved
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		b.log.Warn("alias: what was found before the restart cannot be read", "file", b.config.File, "err", err)
	}
	for _, s := range all {
		f := s.found
		known[key{s.Host, s.Region}] = &f
	}
	return known
}
