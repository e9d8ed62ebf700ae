package main

import (
	"bytes"
	"encoding/binary"
	"net"
	"time"
)

// result is one turn.
type result struct {
	answers      int
	bad, lost    int
	took         time.Duration
	user, system time.Duration
	p50, p99     time.Duration
}

// perAnswer is the processor time of one answer.
func (r result) perAnswer() time.Duration {
	return (r.user + r.system) / time.Duration(max(r.answers, 1))
}

// sockets is how many source ports the load comes from, so that the kernel can
// spread it over a server's sockets.
const sockets = 8

// turn puts a server under load and measures.
func (s *server) turn(queries []query, o options) (result, error) {
	l, err := newLoad(s, queries, o)
	if err != nil {
		return result{}, err
	}
	defer l.close()
	l.run(o.each / 10) // warm
	l.clear()
	user, system, err := s.used()
	if err != nil {
		return result{}, err
	}
	begin := time.Now()
	l.run(o.each)
	r := result{answers: l.answers, bad: l.bad, lost: l.lost, took: time.Since(begin)}
	userEnd, systemEnd, err := s.used()
	r.user, r.system = userEnd-user, systemEnd-system
	r.p50, r.p99 = l.quantile(0.50), l.quantile(0.99)
	return r, err
}

// load is what one turn sends and receives. One goroutine does both and never
// waits: it keeps its processor busy whatever the server does, so that no turn
// pays for waking it.
type load struct {
	batches []*batch
	queries []query
	echo    bool
	rate    int
	window  int

	next     int
	sentAt   []time.Duration // by query; 0 = not under way
	underWay int
	clock    time.Time

	answers, bad, lost int
	latency            []int // answers per microsecond
}

func newLoad(s *server, queries []query, o options) (*load, error) {
	l := &load{
		queries: queries, echo: s.name == echo, rate: o.rate, window: o.window,
		sentAt: make([]time.Duration, len(queries)), clock: time.Now(), latency: make([]int, 1<<16),
	}
	for range sockets {
		conn, err := net.Dial("udp", s.address)
		if err != nil {
			return nil, err
		}
		b, err := newBatch(conn.(*net.UDPConn))
		if err != nil {
			return nil, err
		}
		l.batches = append(l.batches, b)
	}
	return l, nil
}

func (l *load) close() {
	for _, b := range l.batches {
		b.conn.Close()
	}
}

// clear forgets what was counted.
func (l *load) clear() {
	l.answers, l.bad, l.lost = 0, 0, 0
	clear(l.latency)
}

// run sends and receives for a time. With a rate, what is due is sent at once;
// without, an answer makes room for the next query.
func (l *load) run(d time.Duration) {
	begin, sent := time.Now(), 0
	lastAnswer := begin
	for i := 0; ; i++ {
		now := time.Now()
		if now.Sub(begin) > d {
			return
		}
		b := l.batches[i%len(l.batches)]
		room := l.window - l.underWay
		if l.rate > 0 {
			room = min(room, int(now.Sub(begin).Seconds()*float64(l.rate))-sent)
		}
		share := max(1, l.window/len(l.batches))
		if room = min(room, share-b.underWay, batchSize); room > 0 {
			l.send(b, room, now)
			sent += room
		}
		if l.receive(b, now) {
			lastAnswer = now
		}
		if now.Sub(lastAnswer) > 100*time.Millisecond {
			l.lost += l.underWay // none will come any more
			l.underWay, lastAnswer = 0, now
			for _, b := range l.batches {
				b.underWay = 0
			}
			clear(l.sentAt)
		}
	}
}

func (l *load) send(b *batch, n int, now time.Time) {
	for i := range n {
		l.sentAt[l.next] = max(1, now.Sub(l.clock))
		b.put(i, l.queries[l.next].packet)
		l.next = (l.next + 1) % len(l.queries)
	}
	b.send(n)
	b.underWay += n
	l.underWay += n
}

func (l *load) receive(b *batch, now time.Time) bool {
	n := b.receive()
	for i := range n {
		packet := b.packet(i)
		id := int(binary.BigEndian.Uint16(packet))
		if l.sentAt[id] == 0 {
			continue // counted as lost
		}
		l.latency[min(int((now.Sub(l.clock)-l.sentAt[id])/time.Microsecond), len(l.latency)-1)]++
		l.sentAt[id] = 0
		b.underWay--
		l.underWay--
		l.answers++
		// Every 16th answer is looked at closely, which costs only the load.
		if !l.echo && l.answers%16 == 0 && !bytes.Contains(packet, []byte(l.queries[id].target)) {
			l.bad++
		}
	}
	return n > 0
}

// quantile is the latency that this part of the answers stayed below.
func (l *load) quantile(q float64) time.Duration {
	rest := int(q * float64(l.answers))
	for us, n := range l.latency {
		if rest -= n; rest < 0 {
			return time.Duration(us) * time.Microsecond
		}
	}
	return 0
}
