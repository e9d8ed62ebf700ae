package httpserver

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

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
	visitors := &quicVisitors{limit: int64(s.limits.connections)}
	for _, c := range s.quic {
		all = append(all, &quic.Transport{Conn: c, ConnContext: visitors.admit, VerifySourceAddress: visitors.doubts})
	}
	return all
}
