package demo

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// edge answers a CDN's requests, with the delay of the client's place and the
// faults that hold there. Black holes are the relay's.
type edge struct {
	world *World
	cdn   cdn
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	place := sourceOf(r.RemoteAddr)
	if !e.waitFirstByte(r.Context(), place) {
		return
	}
	w.Header().Set("X-CDN", e.cdn.name)
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if fault, _ := e.world.faults.at(e.cdn.name, place); e.world.dice.below(fault.errorRate) {
		http.Error(w, e.cdn.name+": an injected fault answers 503", http.StatusServiceUnavailable)
		return
	}
	serveContent(w, r, e.world.content, e.cdn.name, func(w http.ResponseWriter, body []byte) {
		e.writePaced(r.Context(), w, place, body)
	})
}

// waitFirstByte waits as long as distance and faults demand; false when the
// client went away first. A fault that comes or goes counts at once.
func (e *edge) waitFirstByte(ctx context.Context, place int) bool {
	start := time.Now()
	base := e.world.dice.jitter(e.cdn.firstByte[place])
	for {
		fault, changed := e.world.faults.at(e.cdn.name, place)
		wait := time.Until(start.Add(base + fault.latency))
		if wait <= 0 {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

// writePaced sends a body, twenty pieces a second while a throttle holds.
func (e *edge) writePaced(ctx context.Context, w http.ResponseWriter, place int, body []byte) {
	const perSecond = 20
	flush := http.NewResponseController(w).Flush
	due := time.Now()
	for len(body) > 0 {
		fault, changed := e.world.faults.at(e.cdn.name, place)
		if fault.throttleBps == 0 {
			_, _ = w.Write(body)
			return
		}
		n := min(len(body), max(1, int(fault.throttleBps/8/perSecond)))
		if _, err := w.Write(body[:n]); err != nil || flush() != nil {
			return
		}
		body = body[n:]
		if len(body) == 0 {
			return
		}
		due = due.Add(time.Duration(float64(n*8) / float64(fault.throttleBps) * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// origin answers for a pool's origin servers, at once and without faults.
type origin struct {
	pool    string
	content *content
}

func (o origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Origin-Pool", o.pool)
	if r.URL.Path == "/healthz" {
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	serveContent(w, r, o.content, "origin "+o.pool, func(w http.ResponseWriter, body []byte) { _, _ = w.Write(body) })
}

// serveContent answers with what lies at the request's path. Send writes the body.
func serveContent(w http.ResponseWriter, r *http.Request, c *content, server string, send func(http.ResponseWriter, []byte)) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "want GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	kind, body := c.at(r.URL.Path, server, time.Now())
	if body == nil {
		http.Error(w, server+" has nothing at "+r.URL.Path+": try /live/main.m3u8, /vod/main.mpd or /probe", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Cache-Control", "max-age=1")
	if r.Method == http.MethodGet {
		send(w, body)
	}
}

// dice is seeded chance.
type dice struct {
	mu     sync.Mutex
	source *rand.Rand
}

func newDice(seed uint64) *dice { return &dice{source: rand.New(rand.NewPCG(seed, 0))} }

// below tells whether an event of this probability happens.
func (d *dice) below(probability float64) bool {
	if probability == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.source.Float64() < probability
}

// jitter varies a duration by up to a tenth of it either way.
func (d *dice) jitter(base time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(float64(base) * (0.9 + 0.2*d.source.Float64()))
}
