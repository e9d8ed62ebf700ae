package demo

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path"
	"strconv"
	"strings"
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
	serveContent(w, r, e.cdn.name, func(w http.ResponseWriter, body []byte) {
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
type origin struct{ pool string }

func (o origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Origin-Pool", o.pool)
	if r.URL.Path == "/healthz" {
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	serveContent(w, r, "origin "+o.pool, func(w http.ResponseWriter, body []byte) { _, _ = w.Write(body) })
}

// objectSize is that of every object but playlists: large enough that 60 kbit/s
// takes half a second for it, small enough that it then still arrives within a
// probe's second.
const objectSize = 4 << 10

// serveContent answers with what lies at the request's path: below /live/ and
// /vod/ (whatever pool's name stands before them) playlists and objects of any
// name, and /probe. Send writes the body.
func serveContent(w http.ResponseWriter, r *http.Request, server string, send func(http.ResponseWriter, []byte)) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "want GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	kind, body := content(r.URL.Path, server, time.Now())
	if body == nil {
		http.Error(w, server+" has nothing at "+r.URL.Path+": try /live/main.m3u8, /vod/main.m3u8 or /probe", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Cache-Control", "max-age=1")
	if r.Method == http.MethodGet {
		send(w, body)
	}
}

// content returns the type and bytes of what lies at a path, nil for nothing.
func content(at, server string, now time.Time) (kind string, body []byte) {
	for _, pool := range regionNames {
		if rest, found := strings.CutPrefix(at, "/"+pool+"/"); found {
			at = "/" + rest
			break
		}
	}
	live := strings.HasPrefix(at, "/live/")
	switch {
	case !live && !strings.HasPrefix(at, "/vod/") && at != "/probe":
		return "", nil
	case path.Ext(at) == ".m3u8":
		return "application/vnd.apple.mpegurl", playlist(server, live, now)
	case path.Ext(at) == ".ts":
		kind = "video/mp2t"
	default:
		kind = "application/octet-stream"
	}
	line := []byte(server + " " + at + "\n")
	body = make([]byte, 0, objectSize+len(line))
	for len(body) < objectSize {
		body = append(body, line...)
	}
	return kind, body[:objectSize]
}

// playlist is a media playlist (RFC 8216 §4.3) of two-second segments: a window
// of four minutes that moves with the time, or all of a short programme.
func playlist(server string, live bool, now time.Time) []byte {
	const segments = 120
	first := int64(0)
	if live {
		first = now.Unix()/2 - segments
	}
	b := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:3\n# from %s\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", server, first)
	for i := range int64(segments) {
		b = fmt.Appendf(b, "#EXTINF:2.000,\nsegment-%d.ts\n", first+i)
	}
	if !live {
		b = append(b, "#EXT-X-ENDLIST\n"...)
	}
	return b
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
