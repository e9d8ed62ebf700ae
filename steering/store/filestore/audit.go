package filestore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"fairway/steering"
)

const (
	auditFile = "audit.jsonl"
	// auditBytes is how large the file may grow before another one is begun; the one
	// before it is kept.
	auditBytes = 1 << 20
)

// audit appends a line and syncs it. A line that a crash cut short is left as
// it is; the next one begins on a line of its own.
func audit(dir string, event steering.OverrideEvent) error {
	line, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("write audit line: %w", err)
	}
	path := filepath.Join(dir, auditFile)
	if info, err := os.Stat(path); err == nil && info.Size() > auditBytes {
		if err := os.Rename(path, path+".1"); err != nil {
			return fmt.Errorf("begin another audit file: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write audit line: %w", err)
	}
	line = append(line, '\n')
	if isTorn(f) {
		line = append([]byte{'\n'}, line...)
	}
	_, err = f.Write(line)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write audit line: %w", err)
	}
	return nil
}

// isTorn tells whether the file ends within a line.
func isTorn(f *os.File) bool {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, end-1)
	return err == nil && last[0] != '\n'
}

// readAudit reads both files, the oldest line first. Lines that a crash cut short
// are passed over.
func readAudit(dir string) ([]steering.OverrideEvent, error) {
	events := []steering.OverrideEvent{}
	for _, name := range []string{auditFile + ".1", auditFile} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read audit: %w", err)
		}
		for line := range bytes.Lines(data) {
			var event steering.OverrideEvent
			if json.Unmarshal(line, &event) == nil {
				events = append(events, event)
			}
		}
	}
	return events, nil
}
