package demo

import (
	"encoding/binary"
	"fmt"
)

// loop is one encoding of a short programme that is repeated for ever: an
// initialisation, and fragments (ISO/IEC 14496-12 §8.8) of one length each.
type loop struct {
	init      []byte
	fragments []fragment
	ticks     uint64 // how long each fragment is, in the time scale of its track
}

// fragment is a moof box with its mdat, and where the two numbers stand in it
// that differ each time it is sent.
type fragment struct {
	data     []byte
	sequence int // of mfhd's sequence_number, 32 bits
	begin    int // of tfdt's baseMediaDecodeTime, 64 bits
}

// readLoop takes a fragmented file with one track apart.
func readLoop(file []byte) (*loop, error) {
	l := &loop{}
	var current fragment
	var begins []uint64
	for at := 0; at < len(file); {
		kind, size, err := box(file[at:])
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", at, err)
		}
		switch whole := file[at : at+size]; kind {
		case "ftyp", "moov":
			l.init = append(l.init, whole...)
		case "moof":
			if current, err = readMovieFragment(whole); err != nil {
				return nil, fmt.Errorf("fragment at byte %d: %w", at, err)
			}
			begins = append(begins, binary.BigEndian.Uint64(whole[current.begin:]))
		case "mdat":
			current.data = append(current.data, whole...)
			l.fragments = append(l.fragments, current)
		}
		at += size
	}
	if len(begins) < 2 || len(begins) != len(l.fragments) {
		return nil, fmt.Errorf("%d fragments with %d bodies: want two or more", len(begins), len(l.fragments))
	}
	l.ticks = begins[1] - begins[0]
	return l, nil
}

// box reads the header of a box (ISO/IEC 14496-12 §4.2).
func box(b []byte) (kind string, size int, err error) {
	if len(b) < 8 {
		return "", 0, fmt.Errorf("%d bytes are no box", len(b))
	}
	kind, size = string(b[4:8]), int(binary.BigEndian.Uint32(b))
	if size < 8 || size > len(b) {
		return "", 0, fmt.Errorf("box %q of %d bytes where %d are left", kind, size, len(b))
	}
	return kind, size, nil
}

// readMovieFragment finds the numbers of a moof box.
func readMovieFragment(moof []byte) (fragment, error) {
	f := fragment{data: moof[:len(moof):len(moof)]}
	var err error
	if f.sequence, err = find(moof, "mfhd"); err != nil {
		return f, err
	}
	f.begin, err = find(moof, "traf", "tfdt")
	if err == nil && moof[f.begin-4] != 1 {
		err = fmt.Errorf("tfdt of version %d: want 1, with 64 bits", moof[f.begin-4])
	}
	return f, err
}

// find returns where the first number stands of the full box (§4.2) at the end of
// a path into a box: behind its version and flags.
func find(parent []byte, path ...string) (int, error) {
	const header = 8
	for at := header; at < len(parent); {
		kind, size, err := box(parent[at:])
		if err != nil {
			return 0, err
		}
		if kind == path[0] && len(path) > 1 {
			inner, err := find(parent[at:at+size], path[1:]...)
			return at + inner, err
		}
		if kind == path[0] && size >= header+4+4 {
			return at + header + 4, nil
		}
		at += size
	}
	return 0, fmt.Errorf("no box %q", path[0])
}

// segment is the n-th segment of the endless programme.
func (l *loop) segment(n int64) []byte {
	f := l.fragments[n%int64(len(l.fragments))]
	data := append([]byte(nil), f.data...)
	binary.BigEndian.PutUint32(data[f.sequence:], uint32(n+1))
	binary.BigEndian.PutUint64(data[f.begin:], uint64(n)*l.ticks)
	return data
}
