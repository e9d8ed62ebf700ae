package probes

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
)

// stream is a live channel as a packager would write it, told how far it has come.
type stream struct {
	mu       sync.Mutex
	first, n int64 // the oldest segment, and how many are listed
	target   time.Duration
	edge     time.Time // wall time of the newest segment's end; zero = not told
	extra    string    // tags in front of the newest segment
	tail     string    // tags behind it
	bytes    func(name string) []byte
	chunks   time.Duration // pause between the quarters of a segment
	header   http.Header
	asked    []string

	begun   time.Time // since when it comes forth with time; zero = it stands as it was set
	stands  bool      // it no longer does
	late    time.Duration
	missing bool // there are playlists and no segments
	rewinds bool // each look at it finds it further back
}

// runs has the stream come forth by a segment in every target duration from now on.
func (s *stream) runs(now time.Time) { s.begun, s.edge = now, now }

// flow brings the stream to where it is by now.
func (s *stream) flow(now time.Time) {
	if s.rewinds {
		s.first -= 5
	}
	if s.begun.IsZero() || s.stands || s.target == 0 {
		return
	}
	for step := s.target; now.Sub(s.begun) >= step; s.begun = s.begun.Add(step) {
		s.first++
	}
	s.edge = s.begun.Add(-s.late)
}

func (s *stream) set(change func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func newStream() *stream {
	return &stream{first: 100, n: 6, target: 2 * time.Second, bytes: func(name string) []byte { return bytes.Repeat([]byte(name), 2000) }}
}

func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.flow(time.Now())
	s.asked = append(s.asked, r.URL.RequestURI()+" "+r.Header.Get("Range"))
	var body []byte
	pause := s.chunks
	switch name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]; name {
	case "main.m3u8":
		body, pause = []byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS=\"avc1,mp4a\"\nlow/media.m3u8\n"+
			"#EXT-X-STREAM-INF:BANDWIDTH=80000\nlower/media.m3u8\n#EXT-X-STREAM-INF:AUDIO=\"a\",BANDWIDTH=8000000\nhigh/media.m3u8\n"), 0
	case "media.m3u8":
		body, pause = []byte(s.playlist()), 0
	case "live.mpd":
		body, pause = []byte(s.mpd()), 0
	default:
		body = s.bytes(name)
		if s.missing {
			s.mu.Unlock()
			http.NotFound(w, r)
			return
		}
	}
	s.mu.Unlock()
	for key, values := range s.header {
		w.Header()[key] = values
	}
	if pause == 0 {
		w.Write(body)
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	for range 4 {
		w.Write(body[:len(body)/4])
		w.(http.Flusher).Flush()
		time.Sleep(pause)
	}
}

func (s *stream) playlist() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%d\n", int(s.target.Seconds()), s.first)
	for i := s.first; i < s.first+s.n; i++ {
		if i == s.first && !s.edge.IsZero() {
			fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", s.edge.Add(-time.Duration(s.n)*s.target).UTC().Format(time.RFC3339Nano))
		}
		if i == s.first+s.n-1 {
			b.WriteString(s.extra)
		}
		fmt.Fprintf(&b, "#EXTINF:%.3f,\nseg%d.ts\n", s.target.Seconds(), i)
	}
	return b.String() + s.tail
}

func (s *stream) mpd() string {
	begin := s.edge.Add(-time.Duration(s.first+s.n) * s.target)
	return fmt.Sprintf(`<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" availabilityStartTime="%s" minimumUpdatePeriod="PT2S">
 <Period id="1" start="PT0S">
  <AdaptationSet contentType="audio"><SegmentTemplate media="a$Number$.m4s" duration="2"/><Representation id="a" bandwidth="64000"/></AdaptationSet>
  <AdaptationSet mimeType="video/mp4">
   <SegmentTemplate timescale="1000" media="$RepresentationID$/seg$Time$.m4s" initialization="init.mp4">
    <SegmentTimeline><S t="%d" d="%d" r="%d"/></SegmentTimeline>
   </SegmentTemplate>
   <Representation id="v1" bandwidth="800000"/><Representation id="v2" bandwidth="8000000"/>
  </AdaptationSet>
 </Period>
</MPD>`, begin.UTC().Format(time.RFC3339Nano), s.first*s.target.Milliseconds(), s.target.Milliseconds(), s.n-1)
}

