package main

import (
	"bytes"
	"context"
	"time"

	"fairway/dnsserver/load"
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

// perSecond is how many answers there were in a second. (A Duration, so that there is a
// median of it.)
func (r result) perSecond() time.Duration {
	return time.Duration(float64(r.answers) / r.took.Seconds())
}

// turn puts a server under load and measures.
func (s *server) turn(queries []query, o options) (result, error) {
	c := load.Config{Address: s.address, Rate: float64(o.rate), Window: o.window, Timeout: time.Second, Spin: true}
	for _, q := range queries {
		c.Queries = append(c.Queries, q.packet)
	}
	if s.name != echo {
		c.Check = func(i int, answer []byte) bool { return bytes.Contains(answer, []byte(queries[i].target)) }
	}
	l, err := load.New(c)
	if err != nil {
		return result{}, err
	}
	defer l.Close()
	ctx := context.Background()
	warm, count := o.each/10, 0
	if o.sizes { // each question once: what is counted for the first time costs more
		warm, count = time.Minute, len(queries)
	}
	if _, err := l.Run(ctx, warm, count); err != nil {
		return result{}, err
	}
	user, system, err := s.Used()
	if err != nil {
		return result{}, err
	}
	got, err := l.Run(ctx, o.each, 0)
	if err != nil {
		return result{}, err
	}
	userEnd, systemEnd, err := s.Used()
	return result{
		answers: got.Answered, bad: got.Wrong, lost: got.Lost, took: got.Took,
		user: userEnd - user, system: systemEnd - system, p50: got.Quantile(0.50), p99: got.Quantile(0.99),
	}, err
}
