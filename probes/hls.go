package probes

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fairway/steering"
)

// probeHLS plays a stream's newest segment (RFC 8216bis): the playlist, the media
// playlist of one variant if the first is a multivariant one, the segment or, of a
// low-latency stream, the newest part.
func probeHLS(ctx context.Context, a *attempt) error {
	v := a.view()
	defer v.close()
	got, err := v.get(ctx, "playlist", a.to.url(), nil, maxPlaylist, true)
	if err != nil {
		return err
	}
	if variants := multivariant(got.text); len(variants) > 0 {
		chosen := choose(variants, a.probe.Media.Variant)
		v.seen.Bitrate = chosen.bitrate
		u, err := got.url.Parse(chosen.uri)
		if err != nil {
			return failed(steering.OutcomeMedia, "the multivariant playlist names a URI that is none")
		}
		if got, err = v.get(ctx, "media playlist", u, nil, maxPlaylist, true); err != nil {
			return err
		}
	}
	list, err := readMedia(got.text)
	if err != nil {
		return failed(steering.OutcomeMedia, "media playlist: "+err.Error())
	}
	if list.live() {
		if err := v.follow(got.url.Path, list.state()); err != nil {
			return prefixed("media playlist", err)
		}
	}
	newest, err := list.newest(got.url)
	if err != nil {
		return failed(steering.OutcomeMedia, "media playlist: "+err.Error())
	}
	if err := v.play(ctx, newest); err != nil {
		return err
	}
	return v.playShared(ctx, got.url, list)
}

// playShared fetches, for comparing, the segment that the probes of other CDNs
// fetch as well, whenever they look: the newest one whose number is a multiple of
// as many as come between two probes.
func (v *viewer) playShared(ctx context.Context, base *url.URL, list *mediaList) error {
	if !v.probe.Parity || len(list.segments) == 0 {
		return nil
	}
	every := int64(1)
	if list.live() && list.target > 0 {
		every = 1 + int64(max(v.probe.Every, v.probe.Slowest)/list.target)
	}
	for i := len(list.segments) - 1; i >= 0; i-- {
		s := list.segments[i]
		if s.number%every != 0 || s.gap {
			continue
		}
		u, err := base.Parse(s.uri)
		if err != nil {
			return nil
		}
		shared := segment{url: u, name: nameOf(u), number: s.number, from: s.from, n: s.n}
		got, err := v.get(ctx, "segment "+shared.name, u, shared.header(), v.probe.MaxBytes, false)
		if err != nil {
			return err
		}
		return v.compare("segment", shared.name, got.sum)
	}
	return nil
}

// variant is one of a multivariant playlist's (§4.4.6.2).
type variant struct {
	uri     string
	bitrate float64
}

// multivariant reads the variants; none of a media playlist.
func multivariant(text []byte) []variant {
	var all []variant
	var pending *variant
	for line := range lines(text) {
		if rest, ok := strings.CutPrefix(line, "#EXT-X-STREAM-INF:"); ok {
			bits, _ := strconv.ParseFloat(attributes(rest)["BANDWIDTH"], 64)
			pending = &variant{bitrate: bits}
		} else if pending != nil && !strings.HasPrefix(line, "#") {
			pending.uri = line
			all = append(all, *pending)
			pending = nil
		}
	}
	return all
}

func choose(all []variant, which steering.Variant) variant {
	best := all[0]
	for _, one := range all[1:] {
		if which == steering.LowestVariant && one.bitrate < best.bitrate || which == steering.HighestVariant && one.bitrate > best.bitrate {
			best = one
		}
	}
	return best
}

// mediaList is a media playlist, as far as a probe reads it.
type mediaList struct {
	target        time.Duration
	first         int64 // EXT-X-MEDIA-SEQUENCE
	discontinuity int64 // EXT-X-DISCONTINUITY-SEQUENCE
	ended         bool
	segments      []listed
	parts         []listed // of the segment that is still to be listed
}

// listed is a segment or part in a playlist.
type listed struct {
	number   int64
	uri      string
	duration time.Duration
	starts   time.Time // zero = not told
	gap      bool
	from, n  int64
}