// playing makes an assignment for a stream.
func playing(t *testing.T, s http.Handler, kind steering.ProbeType, path string, change func(*Target, *steering.Probe)) *assignment {
	t.Helper()
	server := handle(t, listen(t, "127.0.0.1:0"), s.ServeHTTP)
	return at(server, kind, func(target *Target, p *steering.Probe) {
		target.Path = path
		p.Media = steering.MediaRules{Variant: steering.FirstVariant, MinRate: 1}
		p.Every = time.Second
		if change != nil {
			change(target, p)
		}
	})
}

// A live stream in good health: what is fetched, and what is told of it.
func TestMediaPlays(t *testing.T) {
	tests := []struct {
		name    string
		kind    steering.ProbeType
		path    string
		variant steering.Variant
		asked   []string
		bitrate float64
	}{
		{"multivariant", steering.ProbeHLS, "/x/main.m3u8", steering.FirstVariant, []string{"/x/main.m3u8 ", "/x/low/media.m3u8 ", "/x/low/seg105.ts "}, 800_000},
		{"lowest", steering.ProbeHLS, "/x/main.m3u8", steering.LowestVariant, []string{"/x/main.m3u8 ", "/x/lower/media.m3u8 ", "/x/lower/seg105.ts "}, 80_000},
		{"highest", steering.ProbeHLS, "/x/main.m3u8", steering.HighestVariant, []string{"/x/main.m3u8 ", "/x/high/media.m3u8 ", "/x/high/seg105.ts "}, 8_000_000},
		{"media playlist alone", steering.ProbeHLS, "/x/media.m3u8", steering.FirstVariant, []string{"/x/media.m3u8 ", "/x/seg105.ts "}, 0},
		{"MPD", steering.ProbeDASH, "/x/live.mpd", steering.FirstVariant, []string{"/x/live.mpd ", "/x/v1/seg210000.m4s "}, 800_000},
		{"MPD, highest", steering.ProbeDASH, "/x/live.mpd", steering.HighestVariant, []string{"/x/live.mpd ", "/x/v2/seg210000.m4s "}, 8_000_000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStream()
			s.edge = time.Now().Add(-3 * time.Second)
			s.header = http.Header{"X-Cache": {"Miss from cdn"}}
			m := measureOne(t, playing(t, s, test.kind, test.path, func(_ *Target, p *steering.Probe) { p.Media.Variant = test.variant; p.Media.MinRate = 0 }))
			if !m.OK() || m.Detail != "" || m.Seen.Bitrate != test.bitrate || m.Seen.Cache != steering.CacheMiss {
				t.Errorf("measured %s %q, saw %+v", m.Outcome, m.Detail, m.Seen)
			}
			if m.Bytes == 0 || m.Phases.Connect <= 0 || m.Phases.TTFB <= 0 || m.Phases.Transfer <= 0 {
				t.Errorf("%d bytes, phases %+v", m.Bytes, m.Phases)
			}
			if m.Seen.EdgeAge < 3*time.Second || m.Seen.EdgeAge > time.Minute {
				t.Errorf("live edge is %v old, want 3 s and the time that the test takes", m.Seen.EdgeAge)
			}
			if got := fmt.Sprint(s.asked); got != fmt.Sprint(test.asked) {
				t.Errorf("asked for %s, want %s", got, test.asked)
			}
		})
	}
}

