package history

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"fairway/steering"

	"github.com/klauspost/compress/zstd"
)

// Config is what a Ring needs.
type Config struct {
	// Folder holds the segments; it is made. Required.
	Folder string
	// Keep is how long entries are kept, default 7 days.
	Keep time.Duration
	// MaxBytes bounds all segments together, default 256 MiB; at least one segment is
	// kept. Where it is too small for Keep, less time is kept.
	MaxBytes int64
}

// Entry is one moment. It has a State, or Changes; or, in a ring of their own, what
// some clients were told and met with (package decisionlog).
type Entry struct {
	At        time.Time           `json:"at"`
	State     *steering.State     `json:"state,omitempty"`
	Overrides []steering.Override `json:"overrides,omitempty"` // beside the state
	Changes   []Change            `json:"changes,omitempty"`
	Decisions []Decision          `json:"decisions,omitempty"`
	Outcomes  []Outcome           `json:"outcomes,omitempty"`
}

// Change is a verdict that became another one.
type Change struct {
	At       time.Time        `json:"at"`
	Subject  steering.Subject `json:"subject"`
	Region   string           `json:"region"`
	From     steering.Verdict `json:"from"`
	To       steering.Verdict `json:"to"`
	Evidence string           `json:"evidence"`
}

const (
	suffix    = ".history"
	form      = "20060102T150405.000000000Z"
	segment   = time.Hour
	frameHead = 8
	mostFrame = 64 << 20 // packed, and 16 times that unpacked
)

// Ring is the files.
type Ring struct {
	config Config
	pack   *zstd.Encoder
	file   *os.File // nil = the next entry begins a segment
	begun  time.Time
	size   int64 // of file
}

// Open takes up a folder.
func Open(c Config) (*Ring, error) {
	c.Keep = cmp.Or(c.Keep, 7*24*time.Hour)
	c.MaxBytes = cmp.Or(c.MaxBytes, 256<<20)
	if err := os.MkdirAll(c.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	pack, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &Ring{config: c, pack: pack}, nil
}

// Close ends the segment.
func (r *Ring) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// Append writes an entry. Times that go backwards begin a new segment.
func (r *Ring) Append(e Entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	frame := r.pack.EncodeAll(text, make([]byte, frameHead, frameHead+len(text)/4))
	if len(frame) > mostFrame {
		return fmt.Errorf("history: an entry of %d octets is too large", len(frame))
	}
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-frameHead))
	binary.BigEndian.PutUint32(frame[4:], crc32.Checksum(frame[frameHead:], castagnoli()))
	if err := r.write(e.At.UTC(), frame); err != nil {
		_ = r.bound(e.At, true) // where it was for want of room, the next try finds some
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

func (r *Ring) write(at time.Time, frame []byte) error {
	if r.file != nil && (at.Sub(r.begun) >= segment || at.Before(r.begun)) {
		if err := r.Close(); err != nil {
			return err
		}
	}
	if r.file == nil {
		if err := r.bound(at, false); err != nil {
			return err
		}
		file, err := os.OpenFile(filepath.Join(r.config.Folder, at.Format(form)+suffix), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		r.file, r.begun, r.size = file, at, 0
	}
	n, err := r.file.Write(frame)
	if err != nil {
		// What is there in part must not stand before what comes next.
		if n > 0 && r.file.Truncate(r.size) != nil {
			_ = r.Close()
		} else if r.file != nil {
			_, _ = r.file.Seek(r.size, 0)
		}
		return err
	}
	r.size += int64(n)
	if r.size > r.config.MaxBytes/8 { // so that what the ring gives up is a small part of it
		return r.Close()
	}
	return nil
}

// bound removes segments that are too old or too many, and the oldest of several in
// any case if one must go.
func (r *Ring) bound(now time.Time, one bool) error {
	list, err := r.segments()
	if err != nil {
		return err
	}
	total := int64(0)
	for _, s := range list {
		total += s.size
	}
	for i, s := range list[:max(0, len(list)-1)] {
		if one && i == 0 || total > r.config.MaxBytes || list[i+1].begins.Before(now.Add(-r.config.Keep)) {
			if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			total -= s.size
		}
	}
	return nil
}

// part is a segment's file.
type part struct {
	path   string
	begins time.Time
	size   int64
}

// segments lists them, the oldest first. Other files in the folder are left alone.
func (r *Ring) segments() ([]part, error) {
	files, err := os.ReadDir(r.config.Folder)
	if err != nil {
		return nil, err
	}
	var list []part
	for _, f := range files {
		name, is := strings.CutSuffix(f.Name(), suffix)
		begins, err := time.Parse(form, name)
		info, statErr := f.Info()
		if is && err == nil && statErr == nil {
			list = append(list, part{filepath.Join(r.config.Folder, f.Name()), begins, info.Size()})
		}
	}
	slices.SortFunc(list, func(a, b part) int { return a.begins.Compare(b.begins) })
	return list, nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
