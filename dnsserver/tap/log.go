package tap

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Log is a sink that writes a JSON object per line into a file. A file that was
// renamed or removed, as log rotation does, is left for a new one.
type Log struct {
	// Path is the file's.
	Path string

	file   *os.File
	buffer *bufio.Writer
	looked time.Time // when the file was last known to be the one at Path
}

// String implements Sink.
func (l *Log) String() string { return l.Path }

// line is one exchange as it is logged.
type line struct {
	At        time.Time `json:"at"`
	Client    string    `json:"client,omitempty"` // network, or address where addresses are whole
	Subnet    string    `json:"subnet,omitempty"` // told by the resolver (RFC 7871)
	Scope     int       `json:"scope,omitempty"`  // of the answer
	Transport string    `json:"transport"`
	Name      string    `json:"name,omitempty"`
	Type      string    `json:"type,omitempty"`
	Rcode     string    `json:"rcode,omitempty"`
	Answer    []string  `json:"answer,omitempty"` // type and data of each record
	Octets    int       `json:"octets"`
	Seconds   float64   `json:"seconds"`
}

// Write implements Sink.
func (l *Log) Write(s *Seen) error {
	if err := l.open(s.At); err != nil {
		return err
	}
	text, err := json.Marshal(lineOf(s))
	if err != nil {
		return err
	}
	if _, err := l.buffer.Write(append(text, '\n')); err != nil {
		l.abandon()
		return err
	}
	return nil
}

func lineOf(s *Seen) line {
	out := line{At: s.At.UTC(), Transport: s.Transport, Octets: len(s.Answer), Seconds: s.Took.Seconds()}
	if s.Client.IsValid() {
		if out.Client = s.Client.String(); !s.Whole {
			out.Client = network(s.Client).String()
		}
	}
	m := new(dns.Msg)
	if m.Unpack(s.Answer) != nil {
		return out
	}
	if out.Rcode = dns.RcodeToString[m.Rcode]; m.Rcode == dns.RcodeBadVers {
		out.Rcode = "BADVERS" // not BADSIG, which is of TSIG
	}
	if len(m.Question) == 1 {
		out.Name, out.Type = m.Question[0].Name, dns.Type(m.Question[0].Qtype).String()
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if subnet, ok := o.(*dns.EDNS0_SUBNET); ok {
				if !s.Whole {
					narrow(subnet)
				}
				out.Subnet, out.Scope = fmt.Sprintf("%v/%d", subnet.Address, subnet.SourceNetmask), int(subnet.SourceScope)
			}
		}
	}
	if len(m.Question) == 1 && (m.Question[0].Qtype == dns.TypeAXFR || m.Question[0].Qtype == dns.TypeIXFR) {
		return out // a zone, or the first part of one
	}
	for _, rr := range m.Answer {
		data := strings.TrimPrefix(rr.String(), rr.Header().String())
		if unknown, ok := rr.(*dns.RFC3597); ok { // whose text has another header
			data = fmt.Sprintf(`\# %d %s`, len(unknown.Rdata)/2, unknown.Rdata)
		}
		out.Answer = append(out.Answer, dns.Type(rr.Header().Rrtype).String()+" "+data)
	}
	return out
}

// open opens the file, again where it is no longer the one at the path.
func (l *Log) open(now time.Time) error {
	if l.file != nil && now.Sub(l.looked) < time.Second {
		return nil
	}
	if l.file != nil {
		ours, errOurs := l.file.Stat()
		there, errThere := os.Stat(l.Path)
		if errOurs == nil && errThere == nil && os.SameFile(ours, there) {
			l.looked = now
			return nil
		}
		_ = l.Close() // what it held back is lost with the file
	}
	f, err := os.OpenFile(l.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("query log: %w", err)
	}
	l.file, l.buffer, l.looked = f, bufio.NewWriterSize(f, 1<<16), now
	return nil
}

// Flush implements Sink.
func (l *Log) Flush() error {
	if l.file == nil {
		return nil
	}
	if err := l.buffer.Flush(); err != nil {
		l.abandon()
		return fmt.Errorf("query log: %w", err)
	}
	return nil
}

func (l *Log) abandon() {
	l.file.Close()
	l.file, l.buffer = nil, nil
}

// Close implements Sink.
func (l *Log) Close() error {
	if l.file == nil {
		return nil
	}
	err := l.Flush()
	if l.file != nil {
		l.abandon()
	}
	return err
}
