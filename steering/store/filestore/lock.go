package filestore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lock takes the writer's lock of a folder, for as long as the file is open.
// What the file says is for people; only flock(2) counts.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		holder, _ := io.ReadAll(io.LimitReader(f, 200))
		f.Close()
		return nil, fmt.Errorf("data folder %s is in use by another process (%s): stop that one, or give this one its own folder",
			dir, strings.TrimSpace(string(holder)))
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	// The lock stands whether or not there is room to tell whose it is.
	if f.Truncate(0) == nil {
		fmt.Fprintf(f, "pid %d since %s\n", os.Getpid(), time.Now().UTC().Format(time.RFC3339))
	}
	return f, nil
}