// Live streams that are broken: what the second probe says.
func TestMediaBroken(t *testing.T) {
	long := func(s *stream) { s.bytes = func(string) []byte { return make([]byte, 40_000) } }
	tests := []struct {
		name    string
		probe   func(*steering.Probe)
		between func(*stream)
		outcome steering.Outcome
		detail  string
	}{
		{"goes on", nil, func(s *stream) { s.first += 2 }, steering.OutcomeOK, ""},
		{"stands for a moment", nil, func(*stream) {}, steering.OutcomeOK, ""},
		{"stuck", func(p *steering.Probe) { p.Media.StuckAfter = time.Nanosecond }, func(*stream) {}, steering.OutcomeStale, "stuck: no new segment after 105 for"},
		{"a step back: another cache", nil, func(s *stream) { s.first-- }, steering.OutcomeOK, ""},
		{"goes back", nil, func(s *stream) { s.first -= 5 }, steering.OutcomeStale, "went back: segment 105 was the newest, now it is 100"},
		{"skips", nil, func(s *stream) { s.first += 50 }, steering.OutcomeMedia, "a gap: segments 106 to 149 were never listed"},
		{"lags", func(p *steering.Probe) { p.Media.EdgeAge = 20 * time.Second }, func(s *stream) { s.first++; s.edge = time.Now().Add(-90 * time.Second) },
			steering.OutcomeStale, "old, want 20s at most"},
		{"newest is a gap", nil, func(s *stream) { s.first++; s.extra += "#EXT-X-GAP\n" }, steering.OutcomeMedia, "the newest segment is missing (EXT-X-GAP)"},
		{"discontinuity sequence goes back", nil, func(s *stream) { s.first++; s.extra = "#EXT-X-DISCONTINUITY-SEQUENCE:1\n" },
			steering.OutcomeStale, "the discontinuity sequence went back from 3 to 1"},
		{"slow", func(p *steering.Probe) { p.Media.MinRate = 1e6 }, func(s *stream) { s.first++; long(s) }, steering.OutcomeSlow, "segment seg106.ts: "},
		{"no playlist", nil, func(s *stream) { s.target = 0; s.n = 0 }, steering.OutcomeMedia, "has no EXT-X-TARGETDURATION"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStream()
			s.extra = "#EXT-X-DISCONTINUITY-SEQUENCE:3\n"
			a := playing(t, s, steering.ProbeHLS, "/media.m3u8", func(_ *Target, p *steering.Probe) {
				p.Media.MinRate = 0
				if test.probe != nil {
					test.probe(p)
				}
			})
			if a.probe.Media.MinRate == 0 && test.name != "lags" {
				if m := measureOne(t, a); !m.OK() {
					t.Fatalf("at first %s %q", m.Outcome, m.Detail)
				}
			}
			s.set(test.between)
			m := measureOne(t, a)
			if m.Outcome != test.outcome || !strings.Contains(m.Detail, test.detail) {
				t.Errorf("measured %s %q, want %s %q", m.Outcome, m.Detail, test.outcome, test.detail)
			}
		})
	}
}

// A segment that does not come within the timeout because it trickles is slow, and
// the rate is told; one that never begins has timed out.
func TestMediaTrickles(t *testing.T) {
	s := newStream()
	s.chunks = 10 * time.Second
	a := playing(t, s, steering.ProbeHLS, "/main.m3u8", func(_ *Target, p *steering.Probe) { p.Timeout = time.Second })
	if m := measureOne(t, a); m.Outcome != steering.OutcomeSlow || !strings.Contains(m.Detail, "it needs 800 kbit/s") || m.Bytes == 0 {
		t.Errorf("measured %s %q, %d bytes", m.Outcome, m.Detail, m.Bytes)
	}
}

