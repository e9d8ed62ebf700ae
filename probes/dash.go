package probes

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"fairway/steering"
)

// probeDASH plays a presentation's newest segment (ISO/IEC 23009-1): the MPD, of its
// last period one representation, of that the newest segment.
func probeDASH(ctx context.Context, a *attempt) error {
	v := a.view()
	defer v.close()
	got, err := v.get(ctx, "MPD", a.to.url(), nil, maxPlaylist, true)
	if err != nil {
		return err
	}
	play, err := readMPD(got.text, got.url, v.probe.Media.Variant, time.Now())
	if err != nil {
		return failed(steering.OutcomeMedia, "MPD: "+err.Error())
	}
	v.seen.Bitrate = play.bitrate
	if play.live != nil {
		if err := v.follow(got.url.Path, *play.live); err != nil {
			return prefixed("MPD", err)
		}
	}
	if err := v.play(ctx, play.newest); err != nil {
		return err
	}
	if !v.probe.Parity || play.live == nil || play.live.target <= 0 {
		return nil
	}
	every := 1 + int64(max(v.probe.Every, v.probe.Slowest)/play.live.target)
	for n := play.newest.number; n >= max(0, play.newest.number-every); n-- {
		if n%every != 0 {
			continue
		}
		shared, ok := play.at(n)
		if !ok {
			return nil
		}
		got, err := v.get(ctx, "segment "+shared.name, shared.url, nil, v.probe.MaxBytes, false)
		if err != nil {
			return err
		}
		return v.compare("segment", shared.name, got.sum)
	}
	return nil
}

// presentation is an MPD, as far as a probe reads it.
type presentation struct {
	XMLName  xml.Name     `xml:"MPD"`
	Type     string       `xml:"type,attr"`
	Start    string       `xml:"availabilityStartTime,attr"`
	Duration string       `xml:"mediaPresentationDuration,attr"`
	BaseURL  []string     `xml:"BaseURL"`
	Periods  []dashPeriod `xml:"Period"`
}

type dashPeriod struct {
	Start    string          `xml:"start,attr"`
	Duration string          `xml:"duration,attr"`
	BaseURL  []string        `xml:"BaseURL"`
	Template *dashTemplate   `xml:"SegmentTemplate"`
	Sets     []dashAdaptions `xml:"AdaptationSet"`
}

type dashAdaptions struct {
	ContentType     string               `xml:"contentType,attr"`
	MimeType        string               `xml:"mimeType,attr"`
	BaseURL         []string             `xml:"BaseURL"`
	Template        *dashTemplate        `xml:"SegmentTemplate"`
	Representations []dashRepresentation `xml:"Representation"`
}

type dashRepresentation struct {
	ID        string        `xml:"id,attr"`
	Bandwidth float64       `xml:"bandwidth,attr"`
	MimeType  string        `xml:"mimeType,attr"`
	BaseURL   []string      `xml:"BaseURL"`
	Template  *dashTemplate `xml:"SegmentTemplate"`
	List      *struct {
		URLs []struct {
			Media string `xml:"media,attr"`
		} `xml:"SegmentURL"`
	} `xml:"SegmentList"`
}

type dashTemplate struct {
	Media     string  `xml:"media,attr"`
	Timescale float64 `xml:"timescale,attr"`
	Duration  float64 `xml:"duration,attr"`
	Number    *int64  `xml:"startNumber,attr"`
	Offset    float64 `xml:"presentationTimeOffset,attr"`
	Ahead     string  `xml:"availabilityTimeOffset,attr"`
	Timeline  *struct {
		S []struct {
			T *float64 `xml:"t,attr"`
			D float64  `xml:"d,attr"`
			R int64    `xml:"r,attr"`
		} `xml:"S"`
	} `xml:"SegmentTimeline"`
}

// dashPlay is what of a presentation is played.
type dashPlay struct {
	bitrate float64
	newest  segment
	live    *live                              // nil = all of it is there
	at      func(number int64) (segment, bool) // any segment that is there
}

