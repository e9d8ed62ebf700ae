package history

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
)

// ErrNothing is returned by At where nothing is kept of a time.
var ErrNothing = errors.New("nothing is kept of that time")

// Between calls yield with every entry from one time to another, both included, the
// oldest first, until it returns false.
func (r *Ring) Between(from, to time.Time, yield func(*Entry) bool) error {
	return r.Sparse(from, to, 0, yield)
}

// Sparse is Between for those who need a State only so often: it leaves out those that
// come sooner after another one, unread, which is most of the work.
func (r *Ring) Sparse(from, to time.Time, every time.Duration, yield func(*Entry) bool) error {
	var last time.Time // of the states
	wanted := func(at time.Time, state bool) bool {
		switch {
		case at.Before(from) || at.After(to):
			return false
		case state && every > 0 && !last.IsZero() && at.Sub(last).Abs() < every:
			return false
		case state:
			last = at
		}
		return true
	}
	list, err := r.segments()
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	for i, s := range list {
		if s.begins.After(to) {
			break
		}
		if i+1 < len(list) && list[i+1].begins.Before(from) {
			continue
		}
		more := true
		err := readSegment(s.path, wanted, func(e *Entry) bool {
			more = yield(e)
			return more
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may just have been given up
			return fmt.Errorf("history: %w", err)
		}
		if !more {
			break
		}
	}
	return nil
}

// At returns the newest entry with a State that is not after a time, nor older than
// slack before it.
func (r *Ring) At(at time.Time, slack time.Duration) (*Entry, error) {
	var newest *Entry
	err := r.Between(at.Add(-slack), at, func(e *Entry) bool {
		if e.State != nil {
			newest = e
		}
		return true
	})
	if err == nil && newest == nil {
		err = ErrNothing
	}
	return newest, err
}

// readSegment reads the wanted frames until one is not whole.
func readSegment(path string, wanted func(at time.Time, state bool) bool, yield func(*Entry) bool) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(16*mostFrame))
	if err != nil {
		return err
	}
	defer unpack.Close()
	in := bufio.NewReader(file)
	for {
		e, err := readFrame(in, unpack, wanted)
		if err != nil {
			return nil // the end, or what a crash left: nothing that counts stands behind it
		}
		if e != nil && !yield(e) {
			return nil
		}
	}
}

// readFrame reads a frame; the entry is nil where it is not wanted.
func readFrame(in io.Reader, unpack *zstd.Decoder, wanted func(at time.Time, state bool) bool) (*Entry, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > mostFrame {
		return nil, errors.New("no frame")
	}
	packed := make([]byte, length)
	if _, err := io.ReadFull(in, packed); err != nil {
		return nil, err
	}
	if crc32.Checksum(packed, castagnoli()) != binary.BigEndian.Uint32(head[4:]) {
		return nil, errors.New("damaged")
	}
	text, err := unpack.DecodeAll(packed, nil)
	if err != nil {
		return nil, err
	}
	at, state, told := glance(text)
	if told && !wanted(at, state) {
		return nil, nil
	}
	e := new(Entry)
	if err := json.Unmarshal(text, e); err != nil {
		return nil, err
	}
	if !told && !wanted(e.At, e.State != nil) {
		return nil, nil
	}
	return e, nil
}

// glance tells when an entry is of and whether it has a state, from how entries are
// written: the time stands in front, the state behind it.
func glance(text []byte) (at time.Time, state, told bool) {
	const begin = `{"at":"`
	rest, found := bytes.CutPrefix(text, []byte(begin))
	stamp, rest, ends := bytes.Cut(rest, []byte(`"`))
	if !found || !ends {
		return at, false, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	return at, bytes.HasPrefix(rest, []byte(`,"state":`)), err == nil
}

// Look opens a folder for reading alone: nothing is made or removed.
func Look(folder string) (*Ring, error) {
	if _, err := os.ReadDir(folder); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &Ring{config: Config{Folder: folder}}, nil
}
