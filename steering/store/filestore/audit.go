package filestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"fairway/steering"
)

// auditLine is one line of audit.jsonl: what was ordered, and the error when it
// did not come to pass.
type auditLine struct {
	At       time.Time         `json:"at"`
	Action   string            `json:"action"` // put or delete
	Override steering.Override `json:"override"`
	Error    string            `json:"error,omitempty"`
}

// audit appends a line and syncs it. A line that a crash cut short is left as
// it is; the next one begins on a line of its own.
func audit(dir string, l auditLine) error {
	line, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("write audit line: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "audit.jsonl"), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
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
