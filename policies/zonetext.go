package policies

import (
	"io"
	"io/fs"
	"strings"

	"github.com/miekg/dns"

	"fairway/steering"
)

// zoneText hands a zone file to the parser octet by octet, and knows in which line
// the entry at hand begins, which the parser does not tell. An entry is what RFC
// 1035 §5.1 calls one: a line, or several within parentheses.
type zoneText struct {
	name   string
	data   []byte
	next   int    // index of the octet to read next
	line   int    // that it is in
	begun  int    // line in which the entry at hand begins
	start  int    // where it does
	column int    // in its line, counted from 1
	margin int    // where the line at hand begins
	origin string // after the entries so far, as $ORIGIN has it

	inEntry, comment, quoted, escaped bool
	depth                             int // of parentheses
	closed                            func()
}

func newZoneText(f File, origin string) *zoneText {
	return &zoneText{name: f.Name, data: f.Data, line: 1, begun: 1, origin: origin}
}

// ReadByte gives the next octet. A file that does not end its last line is given
// an end.
func (z *zoneText) ReadByte() (byte, error) {
	if z.next >= len(z.data) {
		if !z.inEntry {
			return 0, io.EOF
		}
		z.end(len(z.data))
		return '\n', nil
	}
	b := z.data[z.next]
	z.next++
	z.follow(b)
	return b, nil
}

// follow keeps count of lines and entries.
func (z *zoneText) follow(b byte) {
	if !z.inEntry && !z.comment && b != '\n' && b != '\r' && b != ' ' && b != '\t' && b != ';' {
		z.inEntry, z.begun, z.start, z.column = true, z.line, z.next-1, z.next-z.margin
	}
	switch {
	case b == '\n':
		z.line++
		z.margin = z.next
		z.comment, z.escaped = false, false
		if z.inEntry && z.depth == 0 && !z.quoted {
			z.end(z.next - 1)
		}
	case z.comment:
	case z.escaped:
		z.escaped = false
	case b == '\\':
		z.escaped = true
	case b == '"':
		z.quoted = !z.quoted
	case z.quoted:
	case b == ';':
		z.comment = true
	case b == '(':
		z.depth++
	case b == ')':
		z.depth = max(0, z.depth-1)
	}
}

// end ends the entry at hand, and takes it in if it says where names are.
func (z *zoneText) end(at int) {
	entry := z.data[z.start:at]
	z.inEntry, z.quoted, z.depth = false, false, 0
	if len(entry) == 0 || entry[0] != '$' {
		return
	}
	words := strings.Fields(string(entry))
	if len(words) < 2 || !strings.EqualFold(words[0], "$ORIGIN") {
		return
	}
	if dns.IsFqdn(words[1]) {
		z.origin = words[1]
	} else {
		z.origin = words[1] + "." + strings.TrimPrefix(z.origin, ".")
	}
}

// skip goes on behind the entry in line, at which the parser has given up: within
// it, or one entry later.
func (z *zoneText) skip(line int) {
	if z.inEntry && z.begun > line {
		z.next, z.line = z.start, z.begun
		z.inEntry, z.comment, z.quoted, z.escaped, z.depth = false, false, false, false, 0
		return
	}
	for z.inEntry {
		if _, err := z.ReadByte(); err != nil {
			return
		}
	}
}

// place is that of the entry which was read last.
func (z *zoneText) place() steering.Place {
	return steering.Place{File: z.name, Line: z.begun, Col: max(1, z.column)}
}

// Read, Stat and Close make it a file to include; the parser takes ReadByte.
func (z *zoneText) Read(p []byte) (int, error) {
	for i := range p {
		b, err := z.ReadByte()
		if err != nil {
			return i, err
		}
		p[i] = b
	}
	return len(p), nil
}

func (z *zoneText) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }

func (z *zoneText) Close() error {
	z.closed()
	return nil
}
