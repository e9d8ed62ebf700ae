package kept

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// keepCopies is how many generations of a file stay: NAME, NAME.1, NAME.2.
	keepCopies = 3
	// TempPattern names files that are not in their place yet.
	TempPattern = ".tmp-*"
)

// ErrDamaged marks a file that is torn or was changed by someone else.
var ErrDamaged = errors.New("damaged")

// header is the line before the JSON of a file.
func header(body []byte) []byte {
	return fmt.Appendf(nil, "fairway-store 1 sha256 %x %d\n", sha256.Sum256(body), len(body))
}

// Write puts a value in a file's place at once, with its checksum: a reader and a
// crash see the old file or the new one.
func Write(path string, value any) error {
	data, err := sealed(value)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return WriteFile(path, data, 0o600)
}

// WriteFile is Write for octets as they are, for files that others read as well.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	temp, err := writeTemp(path, data, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// sealed is a value as a file has it.
func sealed(value any) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return append(header(body), body...), nil
}

// writeTemp writes a file whole and synced beside its place.
func writeTemp(path string, data []byte, mode fs.FileMode) (temp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), TempPattern)
	if err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	return f.Name(), nil
}

// syncDir makes a rename in the folder last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// Read returns a file's content; ErrDamaged when it is not what was written.
func Read[T any](path string) (T, error) {
	var value T
	data, err := os.ReadFile(path)
	if err != nil {
		return value, err
	}
	_, body, _ := bytes.Cut(data, []byte("\n"))
	if !bytes.HasPrefix(data, header(body)) {
		return value, fmt.Errorf("%s is %w: length or checksum is wrong", path, ErrDamaged)
	}
	if err := json.Unmarshal(body, &value); err != nil {
		return value, fmt.Errorf("%s is %w: %w", path, ErrDamaged, err)
	}
	return value, nil
}

// CopyName is the name of a file's n-th older copy.
func CopyName(name string, n int) string {
	if n == 0 {
		return name
	}
	return fmt.Sprintf("%s.%d", name, n)
}

// ReadNewest returns the newest sound copy of a file; false when there is no
// copy at all.
func ReadNewest[T any](dir, name string, warn func(error)) (T, bool, error) {
	var zero T
	var damage error
	for n := range keepCopies {
		value, err := Read[T](filepath.Join(dir, CopyName(name, n)))
		switch {
		case err == nil:
			return value, true, nil
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, ErrDamaged):
			warn(err)
			damage = errors.Join(damage, err)
		default:
			return zero, false, err
		}
	}
	if damage != nil {
		return zero, false, fmt.Errorf("no sound copy of %s is left; move these away to start without: %w", name, damage)
	}
	return zero, false, nil
}

// Replace writes the next copy of a file and keeps the older ones. The name
// itself is never without a file: the old one gets its second name by a link
// before the new one takes the first; only where there are no hard links is it
// renamed, and readers of that moment take the copy.
func Replace(dir, name string, value any) error {
	path := func(n int) string { return filepath.Join(dir, CopyName(name, n)) }
	data, err := sealed(value)
	if err != nil {
		return fmt.Errorf("write %s: %w", path(0), err)
	}
	temp, err := writeTemp(path(0), data, 0o600)
	if err != nil {
		return err
	}
	if err := shift(path); err != nil {
		os.Remove(temp)
		return fmt.Errorf("keep the last %s: %w", name, err)
	}
	if err := os.Rename(temp, path(0)); err != nil {
		os.Remove(temp)
		return fmt.Errorf("write %s: %w", path(0), err)
	}
	return syncDir(dir)
}

// shift makes copy n copy n+1, and has copy 0 be copy 1 as well. A damaged copy
// 0 is not worth a place: it would push out a sound one.
func shift(path func(int) string) error {
	if _, err := Read[json.RawMessage](path(0)); err != nil {
		return nil // nothing there, or nothing worth keeping
	}
	for n := keepCopies - 1; n > 1; n-- {
		if err := os.Rename(path(n-1), path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if os.Link(path(0), path(1)) == nil {
		return nil
	}
	return os.Rename(path(0), path(1))
}

// RemoveLeftovers removes what a killed writer had not yet put in place.
func RemoveLeftovers(dirs ...string) {
	for _, dir := range dirs {
		temps, _ := filepath.Glob(filepath.Join(dir, TempPattern))
		for _, temp := range temps {
			os.Remove(temp)
		}
	}
}

// MakeFolder makes a folder that nobody but its owner may read.
func MakeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}