// readMedia reads a media playlist. What it does not know it leaves aside, as
// clients must (§6.3.1).
func readMedia(text []byte) (*mediaList, error) {
	l := &mediaList{}
	var next listed
	var clock time.Time // of the next segment
	var partsTook time.Duration
	begun := false
	for line := range lines(text) {
		tag, value, _ := strings.Cut(line, ":")
		if !begun {
			if tag != "#EXTM3U" {
				return nil, fmt.Errorf("does not begin with #EXTM3U")
			}
			begun = true
			continue
		}
		switch {
		case tag == "#EXT-X-TARGETDURATION":
			l.target = seconds(value)
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			l.first, _ = strconv.ParseInt(value, 10, 64)
		case tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
			l.discontinuity, _ = strconv.ParseInt(value, 10, 64)
		case tag == "#EXT-X-ENDLIST", tag == "#EXT-X-PLAYLIST-TYPE" && value == "VOD":
			l.ended = true
		case tag == "#EXT-X-GAP":
			next.gap = true
		case tag == "#EXT-X-BYTERANGE":
			next.from, next.n = byteRange(value, l.segments)
		case tag == "#EXT-X-PROGRAM-DATE-TIME":
			if at, err := time.Parse(time.RFC3339Nano, value); err == nil {
				clock = at.Add(-partsTook)
			}
		case tag == "#EXT-X-PART":
			p := partOf(value, l.parts)
			if !clock.IsZero() {
				p.starts = clock.Add(partsTook)
			}
			partsTook += p.duration
			l.parts = append(l.parts, p)
		case tag == "#EXTINF":
			length, _, _ := strings.Cut(value, ",")
			next.duration = seconds(length)
		case strings.HasPrefix(line, "#"):
		default:
			next.uri, next.starts, next.number = line, clock, l.first+int64(len(l.segments))
			if !clock.IsZero() {
				clock = clock.Add(next.duration)
			}
			l.segments = append(l.segments, next)
			next, l.parts, partsTook = listed{}, nil, 0
		}
	}
	switch {
	case !begun:
		return nil, fmt.Errorf("is empty")
	case l.target <= 0:
		return nil, fmt.Errorf("has no EXT-X-TARGETDURATION (§4.4.3.1)")
	case len(l.segments) == 0 && len(l.parts) == 0:
		return nil, fmt.Errorf("lists no segments")
	}
	return l, nil
}

func (l *mediaList) live() bool { return !l.ended }

// state is how far a live playlist has come.
func (l *mediaList) state() live {
	s := live{first: l.first, last: l.first + int64(len(l.segments)) - 1, part: len(l.parts), discontinuity: l.discontinuity, target: l.target}
	if newest, ok := l.edge(); ok && !newest.starts.IsZero() {
		s.ends = newest.starts.Add(newest.duration)
	}
	return s
}

// edge is the newest media: a part, or else a segment.
func (l *mediaList) edge() (listed, bool) {
	if n := len(l.parts); n > 0 {
		return l.parts[n-1], true
	}
	if n := len(l.segments); n > 0 {
		return l.segments[n-1], true
	}
	return listed{}, false
}

// newest is what to fetch.
func (l *mediaList) newest(base *url.URL) (segment, error) {
	at, _ := l.edge()
	if at.gap {
		return segment{}, fmt.Errorf("the newest segment is missing (EXT-X-GAP)")
	}
	u, err := base.Parse(at.uri)
	if err != nil || at.uri == "" {
		return segment{}, fmt.Errorf("the newest segment has a URI that is none")
	}
	return segment{url: u, name: nameOf(u), number: at.number, duration: at.duration, from: at.from, n: at.n}, nil
}

// partOf reads EXT-X-PART (§4.4.4.9).
func partOf(value string, before []listed) listed {
	set := attributes(value)
	p := listed{uri: set["URI"], duration: seconds(set["DURATION"]), gap: set["GAP"] == "YES"}
	if r, ok := set["BYTERANGE"]; ok {
		p.from, p.n = byteRange(r, before)
	}
	return p
}

// byteRange reads n[@o] (§4.4.4.2); without an offset it follows the one before.
func byteRange(value string, before []listed) (from, n int64) {
	length, offset, stated := strings.Cut(value, "@")
	n, _ = strconv.ParseInt(length, 10, 64)
	if from, _ = strconv.ParseInt(offset, 10, 64); !stated && len(before) > 0 {
		last := before[len(before)-1]
		from = last.from + last.n
	}
	if n < 0 || from < 0 {
		return 0, 0
	}
	return from, n
}

// attributes reads an attribute list (§4.2).
func attributes(list string) map[string]string {
	set := make(map[string]string)
	for list != "" {
		name, rest, ok := strings.Cut(list, "=")
		if !ok {
			return set
		}
		value := ""
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			value, rest, _ = strings.Cut(quoted, `"`)
			_, list, _ = strings.Cut(rest, ",")
		} else {
			value, list, _ = strings.Cut(rest, ",")
		}
		set[strings.TrimSpace(name)] = value
	}
	return set
}

// seconds reads a decimal number of seconds, within a day.
func seconds(text string) time.Duration {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(n >= 0 && n <= 86400) {
		return 0
	}
	return time.Duration(n * float64(time.Second))
}

// lines are the lines of a playlist that are not empty.
func lines(text []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		scanner := bufio.NewScanner(bytes.NewReader(text))
		scanner.Buffer(nil, maxPlaylist)
		for scanner.Scan() {
			if line := strings.TrimSpace(strings.TrimPrefix(scanner.Text(), "\ufeff")); line != "" && !yield(line) {
				return
			}
		}
	}
}
