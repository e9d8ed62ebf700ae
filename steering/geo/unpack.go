package geo

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"fairway/steering"
)

var errPacked = errors.New("the country table is damaged")

// unpack reads what Pack wrote.
func unpack(packed []byte) (*atlas, Source, error) {
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, Source{}, fmt.Errorf("%w (%w)", errPacked, err)
	}
	plain, err := io.ReadAll(zip)
	if err != nil {
		return nil, Source{}, fmt.Errorf("%w (%w)", errPacked, err)
	}
	header, body, _ := bytes.Cut(plain, []byte("\n\n"))
	source, err := unpackHeader(string(header))
	if err != nil {
		return nil, Source{}, fmt.Errorf("%w (%w)", errPacked, err)
	}
	u := unpacker{left: body}
	a := &atlas{attributes: make([]steering.Attributes, 1)}
	for range u.count() {
		a.attributes = append(a.attributes, steering.Attributes{Country: u.text(2)})
	}
	a.v4 = u.segments(32, len(a.attributes))
	a.v6 = u.segments(0, len(a.attributes))
	if u.bad || len(u.left) > 0 {
		return nil, Source{}, errPacked
	}
	return a, source, nil
}

// unpackHeader reads the lines of text.
func unpackHeader(header string) (Source, error) {
	var source Source
	magic, lines, _ := strings.Cut(header, "\n")
	if magic != countryMagic {
		return source, fmt.Errorf("it does not begin with %q", countryMagic)
	}
	for line := range strings.SplitSeq(lines, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		var err error
		switch name {
		case "source":
			source.Name = value
		case "version":
			source.Version = value
		case "licence":
			source.Licence = value
		case "built":
			source.Built, err = time.Parse(time.RFC3339, value)
		default:
			err = fmt.Errorf("unknown line %q", line)
		}
		if err != nil {
			return source, err
		}
	}
	return source, nil
}

// unpacker reads the columns. After the first thing that cannot be, bad is set
// and all else is 0.
type unpacker struct {
	left []byte
	bad  bool
}

func (u *unpacker) fail() {
	u.bad, u.left = true, nil
}

func (u *unpacker) number() uint64 {
	// Nearly all numbers are one byte.
	if len(u.left) > 0 && u.left[0] < 0x80 {
		n := uint64(u.left[0])
		u.left = u.left[1:]
		return n
	}
	n, size := binary.Uvarint(u.left)
	if size <= 0 {
		u.fail()
		return 0
	}
	u.left = u.left[size:]
	return n
}

// count reads how many items follow; each takes at least a byte.
func (u *unpacker) count() int {
	n := u.number()
	if n > uint64(len(u.left)) {
		u.fail()
		return 0
	}
	return int(n)
}

func (u *unpacker) text(size int) string {
	if len(u.left) < size {
		u.fail()
		return ""
	}
	text := string(u.left[:size])
	u.left = u.left[size:]
	return text
}

// step reads the distance between two starts.
func (u *unpacker) step() uint64 {
	if len(u.left) == 0 {
		u.fail()
		return 0
	}
	first := u.left[0]
	u.left = u.left[1:]
	switch {
	case first < 64:
		return 1 << first
	case first < 128:
		return u.number() << (first - 64)
	}
	u.fail()
	return 0
}

// segments reads one family. A start's unit is 2^unit of the key's high half.
func (u *unpacker) segments(unit, codes int) []segment {
	segments := make([]segment, u.count())
	for i := range segments {
		id := u.number()
		if id >= uint64(codes) {
			u.fail()
		}
		segments[i].id = uint32(id)
	}
	at := uint64(0)
	for i := 1; i < len(segments) && !u.bad; i++ {
		next := at + u.step()<<unit
		if next <= at {
			u.fail()
		}
		at = next
		segments[i].start.hi = at
	}
	if len(segments) == 0 {
		u.fail()
	}
	return segments
}