// Of a low-latency stream the newest part is played, by its byte range (RFC 8216bis
// §4.4.4.9), and counts as progress.
func TestMediaParts(t *testing.T) {
	s := newStream()
	s.edge = time.Now()
	s.tail = "#EXT-X-PART:DURATION=0.5,URI=\"part106.m4s\",BYTERANGE=\"400@0\"\n#EXT-X-PART:DURATION=0.5,URI=\"part106.m4s\",BYTERANGE=\"300\"\n"
	a := playing(t, s, steering.ProbeHLS, "/media.m3u8", func(_ *Target, p *steering.Probe) { p.Media.MinRate, p.Media.StuckAfter = 0, time.Nanosecond })
	if m := measureOne(t, a); !m.OK() {
		t.Fatalf("measured %s %q", m.Outcome, m.Detail)
	}
	if got := s.asked[len(s.asked)-1]; got != "/part106.m4s bytes=400-699" {
		t.Errorf("asked for %q", got)
	}
	s.set(func(s *stream) { s.tail += "#EXT-X-PART:DURATION=0.5,URI=\"part106b.m4s\"\n" })
	if m := measureOne(t, a); !m.OK() {
		t.Errorf("one part further: %s %q", m.Outcome, m.Detail)
	}
	if m := measureOne(t, a); m.Outcome != steering.OutcomeStale {
		t.Errorf("no part further: %s %q", m.Outcome, m.Detail)
	}
}

// A stuck or rewound MPD is told as a stuck or rewound playlist is.
func TestDASHBroken(t *testing.T) {
	s := newStream()
	s.edge = time.Now()
	a := playing(t, s, steering.ProbeDASH, "/live.mpd", func(_ *Target, p *steering.Probe) { p.Media.MinRate, p.Media.StuckAfter = 0, time.Nanosecond })
	step := func(change func(*stream), outcome steering.Outcome, detail string) {
		t.Helper()
		s.set(change)
		if m := measureOne(t, a); m.Outcome != outcome || !strings.Contains(m.Detail, detail) {
			t.Errorf("measured %s %q, want %s %q", m.Outcome, m.Detail, outcome, detail)
		}
	}
	step(func(*stream) {}, steering.OutcomeOK, "")
	step(func(s *stream) { s.first++ }, steering.OutcomeOK, "")
	step(func(*stream) {}, steering.OutcomeStale, "stuck")
	step(func(s *stream) { s.first -= 9 }, steering.OutcomeStale, "went back")
}

// Numbers that follow from the clock: the newest segment is the one that has just
// ended (ISO/IEC 23009-1 §5.3.9.5.3).
func TestDASHNumbers(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)
	const mpd = `<MPD type="dynamic" availabilityStartTime="2026-01-01T00:00:00Z"><BaseURL>v/</BaseURL><Period start="PT10S"><AdaptationSet contentType="video">
<SegmentTemplate timescale="90000" duration="540000" startNumber="7" media="$RepresentationID$-$Number%05d$-$Bandwidth$-$$.m4s"/>
<Representation id="r" bandwidth="5000"/></AdaptationSet></Period></MPD>`
	play, err := readMPD([]byte(mpd), mustURL(t, "https://a.example/x/live.mpd"), steering.FirstVariant, now)
	if err != nil {
		t.Fatal(err)
	}
	// 50 s of 6 s segments: eight are whole, the newest is number 14.
	if got := play.newest.url.String(); got != "https://a.example/x/v/r-00014-5000-$.m4s" || play.live.ends != now.Add(-2*time.Second) {
		t.Errorf("newest %s, ends %v", got, play.live.ends)
	}
	for _, broken := range []string{"", "<html/>", "<MPD/>", "<MPD><Period/></MPD>", strings.Replace(mpd, "540000", "0", 1), strings.Replace(mpd, "availabilityStartTime", "x", 1)} {
		if _, err := readMPD([]byte(broken), mustURL(t, "https://a.example/"), steering.FirstVariant, now); err == nil {
			t.Errorf("no complaint about %q", broken)
		}
	}
}