// readMPD finds the newest segment of a presentation.
func readMPD(text []byte, from *url.URL, which steering.Variant, now time.Time) (*dashPlay, error) {
	var mpd presentation
	if err := xml.Unmarshal(text, &mpd); err != nil {
		return nil, errors.New("it is no MPD: " + err.Error())
	}
	if len(mpd.Periods) == 0 {
		return nil, errors.New("it has no period")
	}
	period := mpd.Periods[len(mpd.Periods)-1]
	set, one, ok := period.choose(which)
	if !ok {
		return nil, errors.New("its last period has no representation")
	}
	base, err := below(from, mpd.BaseURL, period.BaseURL, set.BaseURL, one.BaseURL)
	if err != nil {
		return nil, err
	}
	template := one.Template
	for _, outer := range []*dashTemplate{set.Template, period.Template} {
		if template == nil {
			template = outer
		}
	}
	play := &dashPlay{bitrate: one.Bandwidth}
	switch {
	case template != nil:
		err = play.fromTemplate(&mpd, period, template, one, base, now)
	case one.List != nil && len(one.List.URLs) > 0:
		last := len(one.List.URLs) - 1
		play.newest, err = pieceAt(base, one.List.URLs[last].Media, int64(last), 0)
	case len(one.BaseURL) > 0: // one file
		play.newest = segment{url: base, name: nameOf(base)}
	default:
		err = errors.New("its last representation says nowhere what its segments are")
	}
	return play, err
}

// choose picks a representation, of video if there is any.
func (p dashPeriod) choose(which steering.Variant) (set dashAdaptions, best dashRepresentation, ok bool) {
	isVideo := func(s dashAdaptions) bool {
		return s.ContentType == "video" || strings.HasPrefix(s.MimeType, "video/") ||
			len(s.Representations) > 0 && strings.HasPrefix(s.Representations[0].MimeType, "video/")
	}
	for _, s := range p.Sets {
		if len(s.Representations) > 0 && (!ok || isVideo(s) && !isVideo(set)) {
			set, ok = s, true
		}
	}
	if !ok {
		return set, best, false
	}
	best = set.Representations[0]
	for _, r := range set.Representations[1:] {
		if which == steering.LowestVariant && r.Bandwidth < best.Bandwidth || which == steering.HighestVariant && r.Bandwidth > best.Bandwidth {
			best = r
		}
	}
	return set, best, true
}

// below resolves the base URLs of all levels, the first of each (§5.6.4).
func below(from *url.URL, levels ...[]string) (*url.URL, error) {
	for _, level := range levels {
		if len(level) == 0 {
			continue
		}
		next, err := from.Parse(strings.TrimSpace(level[0]))
		if err != nil {
			return nil, errors.New("it has a BaseURL that is none")
		}
		from = next
	}
	return from, nil
}

// fromTemplate finds the segments of a SegmentTemplate (§5.3.9.4).
func (play *dashPlay) fromTemplate(mpd *presentation, period dashPeriod, t *dashTemplate, one dashRepresentation, base *url.URL, now time.Time) error {
	scale := t.Timescale
	if scale <= 0 {
		scale = 1
	}
	first := int64(1)
	if t.Number != nil {
		first = *t.Number
	}
	ticks := func(n float64) time.Duration { return time.Duration(n / scale * float64(time.Second)) }
	name := func(number int64, start float64, length time.Duration) (segment, error) {
		return pieceAt(base, fill(t.Media, one, number, int64(start)), number, length)
	}
	begin, err := time.Parse(time.RFC3339Nano, mpd.Start)
	dynamic := mpd.Type == "dynamic"
	if dynamic && err != nil {
		return errors.New("it is dynamic and has no availabilityStartTime (§5.3.1.2)")
	}
	begin = begin.Add(iso8601(period.Start))
	if t.Timeline != nil {
		return play.fromTimeline(t, first, ticks, name, dynamic, begin, now)
	}
	if t.Duration <= 0 {
		return errors.New("its segments have neither a duration nor a timeline")
	}
	length := ticks(t.Duration)
	var count int64
	switch {
	case dynamic && iso8601(period.Duration) == 0:
		ahead, _ := strconv.ParseFloat(t.Ahead, 64)
		count = int64((now.Sub(begin) + time.Duration(ahead*float64(time.Second))) / length)
	default:
		whole := iso8601(period.Duration)
		if whole == 0 {
			whole = iso8601(mpd.Duration)
		}
		count = int64((whole + length - 1) / length)
	}
	if count < 1 {
		return errors.New("it has no segment yet")
	}
	play.at = func(number int64) (segment, bool) {
		s, err := name(number, float64(number-first)*t.Duration, length)
		return s, err == nil && number >= first && number < first+count
	}
	play.newest, err = name(first+count-1, float64(count-1)*t.Duration, length)
	if dynamic {
		// Numbers follow from the clock: whether the stream goes on shows in the segment.
		play.live = &live{first: first, last: first + count - 1, discontinuity: -1, target: length, ends: begin.Add(time.Duration(count) * length)}
	}
	return err
}

