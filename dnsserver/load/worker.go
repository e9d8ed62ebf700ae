package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/miekg/dns"
)

// worker sends a part of the queries over sockets of its own: those with the
// indexes first, first+step, first+2×step …
type worker struct {
	load        *Load
	first, step int
	transports  []transport
	underWay    []int // per transport
	window      int
	rate        float64

	flights []flight // by query index / step; a ring of those under way
	oldest  int      // the first of them
	next    int      // behind the last
	open    int      // how many of them have had no answer
	clock   time.Time
	result  *Result
	packets [batchSize][]byte
}

// flight is one query under way.
type flight struct {
	since     time.Duration // on the worker's clock; when it was due, or was sent
	transport int
	open      bool
}

func newWorker(l *Load, first, step int, transports []transport) *worker {
	queries := len(l.config.Queries)
	return &worker{
		load: l, first: first, step: step, transports: transports, underWay: make([]int, len(transports)),
		window: max(1, l.config.Window/step), rate: l.config.Rate / float64(step),
		flights: make([]flight, (queries-first+step-1)/step), clock: time.Now(),
	}
}

// index is the query at a place of the ring.
func (w *worker) index(at int) int { return w.first + at*w.step }

func (w *worker) now() time.Duration { return time.Since(w.clock) }

// run sends for a time, or so many, and waits for what is under way then.
func (w *worker) run(ctx context.Context, begin time.Time, d time.Duration, count int) (*Result, error) {
	w.result = newResult()
	start := begin.Sub(w.clock)
	end := start + d
	for i := 0; ctx.Err() == nil; i++ {
		now := w.now()
		if now >= end || count > 0 && w.result.Sent >= count {
			break
		}
		s := i % len(w.transports)
		n := w.room(s, now-start)
		if count > 0 {
			n = min(n, count-w.result.Sent)
		}
		if n > 0 {
			if err := w.send(s, n, start, now); err != nil {
				return w.result, err
			}
		}
		if err := w.receive(s, w.patience(start, now, end)); err != nil {
			return w.result, err
		}
		w.expire()
	}
	w.result.Took = w.now() - start
	for i := 0; w.open > 0 && ctx.Err() == nil; i++ {
		if err := w.receive(i%len(w.transports), time.Millisecond); err != nil {
			return w.result, err
		}
		w.expire()
	}
	return w.result, nil
}

// room is how many queries may be sent now.
func (w *worker) room(s int, elapsed time.Duration) int {
	n := w.window - w.open
	if w.rate > 0 {
		n = min(n, int(elapsed.Seconds()*w.rate)-w.result.Sent)
	}
	share := max(1, w.window/len(w.transports))
	n = min(n, share-w.underWay[s], batchSize)
	return min(n, len(w.flights)-w.length())
}

// length is how much of the ring is in use.
func (w *worker) length() int { return (w.next - w.oldest + 2*len(w.flights)) % len(w.flights) }

// patience is how long to wait for answers before there is something else to do.
func (w *worker) patience(start, now, end time.Duration) time.Duration {
	if w.load.config.Spin {
		return 0
	}
	wait := min(end-now, 10*time.Millisecond) // to notice what is lost, and the end
	if w.rate > 0 && w.open < w.window {
		due := start + time.Duration(float64(w.result.Sent+1)/w.rate*float64(time.Second))
		wait = min(wait, due-w.now())
	}
	return max(wait, 0)
}

func (w *worker) send(s, n int, start, now time.Duration) error {
	for i := range n {
		since := now
		if w.rate > 0 {
			since = start + time.Duration(float64(w.result.Sent+i)/w.rate*float64(time.Second))
		}
		w.flights[w.next] = flight{since: since, transport: s, open: true}
		w.packets[i] = w.load.config.Queries[w.index(w.next)]
		w.next = (w.next + 1) % len(w.flights)
	}
	w.underWay[s] += n
	w.open += n
	w.result.Sent += n
	w.load.live.sent.Add(int64(n))
	return w.transports[s].send(w.packets[:n])
}

func (w *worker) receive(s int, wait time.Duration) error {
	t := w.transports[s]
	n, err := t.receive(wait)
	if n == 0 {
		return err
	}
	now := w.now()
	answered := w.result.Answered
	for i := range n {
		w.take(t.packet(i), now)
	}
	w.load.live.answered.Add(int64(w.result.Answered - answered))
	return err
}

// take counts one answer.
func (w *worker) take(answer []byte, now time.Duration) {
	r := w.result
	if len(answer) < 12 || answer[2]&0x80 == 0 {
		r.Wrong++
		return
	}
	id := int(binary.BigEndian.Uint16(answer))
	at := (id - w.first) / w.step
	if id < w.first || (id-w.first)%w.step != 0 || at >= len(w.flights) {
		r.Wrong++
		return
	}
	f := &w.flights[at]
	if !f.open {
		r.Late++
		return
	}
	w.land(f)
	r.Answered++
	r.Octets += len(answer)
	_ = r.Latency.RecordValue(min(int64(max(now-f.since, time.Microsecond)), int64(time.Minute)))
	r.Rcodes[rcodeOf(answer)]++
	if answer[2]&0x02 != 0 {
		r.Truncated++
	}
	check := w.load.config.Check
	if !sameQuestion(w.load.config.Queries[id], answer) || check != nil && r.Answered%checkEvery == 0 && !check(id, answer) {
		r.Wrong++
	}
}

func (w *worker) land(f *flight) {
	f.open = false
	w.underWay[f.transport]--
	w.open--
}

// expire lets go of what was answered, and counts what was not in time.
func (w *worker) expire() {
	deadline := w.now() - w.load.config.Timeout
	for w.oldest != w.next {
		f := &w.flights[w.oldest]
		if f.open {
			if f.since > deadline {
				return
			}
			w.land(f)
			w.result.Lost++
			w.load.live.lost.Add(1)
		}
		w.oldest = (w.oldest + 1) % len(w.flights)
	}
}

// rcodeOf reads the response code. Its upper bits are in the OPT record (RFC 6891
// §6.1.3), which is looked for only where they can make a difference.
func rcodeOf(answer []byte) int {
	rcode := int(answer[3] & 0x0F)
	if rcode != dns.RcodeBadVers&0x0F && rcode != dns.RcodeBadCookie&0x0F || rcode == 0 && binary.BigEndian.Uint16(answer[6:]) > 0 {
		return rcode
	}
	m := new(dns.Msg)
	if m.Unpack(answer) == nil {
		return m.Rcode
	}
	return rcode
}

// sameQuestion compares the question sections; one that was left out is right
// where the server could not read it.
func sameQuestion(query, answer []byte) bool {
	if binary.BigEndian.Uint16(answer[4:]) == 0 {
		return answer[3]&0x0F != dns.RcodeSuccess
	}
	end := questionEnd(query)
	return len(answer) >= end && bytes.Equal(query[12:end], answer[12:end])
}

// questionEnd is the offset behind the question of a query of ours.
func questionEnd(query []byte) int {
	off := 12
	for query[off] != 0 {
		off += 1 + int(query[off])
	}
	return off + 5
}
