package kept

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Append adds a record to the end of a journal and syncs it; a journal that is not
// there begins with it. It returns how many octets the record takes. What a crash
// cut short is the end of the journal: whoever begins anew removes it first.
func Append(path string, value any) (int, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	record := append(append(header(body), body...), '\n')
	_, err = f.Write(record)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	return len(record), nil
}

// ReadJournal calls yield for each record of a journal, in order, until it returns
// false or a record is not what was written: nothing after that counts. A journal
// that is not there is empty.
func ReadJournal[T any](path string, yield func(T) bool) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		var form, length int
		var sum string
		n, _ := fmt.Sscanf(string(line), "fairway-store %d sha256 %s %d", &form, &sum, &length)
		if n != 3 || length < 0 || length >= len(rest) || string(line)+"\n" != string(header(rest[:length])) {
			return fmt.Errorf("%s is %w near its end: what comes before counts", path, ErrDamaged)
		}
		var value T
		if err := json.Unmarshal(rest[:length], &value); err != nil {
			return fmt.Errorf("%s is %w near its end: %w", path, ErrDamaged, err)
		}
		if !yield(value) {
			return nil
		}
		data = rest[length+1:]
	}
	return nil
}

// Remove removes a journal, so that the next record begins another; one that is not
// there is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("begin another journal: %w", err)
	}
	return nil
}

// Size is how many octets a file has, 0 where it cannot be seen.
func Size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
