package demo

import (
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"
)

func testContent(t *testing.T, now time.Time) *content {
	t.Helper()
	c, err := newContent(now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSegmentsFollowOnEachOther: ISO/IEC 23009-1 §7.3.3.2 wants each media segment
// to begin where the one before it ends, also where the loop begins again and
// after a day of them.
func TestSegmentsFollowOnEachOther(t *testing.T) {
	c := testContent(t, time.Now())
	for name, l := range c.medium {
		scale := uint64(12800)
		if name == audioOnly {
			scale = 48000
		}
		if got := time.Duration(l.ticks) * time.Second / time.Duration(scale); got != segmentTime || len(l.fragments) != 6 {
			t.Errorf("%s: %d fragments of %v, want 6 of %v", name, len(l.fragments), got, segmentTime)
		}
		for _, n := range []int64{0, 1, 5, 6, 7, 45000} {
			segment := l.segment(n)
			_, size, err := box(segment)
			if err != nil {
				t.Fatal(err)
			}
			f, err := readMovieFragment(segment[:size])
			if err != nil {
				t.Fatal(err)
			}
			if got := binary.BigEndian.Uint64(segment[f.begin:]); got != uint64(n)*l.ticks {
				t.Errorf("%s: segment %d begins at %d, want %d", name, n, got, uint64(n)*l.ticks)
			}
			if got := binary.BigEndian.Uint32(segment[f.sequence:]); got != uint32(n+1) {
				t.Errorf("%s: segment %d has the sequence number %d", name, n, got)
			}
			// The samples: as many in every fragment, of one length (trun §8.8.8, tfhd §8.8.7).
			count, err := find(segment[:size], "traf", "trun")
			if err != nil {
				t.Fatal(err)
			}
			flags, err := find(segment[:size], "traf", "tfhd")
			if err != nil {
				t.Fatal(err)
			}
			length := binary.BigEndian.Uint32(segment[flags+8:]) // behind track and description
			if got := uint64(binary.BigEndian.Uint32(segment[count:])) * uint64(length); got != l.ticks {
				t.Errorf("%s: segment %d holds %d ticks, want %d", name, n, got, l.ticks)
			}
		}
	}
}

func TestReadLoopRefuses(t *testing.T) {
	c := testContent(t, time.Now())
	whole := c.medium[videoLow]
	for name, file := range map[string][]byte{
		"nothing":            {},
		"no fragment":        whole.init,
		"half a box":         whole.init[:len(whole.init)-1],
		"one fragment":       append(append([]byte{}, whole.init...), whole.segment(0)...),
		"a body of its own":  append(append(append([]byte{}, whole.segment(0)...), whole.segment(1)...), "\x00\x00\x00\x08mdat"...),
		"a box without size": append(append([]byte{}, whole.segment(0)...), 0, 0, 0, 0, 'm', 'o', 'o', 'f'),
	} {
		if _, err := readLoop(file); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestManifestsLeadToMedia follows every URI of every manifest.
func TestManifestsLeadToMedia(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := testContent(t, now)
	for _, service := range []string{"/live/", "/eu/vod/"} {
		get := func(where string) string {
			t.Helper()
			_, body := c.at(where, "alpha", now)
			if body == nil {
				t.Fatalf("nothing at %s", where)
			}
			return string(body)
		}
		playlists := uris(get(service + "main.m3u8"))
		if len(playlists) != 3 {
			t.Errorf("%smain.m3u8 names %v, want two variants and a sound track", service, playlists)
		}
		for _, playlist := range playlists {
			found := uris(get(service + playlist))
			if len(found) != segmentsKept+1 {
				t.Errorf("%s%s names %d objects, want an initialisation and %d segments", service, playlist, len(found), segmentsKept)
			}
			for _, uri := range found {
				if body := get(path.Join(service, path.Dir(playlist), uri)); !strings.Contains(body[:16], "ftyp") && !strings.Contains(body[:16], "moof") {
					t.Errorf("%s of %s%s is no media", uri, service, playlist)
				}
			}
		}
		var mpd struct {
			Type string `xml:"type,attr"`
			Sets []struct {
				Representations []struct {
					ID string `xml:"id,attr"`
				} `xml:"Representation"`
			} `xml:"Period>AdaptationSet"`
		}
		if err := xml.Unmarshal([]byte(get(service+"main.mpd")), &mpd); err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{"/live/": "dynamic", "/eu/vod/": "static"}[service]; mpd.Type != want || len(mpd.Sets) != 2 {
			t.Errorf("%smain.mpd is %+v, want a %s one with picture and sound", service, mpd, want)
		}
		for _, set := range mpd.Sets {
			for _, r := range set.Representations {
				get(service + r.ID + "/init.mp4")
				get(service + r.ID + "/segment-0.m4s")
			}
		}
	}
}

// uris are what a playlist names: lines that are no tags, and URI attributes.
func uris(playlist string) []string {
	var list []string
	for line := range strings.Lines(playlist) {
		line = strings.TrimSuffix(line, "\n")
		if _, rest, found := strings.Cut(line, `URI="`); found {
			line, _, _ = strings.Cut(rest, `"`)
		} else if line == "" || line[0] == '#' {
			continue
		}
		list = append(list, line)
	}
	return list
}

// TestLiveMovesOn: a segment appears when it is whole, and the window follows.
func TestLiveMovesOn(t *testing.T) {
	begin := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := testContent(t, begin)
	_, newest := c.window(true, begin)
	next := fmt.Sprintf("/live/high/segment-%d.m4s", newest+1)
	if _, body := c.at(next, "alpha", begin); body != nil {
		t.Errorf("%s is there before it has been broadcast", next)
	}
	if _, body := c.at(next, "alpha", begin.Add(segmentTime)); body == nil {
		t.Errorf("%s is not there when it has been broadcast", next)
	}
	// RFC 8216 §6.2.2: a server removes media segments in the order in which they
	// appear, and counts them in EXT-X-MEDIA-SEQUENCE.
	_, later := c.at("/live/low/media.m3u8", "alpha", begin.Add(100*segmentTime))
	first, last := c.window(true, begin.Add(100*segmentTime))
	if want := fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d\n", first); !strings.Contains(string(later), want) || last-first != segmentsKept-1 {
		t.Errorf("100 segments later the playlist has no %q, and the window is %d to %d", want, first, last)
	}
}