// Whatever comes as a playlist or MPD, reading it ends, and what is to be fetched
// has a URL.
func FuzzMedia(f *testing.F) {
	s := newStream()
	s.edge = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.tail = "#EXT-X-PART:DURATION=0.5,URI=\"p\",BYTERANGE=\"4@0\"\n"
	f.Add([]byte(s.playlist()))
	f.Add([]byte(s.mpd()))
	f.Add([]byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		base := mustURL(t, "https://a.example/x/main")
		multivariant(text)
		if l, err := readMedia(text); err == nil {
			l.state()
			if newest, err := l.newest(base); err == nil && newest.url == nil {
				t.Error("a segment without a URL")
			}
		}
		if play, err := readMPD(text, base, steering.FirstVariant, s.edge); err == nil && play.newest.url == nil {
			t.Error("a segment without a URL")
		}
	})
}

// Wrong bytes on one of several addresses, or at one of three CDNs, are named where
// they are; where two CDNs differ nobody can say who is right.
func TestParity(t *testing.T) {
	other := func(string) []byte { return []byte("defaced") }
	type cdn struct {
		subject string
		wrong   []bool // by address
	}
	tests := []struct {
		name string
		cdns []cdn
		want map[string]steering.Outcome // "subject address" → what is not ok
		note bool
	}{
		{"alike", []cdn{{"a", []bool{false, false}}, {"b", []bool{false}}, {"c", []bool{false}}}, nil, false},
		{"one of eight addresses", []cdn{{"a", []bool{false, false, false, true, false, false, false, false}}},
			map[string]steering.Outcome{"a 127.0.0.14": steering.OutcomeParity}, false},
		{"one of three CDNs, with the most addresses", []cdn{{"a", []bool{true, true, true, true}}, {"b", []bool{false}}, {"c", []bool{false}}},
			map[string]steering.Outcome{
				"a 127.0.0.11": steering.OutcomeParity, "a 127.0.0.12": steering.OutcomeParity,
				"a 127.0.0.13": steering.OutcomeParity, "a 127.0.0.14": steering.OutcomeParity,
			}, false},
		{"two CDNs", []cdn{{"a", []bool{true}}, {"b", []bool{false}}}, nil, true},
	}
	for _, test := range tests {
		for _, kind := range []steering.ProbeType{steering.ProbeHLS, steering.ProbeDASH, steering.ProbeHTTP} {
			t.Run(test.name+", "+string(kind), func(t *testing.T) {
				p := testProber()
				var loops []*assignment
				for _, c := range test.cdns {
					hosts := []string{}
					for i := range c.wrong {
						hosts = append(hosts, fmt.Sprintf("127.0.0.%d", 11+i))
					}
					listeners := listenAll(t, hosts...)
					var server netip.AddrPort
					var addresses []netip.Addr
					for i, l := range listeners {
						s := newStream()
						s.edge = time.Now()
						if c.wrong[i] {
							s.bytes = other
						}
						server = handle(t, l, s.ServeHTTP)
						addresses = append(addresses, server.Addr())
					}
					loops = append(loops, at(server, kind, func(target *Target, probe *steering.Probe) {
						target.Subject, target.Host, target.Addresses = steering.EndpointSubject(c.subject), "cdn.example", addresses
						target.Group, probe.Parity = "service live", true
						target.Path = map[steering.ProbeType]string{steering.ProbeHLS: "/media.m3u8", steering.ProbeDASH: "/live.mpd", steering.ProbeHTTP: "/seg1.ts"}[kind]
					}))
				}
				got := make(map[string]steering.Outcome)
				noted := false
				for range 2 { // at first nobody knows what the others have
					clear(got)
					noted = false
					for _, a := range loops {
						for _, m := range p.probe(t.Context(), a) {
							if !m.OK() {
								got[strings.TrimPrefix(string(m.Subject), "endpoint ")+" "+m.Address.String()] = m.Outcome
							}
							noted = noted || m.OK() && strings.Contains(m.Detail, "differs between CDNs")
						}
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(test.want) || noted != test.note {
					t.Errorf("found %v, noted %t; want %v, %t", got, noted, test.want, test.note)
				}
			})
		}
	}
}
