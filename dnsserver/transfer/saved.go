package transfer

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"fairway/steering/store/kept"
)

// saved is what outlives a process: by which serial a content goes.
type saved struct {
	Serial uint32 `json:"serial"`
	Hash   string `json:"hash"`
}

// load reads the serials. Without them new ones are made, from the clock, which is
// later than any that was made before.
func (p *Primary) load() {
	if p.file == "" {
		return
	}
	data, err := os.ReadFile(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(data, &p.saved)
	}
	if err != nil {
		p.log.Error("transfer: the kept serials cannot be read: zones get new ones, and secondaries transfer them once more", "file", p.file, "err", err)
	}
	if p.saved == nil {
		p.saved = make(map[string]saved)
	}
}

func (p *Primary) save() {
	if p.file == "" {
		return
	}
	data, err := json.MarshalIndent(p.saved, "", "  ")
	if err == nil {
		err = kept.WriteFile(p.file, data, 0o600)
	}
	if err != nil {
		p.log.Error("transfer: serials cannot be kept: after a restart, zones get new ones from the clock", "file", p.file, "err", err)
	}
}
