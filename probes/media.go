package probes

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"fairway/steering"
)

// maxPlaylist bounds a playlist or MPD.
const maxPlaylist = 4 << 20

// viewer plays a stream for one attempt: it asks for one thing after the other,
// over as few connections as a player would.
type viewer struct {
	*attempt
	lines map[string]*line
	total steering.Phases // of the first connection
}

func (a *attempt) view() *viewer { return &viewer{attempt: a, lines: make(map[string]*line)} }

func (v *viewer) close() {
	for _, l := range v.lines {
		l.close()
	}
}

// fetched is what came of one request.
type fetched struct {
	url   *url.URL // where it came from, after redirects
	bytes int64
	sum   digest
	text  []byte        // what was kept of it
	took  time.Duration // from the request to the last byte
}

// get asks for a URL and reads at most so many bytes. Nothing but 200 and 206 will
// do. Of an object that ended early what came is told with the error.
func (v *viewer) get(ctx context.Context, what string, u *url.URL, more http.Header, most int64, keep bool) (*fetched, error) {
	for left := v.probe.Redirects; ; left-- {
		response, err := v.start(ctx, u, more)
		if err != nil {
			return nil, prefixed(what, err)
		}
		if next := redirect(u, response.StatusCode, response.Header); next != nil && left > 0 {
			io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
			response.end()
			u = next
			continue
		}
		got, err := v.take(u, response, most, keep)
		response.end()
		return got, prefixed(what, err)
	}
}

// start sends a request and waits for the header of its response.
func (v *viewer) start(ctx context.Context, u *url.URL, more http.Header) (*response, error) {
	if err := v.move(ctx, u); err != nil {
		return nil, err
	}
	if u.RawQuery == "" && !v.inPath && strings.EqualFold(v.to.host, v.host) {
		if err := v.sign(); err != nil {
			return nil, err
		}
	}
	l := v.lines[v.to.name()]
	if l == nil {
		var err error
		if l, err = v.open(ctx); err != nil {
			return nil, err
		}
		v.lines[v.to.name()] = l
		if v.total.Connect == 0 {
			v.total = v.phases
		}
	}
	response, err := v.ask(ctx, l, more)
	if err != nil || response.Close {
		delete(v.lines, v.to.name())
		if err != nil {
			l.close()
			return nil, err
		}
		end := response.end
		response.end = func() { end(); l.close() }
	}
	return response, nil
}

// take takes a response's body in.
func (v *viewer) take(u *url.URL, r *response, most int64, keep bool) (*fetched, error) {
	v.status = r.StatusCode
	if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusPartialContent {
		return nil, failed(steering.OutcomeStatus, fmt.Sprintf("got %d, want 200", r.StatusCode))
	}
	v.seen.Cache = cacheOf(r.Header)
	sum := sha256.New()
	var text strings.Builder
	into := io.Writer(sum)
	if keep {
		into = io.MultiWriter(sum, &text)
	}
	n, err := io.Copy(into, io.LimitReader(r.Body, most))
	v.attempt.read += n
	got := &fetched{url: u, bytes: n, text: []byte(text.String()), took: time.Since(r.first)}
	sum.Sum(got.sum[:0])
	if err == nil && n == most && keep {
		return nil, failed(steering.OutcomeMedia, fmt.Sprintf("longer than %d bytes", most))
	}
	if n == most && err == nil {
		v.hangUp() // what is left of the body is in the way
	}
	if err == nil {
		return got, nil
	}
	v.hangUp()
	broken := r.cause(err)
	if broken == nil {
		return got, failed(steering.OutcomeBody, "the body's chunked coding is broken")
	}
	return got, v.brokenOff(broken, fmt.Sprintf("body not complete within %s (%d bytes received)", v.probe.Timeout, n), fmt.Sprintf("after %d bytes of the body", n))
}

// hangUp gives up the connection in use.
func (v *viewer) hangUp() {
	if l := v.lines[v.to.name()]; l != nil {
		l.close()
		delete(v.lines, v.to.name())
	}
}

// prefixed says of which object a failure tells.
func prefixed(what string, err error) error {
	var unmet *failure
	if errors.As(err, &unmet) {
		return failed(unmet.outcome, what+": "+unmet.detail)
	}
	return err
}

// segment is a piece of media to fetch.
type segment struct {
	url      *url.URL
	name     string // for people, and for comparing it between CDNs
	number   int64
	duration time.Duration
	from, n  int64 // byte range; n = 0 for the whole
}

// header is what asks for a part of an object (RFC 9110 §14.2).
func (s segment) header() http.Header {
	if s.n == 0 {
		return nil
	}
	return http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", s.from, s.from+s.n-1)}}
}

