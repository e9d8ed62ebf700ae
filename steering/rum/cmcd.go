package rum

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// record is what one CMCD line says, as far as we read it. What it does not say is
// zero.
type record struct {
	version int
	event   string    // e of an event; empty in a request's data
	state   byte      // sta: p(laying), r(ebuffering), …
	session string    // sid
	url     string    // what was asked for
	at      time.Time // ts, by the player's clock

	status   int // rc; -1 = not said
	ttfb     time.Duration
	ttlb     time.Duration
	rate     float64 // br, bit/s
	length   time.Duration
	measured float64 // mtp, bit/s
	start    time.Duration
	stall    time.Duration // bsd
	starved  bool          // bs
	hidden   bool          // bg: browsers slow such pages down
	stopped  bool          // pr=0
	startup  bool          // su: the first fill of the buffer
}

// The longest texts that are read; players send far shorter ones.
const (
	maxLine    = 8 << 10
	maxRecords = 200 // of a body
	maxKeys    = 64  // of a line
	maxSession = 128
)

// newestVersion is the wire version of CTA-5004-A and -B. Data of a later one are
// ignored as a whole (§6).
const newestVersion = 2

// events calls yield with each record of an event body (§3.3): one per line. A line
// that cannot be read costs itself and nothing else. It returns how many lines were
// left unread.
func events(body string, yield func(*record)) (unread int) {
	lines := 0
	for line := range strings.SplitSeq(body, "\n") {
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			continue // CTA-5004-B forbids a final LF; every player sends one
		}
		if lines++; lines > maxRecords || len(line) > maxLine {
			unread++
			continue
		}
		var r record
		if r.read(line); r.event == "" || r.version > newestVersion {
			unread++ // §2.2: e is required on every record
			continue
		}
		yield(&r)
	}
	return unread
}

// ofRequest reads the CMCD data of a request: its headers, or the query argument
// where there are none (§6: headers win). query is as it came, with or without its
// question mark. It tells whether there are any.
func ofRequest(query string, header http.Header) (record, bool) {
	r := record{status: -1}
	found := false
	for _, name := range [...]string{"Cmcd-Object", "Cmcd-Request", "Cmcd-Session", "Cmcd-Status"} {
		for _, line := range header[name] {
			if len(line) <= maxLine {
				r.read(line)
				found = true
			}
		}
	}
	if found {
		return r, r.version <= newestVersion
	}
	for pair := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		value, ok := strings.CutPrefix(pair, "CMCD=")
		if !ok || len(value) > maxLine {
			continue
		}
		line, err := url.QueryUnescape(value)
		if err != nil {
			return r, false
		}
		r.read(line)
		return r, r.version <= newestVersion
	}
	return r, false
}

// read takes in one line. Keys that mean nothing to us are skipped.
func (r *record) read(line string) {
	if r.event == "" && r.status == 0 {
		r.status = -1
	}
	d := dictionary{line}
	for range maxKeys {
		m, more := d.next()
		if !more {
			return
		}
		r.take(m)
	}
}

func (r *record) take(m member) {
	switch m.key {
	case "v":
		n, _ := m.number()
		r.version = int(n)
	case "e":
		r.event = m.text()
	case "sta":
		if s := m.text(); s != "" {
			r.state = s[0]
		}
	case "sid":
		r.session = m.text()
		r.session = r.session[:min(len(r.session), maxSession)]
	case "url":
		r.url = m.text()
	case "ts":
		if n, ok := m.number(); ok {
			r.at = time.UnixMilli(int64(n))
		}
	case "rc":
		if n, ok := m.number(); ok && n < 1000 {
			r.status = int(n)
		}
	case "ttfb":
		r.ttfb = m.millis()
	case "ttlb":
		r.ttlb = m.millis()
	case "br":
		r.rate = m.kilobits()
	case "d":
		r.length = m.millis()
	case "mtp":
		r.measured = m.kilobits()
	case "msd":
		r.start = m.millis()
	case "bsd":
		for item := range m.items {
			r.stall += member{value: item}.millis()
		}
	case "pr":
		n, ok := m.number()
		r.stopped = ok && n == 0
	case "bs":
		r.starved = m.truth()
	case "bg":
		r.hidden = m.truth()
	case "su":
		r.startup = m.truth()
	}
}

// millis is a number of milliseconds, an hour at most.
func (m member) millis() time.Duration {
	n, _ := m.number()
	return time.Duration(min(n, 3_600_000) * float64(time.Millisecond))
}

// kilobits is a number of kbit/s, as bit/s.
func (m member) kilobits() float64 {
	n, _ := m.number()
	return n * 1000
}