// fromTimeline finds the segments of a SegmentTimeline (§5.3.9.6).
func (play *dashPlay) fromTimeline(t *dashTemplate, first int64, ticks func(float64) time.Duration,
	name func(int64, float64, time.Duration) (segment, error), dynamic bool, begin, now time.Time,
) error {
	type run struct {
		number      int64
		start, each float64
		n           int64
	}
	var runs []run
	number, start, longest := first, 0.0, 0.0
	for i, s := range t.Timeline.S {
		if s.T != nil {
			start = *s.T
		}
		if s.D <= 0 {
			return errors.New("its timeline has a segment without a duration")
		}
		n := s.R + 1
		if s.R < 0 { // until the next one, or until now
			end := ticksOf(now.Sub(begin), ticks) + t.Offset
			if i+1 < len(t.Timeline.S) && t.Timeline.S[i+1].T != nil {
				end = *t.Timeline.S[i+1].T
			}
			n = max(0, int64((end-start)/s.D))
		}
		if n > 0 {
			runs = append(runs, run{number, start, s.D, n})
			number, start, longest = number+n, start+float64(n)*s.D, max(longest, s.D)
		}
	}
	if len(runs) == 0 {
		return errors.New("its timeline has no segment")
	}
	play.at = func(number int64) (segment, bool) {
		for _, r := range runs {
			if number >= r.number && number < r.number+r.n {
				s, err := name(number, r.start+float64(number-r.number)*r.each, ticks(r.each))
				return s, err == nil
			}
		}
		return segment{}, false
	}
	newest, ok := play.at(number - 1)
	if !ok {
		return errors.New("it names a URL that is none")
	}
	play.newest = newest
	if dynamic {
		// The start time of the newest segment orders them where numbers begin anew.
		scaled := int64(ticks(start) / time.Millisecond)
		play.live = &live{last: scaled, discontinuity: -1, target: ticks(longest), ends: begin.Add(ticks(start - t.Offset))}
		play.live.byTime()
	}
	return nil
}

// byTime makes of a time in milliseconds a count of segments, in which one step
// back is one segment.
func (l *live) byTime() {
	if step := int64(l.target / time.Millisecond); step > 0 {
		l.last /= step
	}
	l.first = l.last
}

// ticksOf is the inverse of ticks.
func ticksOf(d time.Duration, ticks func(float64) time.Duration) float64 {
	const many = 1e6
	return float64(d) / float64(ticks(many)) * many
}

func pieceAt(base *url.URL, media string, number int64, length time.Duration) (segment, error) {
	u, err := base.Parse(media)
	if err != nil || media == "" {
		return segment{}, errors.New("it names a URL that is none")
	}
	return segment{url: u, name: nameOf(u), number: number, duration: length}, nil
}

// identifier is what a template is filled with (§5.3.9.4.4).
var identifier = regexp.MustCompile(`\$(RepresentationID|Number|Bandwidth|Time)?(%0\d+d)?\$`)

func fill(template string, one dashRepresentation, number, start int64) string {
	return identifier.ReplaceAllStringFunc(template, func(found string) string {
		parts := identifier.FindStringSubmatch(found)
		format := parts[2]
		if format == "" || len(format) > 6 {
			format = "%d"
		}
		switch parts[1] {
		case "RepresentationID":
			return one.ID
		case "Number":
			return fmt.Sprintf(format, number)
		case "Time":
			return fmt.Sprintf(format, start)
		case "Bandwidth":
			return fmt.Sprintf(format, int64(one.Bandwidth))
		}
		return "$"
	})
}

// xsDuration is a duration of XML Schema without years and months, whose length
// nobody knows.
var xsDuration = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?$`)

// iso8601 reads a duration; 0 when it is none.
func iso8601(text string) time.Duration {
	parts := xsDuration.FindStringSubmatch(text)
	if parts == nil {
		return 0
	}
	var total time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if n, err := strconv.ParseFloat(parts[i+1], 64); err == nil {
			total += time.Duration(n * float64(unit))
		}
	}
	return total
}