// play fetches a segment and holds its speed against the bitrate that is declared,
// or the segment's own where none is. The measurement's phases and bytes are the
// segment's.
func (v *viewer) play(ctx context.Context, s segment) error {
	got, err := v.get(ctx, "segment "+s.name, s.url, s.header(), v.probe.MaxBytes, false)
	ttfb := v.phases.TTFB
	v.phases = steering.Phases{DNS: v.phases.DNS, Connect: v.total.Connect, TLS: v.total.TLS, TTFB: ttfb}
	if got == nil {
		return err
	}
	v.bytes, v.phases.Transfer = got.bytes, got.took
	want := v.seen.Bitrate
	if want == 0 && s.duration > 0 && err == nil && got.bytes < v.probe.MaxBytes {
		want = float64(8*got.bytes) / s.duration.Seconds()
	}
	rate := float64(8*got.bytes) / max(ttfb+got.took, time.Microsecond).Seconds()
	var unmet *failure
	slow := want > 0 && rate < v.probe.Media.MinRate*want
	if slow && (err == nil || errors.As(err, &unmet) && unmet.outcome == steering.OutcomeTimeout) {
		return failed(steering.OutcomeSlow, fmt.Sprintf("segment %s: %s, and it needs %s (%d bytes in %s)",
			s.name, bitrate(rate), bitrate(want*v.probe.Media.MinRate), got.bytes, (ttfb+got.took).Round(time.Millisecond)))
	}
	if err != nil {
		return err
	}
	if v.probe.Parity && got.bytes < v.probe.MaxBytes {
		return v.compare("segment", s.name, got.sum)
	}
	return nil
}

// bitrate writes bit/s with a unit.
func bitrate(b float64) string {
	switch {
	case b >= 1e6:
		return fmt.Sprintf("%.1f Mbit/s", b/1e6)
	case b >= 1e3:
		return fmt.Sprintf("%.0f kbit/s", b/1e3)
	}
	return fmt.Sprintf("%.0f bit/s", b)
}

// edge is how far a live stream had come when it was last looked at.
type edge struct {
	last          int64 // number of the newest segment
	part          int   // parts of the one after it
	discontinuity int64
	moved         time.Time // when it was first seen there
}

// live is what a live playlist or MPD says of itself.
type live struct {
	first, last   int64
	part          int
	discontinuity int64 // number of the first segment's, -1 = not told
	target        time.Duration
	ends          time.Time // wall time of the newest media's end; zero = not told
}

// follow compares a live stream with how it was at the last probe.
func (v *viewer) follow(name string, now live) error {
	before := v.recall.media[name]
	at := time.Now()
	if !now.ends.IsZero() {
		v.seen.EdgeAge = max(0, at.Sub(now.ends))
	}
	moved := before == nil || now.last > before.last || now.last == before.last && now.part > before.part
	if before == nil || now.last < before.last-1 || moved {
		v.recall.media[name] = &edge{last: now.last, part: now.part, discontinuity: max(now.discontinuity, 0), moved: at}
	}
	rules := v.probe.Media
	stuckAfter := rules.StuckAfter
	if stuckAfter == 0 {
		stuckAfter = 3 * now.target
	}
	switch {
	case before == nil:
	case now.last < before.last-1:
		// One segment less may be another of the CDN's caches; more is the past.
		return failed(steering.OutcomeStale, fmt.Sprintf("went back: segment %d was the newest, now it is %d", before.last, now.last))
	case now.discontinuity >= 0 && now.discontinuity < before.discontinuity && now.last >= before.last:
		return failed(steering.OutcomeStale, fmt.Sprintf("the discontinuity sequence went back from %d to %d", before.discontinuity, now.discontinuity))
	case moved && missed(before, now, at):
		return failed(steering.OutcomeMedia, fmt.Sprintf("a gap: segments %d to %d were never listed", before.last+1, now.first-1))
	case !moved && stuckAfter > 0 && at.Sub(before.moved) > stuckAfter:
		return failed(steering.OutcomeStale, fmt.Sprintf("stuck: no new segment after %d for %s (target duration %s)",
			now.last, at.Sub(before.moved).Round(100*time.Millisecond), now.target))
	}
	if rules.EdgeAge > 0 && v.seen.EdgeAge > rules.EdgeAge {
		return failed(steering.OutcomeStale, fmt.Sprintf("live edge is %s old, want %s at most", v.seen.EdgeAge.Round(100*time.Millisecond), rules.EdgeAge))
	}
	return nil
}

// missed tells that segments were skipped: those between the last look and the
// oldest one now, in less time than they would have taken to play.
func missed(before *edge, now live, at time.Time) bool {
	skipped := now.first - before.last - 1
	return skipped > 0 && now.target > 0 && at.Sub(before.moved) < time.Duration(now.last-before.last-2)*now.target/2
}

// nameOf is an object's name without where it lies and without its token.
func nameOf(u *url.URL) string { return path.Base(u.Path) }
