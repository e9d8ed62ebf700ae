package httpserver

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// accept talks on every connection of a listener, until it is closed; over TLS where
// there is a configuration for it.
func (s *Server) accept(l net.Listener, encryption *tls.Config) error {
	for pause := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			s.conns.serving.Add(1)
			go s.talk(nc, encryption)
			continue
		}
		if !scarce(err) {
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		time.Sleep(pause)
	}
}

// scarce tells whether something has run out that others may give back.
func scarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// talk serves one connection: the common requests by itself, and from the first one
// that is not common on by net/http.
func (s *Server) talk(nc net.Conn, encryption *tls.Config) {
	if s.converse(nc, encryption) {
		return // it is net/http's, and ends as such
	}
	_ = nc.Close()
	s.conns.serving.Done()
}

// converse returns whether net/http has taken over.
func (s *Server) converse(nc net.Conn, encryption *tls.Config) bool {
	_ = nc.SetDeadline(time.Now().Add(s.limits.header))
	if encryption != nil {
		encrypted := tls.Server(nc, encryption)
		if err := encrypted.Handshake(); err != nil {
			refuseClearText(err)
			return false
		}
		switch encrypted.ConnectionState().NegotiatedProtocol {
		case "h2":
			s.talk2(encrypted)
			return false
		case "", "http/1.1":
			nc = encrypted
		default:
			return false // a handshake was all it wanted, as with ACME (RFC 8737 §3)
		}
	}
	t := talkers.Get().(*talker)
	defer t.rest()
	t.begin(s, nc)
	return t.talk()
}

// refuseClearText tells a client that speaks HTTP where TLS is spoken, as net/http
// does.
func refuseClearText(err error) {
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && bytes.Contains([]byte("GET  HEAD POST PUT  OPTIO"), header.RecordHeader[:4]) {
		_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
	}
}

// pass hands a connection over to net/http, with the octets that were read ahead.
func (s *Server) pass(nc net.Conn, c *conn, ahead []byte) bool {
	s.conns.leave(c)
	_ = nc.SetDeadline(time.Time{})
	return s.general.pass(nc, bytes.Clone(ahead))
}

// talker answers the common requests of one HTTP/1.1 connection. Its memory is used
// again.
type talker struct {
	caller
	in      []byte // what was read and not answered yet is in[:held]
	held    int
	out     []byte
	request common
	plain   plain
	last    bool // the answer at hand is the connection's last
	reading lease
	writing lease
}

var talkers = sync.Pool{New: func() any { return &talker{in: make([]byte, commonLimit)} }}

func (t *talker) begin(s *Server, nc net.Conn) {
	_, encrypted := nc.(*tls.Conn)
	t.caller = caller{Server: s, nc: nc, conn: accepted(nc), encrypted: encrypted, header: t.header}
	t.reading = lease{time: s.limits.idle}
	t.writing = lease{time: s.limits.write}
}

// rest gives the talker's memory back.
func (t *talker) rest() {
	*t = talker{in: t.in, out: t.out[:0], caller: caller{header: t.header[:0]}}
	if cap(t.out) <= 16<<10 {
		talkers.Put(t)
	}
}

// talk returns whether net/http has taken over.
func (t *talker) talk() bool {
	for {
		n, err := t.nc.Read(t.in[t.held:])
		if n == 0 && err != nil {
			return false
		}
		now := time.Now()
		t.held += n
		if !t.peer.IsValid() {
			t.peer = addressOf(t.nc.RemoteAddr().String()) // not before: a PROXY header may have told it
		}
		answered, last := t.exchange(now)
		ahead := t.in[answered:t.held]
		if !t.flush(now) || last {
			return false
		}
		if len(ahead) > 0 {
			return t.pass(t.nc, t.conn, ahead)
		}
		t.held = 0
		t.reading.renew(now, t.nc.SetReadDeadline)
		if t.conns.draining.Load() {
			return false
		}
	}
}

// exchange answers the common requests that were read, one after the other. It
// returns how many octets they were, and whether the last answer ends the connection.
func (t *talker) exchange(now time.Time) (answered int, last bool) {
	for answered < t.held {
		length := t.request.readCommon(t.in[answered:t.held])
		if length == 0 {
			break
		}
		if !t.conn.used.Load() {
			t.conn.used.Store(true)
		}
		if !t.reply(now) {
			break
		}
		answered += length
		if t.last {
			break
		}
	}
	return answered, t.last
}

func (t *talker) flush(now time.Time) bool {
	if len(t.out) == 0 {
		return true
	}
	t.writing.renew(now, t.nc.SetWriteDeadline)
	_, err := t.nc.Write(t.out)
	t.out = t.out[:0]
	return err == nil
}

// reply writes the answer to the request at hand; false when it is not one for here.
func (t *talker) reply(began time.Time) bool {
	t.request.say(&t.plain, t.host)
	a, door, ok := t.caller.reply(&t.plain)
	if !ok {
		return false
	}
	t.last = t.request.last || t.lastAnswer()
	t.write(&a, door, began)
	t.answered(door, a.status, began)
	return true
}

// write appends an answer to what goes out.
func (t *talker) write(a *answer, door string, now time.Time) {
	header, body := t.fields(a, door)
	out := append(t.out, "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(a.status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(a.status)...)
	for _, f := range header {
		out = append(out, '\r', '\n')
		out = append(out, f.name...)
		out = append(out, ':', ' ')
		out = append(out, f.value...)
	}
	if t.last {
		out = append(out, "\r\nConnection: close"...)
	}
	out = append(out, "\r\nDate: "...)
	out = append(out, t.date.at(now)...)
	out = append(out, "\r\n\r\n"...)
	t.out = append(out, body...)
}

// date is the time as answers tell it (RFC 9110 §6.6.1), written once a second.
type date struct{ last atomic.Pointer[writtenDate] }

type writtenDate struct {
	unix int64
	text string
}

func (d *date) at(now time.Time) string {
	unix := now.Unix()
	last := d.last.Load()
	if last == nil || last.unix != unix {
		last = &writtenDate{unix, now.UTC().Format(http.TimeFormat)}
		d.last.Store(last)
	}
	return last.text
}
