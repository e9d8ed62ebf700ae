package policies

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// zoneSuffix is what the names of zone files end in: it tells them from the files
// of the language.
const zoneSuffix = ".zone"

// IsZone tells whether a file of a configuration is a zone file (RFC 1035 §5).
func IsZone(name string) bool { return strings.HasSuffix(name, zoneSuffix) }

// zoneContent is what a zone file holds.
type zoneContent struct {
	records []steering.Record // in the file's order, without SOA and the name servers of the apex
	soa     *dns.SOA          // nil when the file has none
	ns      []placedName      // of the apex
	whole   bool              // all of it could be read
}

// maxZoneFileBytes bounds the memory that one zone file can cost: some millions of
// names.
const maxZoneFileBytes = 256 << 20

// mostFaults bounds the findings for one zone file: a file of another kind gives
// one for each line.
const mostFaults = 20

// zoneFile reads the file that a zone names. Records without a TTL of their own
// have the zone's, unless the file's $TTL says otherwise.
func (c *compiler) zoneFile(v value, zone string, ttl time.Duration) zoneContent {
	name, ok := v.text()
	if !ok {
		return zoneContent{}
	}
	if !IsZone(name) {
		v.fault("call it "+strings.TrimSuffix(path.Base(filepath.ToSlash(name)), path.Ext(name))+zoneSuffix, "%q is no name for a zone file: it must end in %s", clip(name), zoneSuffix)
		return zoneContent{}
	}
	f, ok := c.zoneFiles.find(filepath.Join(filepath.Dir(v.src.name), filepath.FromSlash(name)))
	if !ok {
		v.fault("put it there: a zone file lies in the folder of the file that names it, or below, so that it goes wherever the configuration goes",
			"zone file %s is not among the files of the configuration", clip(name))
		return zoneContent{}
	}
	r := zoneReader{c: c, zone: zone, wire: make([]byte, dns.MaxMsgSize)}
	r.read(f, wholeSeconds(ttl))
	r.content.whole = r.faults == 0
	return r.content
}

// zoneFiles are the zone files of a configuration by their path. They are what
// $INCLUDE can reach, and nothing else is.
type zoneFiles map[string]*zoneFileUse

type zoneFileUse struct {
	File
	used bool
}

func (z zoneFiles) add(f File) { z[slashed(f.Name)] = &zoneFileUse{File: f} }

func (z zoneFiles) find(name string) (File, bool) {
	use, ok := z[slashed(name)]
	if !ok {
		return File{}, false
	}
	use.used = true
	return use.File, true
}

// unusedZoneFiles warns of zone files that nothing names.
func (c *compiler) unusedZoneFiles() {
	for _, use := range c.zoneFiles {
		if !use.used && !c.partial {
			c.warn(steering.Place{File: use.Name, Line: 1, Col: 1}, "name it under file of a zone, include it, or take it away", "no zone has this zone file")
		}
	}
}

// slashed is a path as package fs has it: clean, with slashes, and none at its
// beginning.
func slashed(name string) string {
	return strings.TrimLeft(path.Clean(filepath.ToSlash(name)), "/")
}

// zoneReader reads one zone file with all that it includes.
type zoneReader struct {
	c       *compiler
	zone    string
	open    []*zoneText // the file, and those included from it, the one being read last
	shut    *zoneText   // the included file that was closed last
	faults  int
	content zoneContent
	wire    []byte // room for one record
}

// read parses the file. After a mistake it goes on behind the entry, so that one
// run finds all.
func (r *zoneReader) read(f File, ttl uint32) {
	if len(f.Data) > maxZoneFileBytes {
		r.fault(steering.Place{File: f.Name, Line: 1, Col: 1}, "a zone file may have 256 MiB; split it by $INCLUDE", "the file has %d bytes", len(f.Data))
		return
	}
	text := newZoneText(f, r.zone)
	for r.faults < mostFaults {
		r.open, r.shut = []*zoneText{text}, nil
		first := text.line
		parser := dns.NewZoneParser(text, text.origin, slashed(f.Name))
		parser.SetDefaultTTL(ttl)
		parser.SetIncludeAllowed(true)
		parser.SetIncludeFS(r)
		for rr, ok := parser.Next(); ok && r.faults < mostFaults; rr, ok = parser.Next() {
			r.take(rr)
		}
		err := parser.Err()
		if err == nil {
			return
		}
		text.skip(r.syntax(err, text, first))
	}
	r.c.fault(text.place(), "mend these first", "zone file %s: more mistakes may follow; looking no further", f.Name)
}

