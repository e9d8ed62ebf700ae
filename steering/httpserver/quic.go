package httpserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// quicVisitors bounds the QUIC connections of all sockets: those that are open, and
// those that are still shaking hands.
type quicVisitors struct {
	open  atomic.Int64
	limit int64
}

var errCrowded = errors.New("http door: too many QUIC connections")

// admit takes a connection in, or refuses it (CONNECTION_REFUSED, RFC 9000 §20.1).
func (v *quicVisitors) admit(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	if v.open.Add(1) > v.limit {
		v.open.Add(-1)
		return nil, errCrowded
	}
	context.AfterFunc(ctx, func() { v.open.Add(-1) })
	return ctx, nil
}

// doubts tells whether a client must first show that its address is its own (RFC 9000
// §8.1.2). That costs a round trip, so it is asked for only while there are many:
// then forged addresses hold nothing of us.
func (v *quicVisitors) doubts(net.Addr) bool { return v.open.Load() > v.limit/8 }

// quicVisitor is who asks over one QUIC connection. quic-go waits for the header of a
// request for as long as the connection lasts, which the client can keep up by pings: so
// a connection is ended that has brought no whole request for the time of an idle one.
type quicVisitor struct {
	mu     sync.Mutex
	asking int       // requests that are being answered
	last   time.Time // when there was one
	check  *time.Timer
}

type visitorKey struct{}

// watch puts a visitor into the context of its requests.
func (s *Server) watch(ctx context.Context, c *quic.Conn) context.Context {
	v := &quicVisitor{last: time.Now()}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.check = time.AfterFunc(s.limits.idle, func() {
		if v.idle(s.limits.idle) {
			_ = c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "no request for too long")
		}
	})
	context.AfterFunc(c.Context(), func() { v.check.Stop() })
	return context.WithValue(ctx, visitorKey{}, v)
}

// idle tells whether nothing was asked for so long, and else looks again in time.
func (v *quicVisitor) idle(most time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	left := most
	if v.asking == 0 {
		left -= time.Since(v.last)
	}
	if left > 0 {
		v.check.Reset(left)
	}
	return left <= 0
}

func (v *quicVisitor) count(change int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asking, v.last = v.asking+change, time.Now()
}

// answer3 answers one request over HTTP/3. Who takes nothing of an answer has it taken
// back.
func (s *Server) answer3(w http.ResponseWriter, r *http.Request) {
	if v, is := r.Context().Value(visitorKey{}).(*quicVisitor); is {
		v.count(1)
		defer v.count(-1)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.limits.write))
	s.serve(w, r)
}

// serve3 serves HTTP/3 on one socket.
func (s *Server) serve3(server *http3.Server, t *quic.Transport) error {
	l, err := t.ListenEarly(server.TLSConfig, server.QUICConfig)
	if err != nil {
		return err
	}
	return server.ServeListener(l)
}

// transports make QUIC of the UDP sockets.
func (s *Server) transports() (all []*quic.Transport) {
	for _, c := range s.quic {
		all = append(all, &quic.Transport{Conn: c, ConnContext: s.visitors.admit, VerifySourceAddress: s.visitors.doubts})
	}
	return all
}
