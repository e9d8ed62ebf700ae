package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Config says what is sent where.
type Config struct {
	// Address is the server's, as host:port.
	Address string
	// TCP sends over one connection per socket (RFC 7766, pipelined) instead of
	// UDP.
	TCP bool
	// Queries are sent in their order, again and again. The id of each is its
	// index: see Mix.
	Queries [][]byte
	// Rate is in queries per second; 0 is a closed loop.
	Rate float64
	// Window is how many queries are under way at most, default 128.
	Window int
	// Sockets is from how many ports the queries come, default 8: a server may
	// spread its clients over processors by their ports.
	Sockets int
	// Timeout is how long an answer may take, default 1 s.
	Timeout time.Duration
	// Spin never waits: one processor is busy throughout, and no server is charged
	// with waking the load up. Else there is a goroutine for each socket.
	Spin bool
	// Check looks closely at every 16th answer. Optional.
	Check func(query int, answer []byte) bool
}

// MaxQueries is how many queries a Config can have: an id has 16 bits.
const MaxQueries = 1 << 16

// checkEvery is how many answers there are to one that Check sees.
const checkEvery = 16

// Load is a load that can be run. Make it with New.
type Load struct {
	config  Config
	workers []*worker
	live    live
}

// live is what can be asked while the load runs.
type live struct{ sent, answered, lost atomic.Int64 }

// New opens the sockets.
func New(c Config) (*Load, error) {
	if c.Window <= 0 {
		c.Window = 128
	}
	if c.Sockets <= 0 {
		c.Sockets = 8
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Second
	}
	c.Sockets = min(c.Sockets, c.Window)
	switch {
	case len(c.Queries) < c.Window || len(c.Queries) > MaxQueries:
		return nil, fmt.Errorf("load: %d queries; there must be as many as the window of %d, and %d at most", len(c.Queries), c.Window, MaxQueries)
	case c.Rate < 0 || math.IsNaN(c.Rate) || math.IsInf(c.Rate, 0):
		return nil, fmt.Errorf("load: a rate of %v is none", c.Rate)
	}
	l := &Load{config: c}
	var sockets []transport
	for range c.Sockets {
		t, err := dial(c.Address, c.TCP)
		if err != nil {
			closeAll(sockets)
			return nil, fmt.Errorf("load: %w", err)
		}
		sockets = append(sockets, t)
	}
	if c.Spin {
		l.workers = []*worker{newWorker(l, 0, 1, sockets)}
	} else {
		for i := range sockets {
			l.workers = append(l.workers, newWorker(l, i, len(sockets), sockets[i:i+1]))
		}
	}
	return l, nil
}

func closeAll(sockets []transport) {
	for _, s := range sockets {
		s.Close()
	}
}

// Close closes the sockets.
func (l *Load) Close() {
	for _, w := range l.workers {
		closeAll(w.transports)
	}
}

// Live is how many queries were sent, answered and lost until now.
func (l *Load) Live() (sent, answered, lost int64) {
	return l.live.sent.Load(), l.live.answered.Load(), l.live.lost.Load()
}

// Run sends for a time, or until so many queries were sent (0 = no bound), or
// until ctx ends, and then waits for the answers under way. The error is of a
// socket that failed for good; the result holds until then.
func (l *Load) Run(ctx context.Context, d time.Duration, count int) (*Result, error) {
	begin := time.Now()
	results := make([]*Result, len(l.workers))
	failures := make([]error, len(l.workers))
	var group sync.WaitGroup
	for i, w := range l.workers {
		share := count / len(l.workers)
		if i < count%len(l.workers) {
			share++
		}
		if count > 0 && share == 0 {
			results[i] = newResult()
			continue
		}
		group.Go(func() { results[i], failures[i] = w.run(ctx, begin, d, share) })
	}
	group.Wait()
	total := newResult()
	for _, r := range results {
		total.add(r)
	}
	return total, errors.Join(failures...)
}

// Result is what came back.
type Result struct {
	Sent, Answered, Lost int
	// Wrong are those of the answered whose question is another one, or that Check
	// refused.
	Wrong int
	// Late are answers that came after they were counted as lost.
	Late      int
	Truncated int
	Rcodes    map[int]int
	Octets    int           // of all answers
	Took      time.Duration // from the first query to the last one sent
	Latency   *hdrhistogram.Histogram
}

// The histogram reaches from one microsecond to a minute, within a thousandth.
func newResult() *Result {
	return &Result{Rcodes: make(map[int]int), Latency: hdrhistogram.New(int64(time.Microsecond), int64(time.Minute), 3)}
}

func (r *Result) add(o *Result) {
	r.Sent, r.Answered, r.Lost, r.Wrong = r.Sent+o.Sent, r.Answered+o.Answered, r.Lost+o.Lost, r.Wrong+o.Wrong
	r.Late, r.Truncated, r.Octets = r.Late+o.Late, r.Truncated+o.Truncated, r.Octets+o.Octets
	r.Took = max(r.Took, o.Took)
	for rcode, n := range o.Rcodes {
		r.Rcodes[rcode] += n
	}
	r.Latency.Merge(o.Latency)
}

// PerSecond is how many answers came per second.
func (r *Result) PerSecond() float64 { return float64(r.Answered) / max(r.Took.Seconds(), 1e-9) }

// LossRatio is the part of the queries that had no answer.
func (r *Result) LossRatio() float64 { return float64(r.Lost) / float64(max(r.Sent, 1)) }

// Quantile is the latency that this part of the answers stayed below.
func (r *Result) Quantile(q float64) time.Duration {
	return time.Duration(r.Latency.ValueAtQuantile(100 * q))
}