// Open gives the parser a file that $INCLUDE names.
func (r *zoneReader) Open(name string) (fs.File, error) {
	f, ok := r.c.zoneFiles.find(name)
	if !ok {
		return nil, errNotIncluded
	}
	if len(f.Data) > maxZoneFileBytes {
		return nil, fmt.Errorf("it has %d bytes, and 256 MiB are allowed", len(f.Data))
	}
	text := newZoneText(f, r.zone)
	r.open = append(r.open, text)
	text.closed = func() { r.shut, r.open = text, r.open[:len(r.open)-1] }
	return text, nil
}

var errNotIncluded = errors.New("not among the files of the configuration")

// reading is the file that is being read.
func (r *zoneReader) reading() *zoneText { return r.open[len(r.open)-1] }

var parserPlace = regexp.MustCompile(` at line: ([0-9]+):[0-9]+$`)

// syntax reports what the parser says of a file, or of one that it includes, and
// returns the line of the file. first is the line at which the parser began.
func (r *zoneReader) syntax(err error, text *zoneText, first int) int {
	message, at := err.Error(), text.place()
	line := at.Line
	if m := parserPlace.FindStringSubmatch(message); m != nil {
		n, _ := strconv.Atoi(m[1])
		line = first + n - 1
	}
	if name, rest, ok := strings.Cut(message, ": dns: "); ok {
		if message = rest; r.shut != nil && name == slashed(r.shut.name) {
			at, line = r.shut.place(), at.Line
		}
	}
	if line < at.Line && at.File == text.name { // the parser had read ahead
		at.Line, at.Col = line, 1
	}
	if errors.Is(err, errNotIncluded) {
		r.fault(at, "put it there; its name ends in "+zoneSuffix, "%s", "$INCLUDE: the file is not among those of the configuration, which lie in its folder or below")
		return line
	}
	message, _, _ = strings.Cut(message, " at line: ")
	r.fault(at, "write it as RFC 1035 §5.1 says, such as: www 300 IN A 192.0.2.1", "%s", clip(strings.TrimSuffix(message, `: "\n"`)))
	return line
}

func (r *zoneReader) fault(at steering.Place, remedy, format string, args ...any) {
	r.faults++
	r.c.fault(at, remedy, "zone %q: %s", strings.TrimSuffix(r.zone, "."), fmt.Sprintf(format, args...))
}

// take files a record.
func (r *zoneReader) take(rr dns.RR) {
	h, at := rr.Header(), r.reading().place()
	name, ok := ownerName(h.Name)
	kind := dns.Type(h.Rrtype).String()
	switch {
	case !ok:
		r.fault(at, "shorten it: 63 octets a label, 255 in all (RFC 1035 §2.3.4)", "%s is no name", clip(h.Name))
		return
	case h.Class != dns.ClassINET:
		r.fault(at, "take it out, or write IN", "%s %s: class %s is not served", name, kind, dns.Class(h.Class))
		return
	case h.Rrtype == dns.TypeSOA:
		r.takeSOA(rr.(*dns.SOA), name, at)
		return
	case h.Rrtype == dns.TypeNS && name == r.zone:
		server, _ := ownerName(rr.(*dns.NS).Ns)
		r.content.ns = append(r.content.ns, placedName{server, at})
		return
	}
	if remedy, why := unfit(h.Rrtype); why != "" {
		r.fault(at, remedy, "%s %s: %s", name, kind, why)
		return
	}
	if last := len(r.content.records) - 1; last >= 0 && r.content.records[last].Name == name {
		name = r.content.records[last].Name // one copy for all of a name
	}
	data, err := dataOf(rr, r.wire)
	if err != nil {
		r.fault(at, "write the data as RFC 1035 §5.1 says", "%s %s: %v", name, kind, err)
		return
	}
	r.content.records = append(r.content.records, steering.Record{
		Name: name, Type: h.Rrtype, TTL: time.Duration(h.Ttl) * time.Second, Data: data, Place: at,
	})
}

func (r *zoneReader) takeSOA(soa *dns.SOA, name string, at steering.Place) {
	switch {
	case name != r.zone:
		r.fault(at, "take it out, or name this zone "+strings.TrimSuffix(name, "."), "%s: the start of authority of another zone", name)
	case r.content.soa != nil:
		r.fault(at, "keep one of the two", "%s has a second start of authority", name)
	default:
		r.content.soa = soa
	}
}

// ownerName gives a name in the one form in which names are compared: lower case,
// fully qualified, with only the escapes that are needed.
func ownerName(name string) (string, bool) {
	if strings.Contains(name, `\`) || len(name) > 250 {
		wire := make([]byte, 256)
		end, err := dns.PackDomainName(name, wire, 0, nil, false)
		if err != nil {
			return "", false
		}
		name, _, err = dns.UnpackDomainName(wire[:end], 0)
		if err != nil {
			return "", false
		}
	}
	return dns.CanonicalName(name), true
}

func wholeSeconds(d time.Duration) uint32 { return uint32(d / time.Second) }
