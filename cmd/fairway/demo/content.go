package demo

import (
	"embed"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// The programme: media/make makes it.
//
//go:embed media/*.mp4
var mediaFiles embed.FS

// content is what the emulated servers have, below /live/ and /vod/, and with or
// without a pool's name before these:
//
//	main.m3u8, main.mpd                      the manifests, with relative URIs
//	{high,low,audio}/media.m3u8              media playlists
//	{high,low,audio}/init.mp4, segment-N.m4s
//	anything else, and /probe                objectSize bytes that name the server
//
// A short loop is sent again and again, each time with the number and time of
// where it stands, so that live goes on for ever.
type content struct {
	began  time.Time // of the live programme: its segment 0 begins
	medium map[string]*loop
}

// The programme's shape, as media/make makes it.
const (
	segmentTime   = 1920 * time.Millisecond
	segmentsKept  = 120 // of live, behind the newest; and all of vod
	videoHigh     = "high"
	videoLow      = "low"
	audioOnly     = "audio"
	liveDelay     = 15 * time.Second // how far behind live DASH players play
	refreshPeriod = 30 * time.Second // how often they fetch the MPD again
)

// objectSize is that of every object that is no media: large enough that 60 kbit/s
// takes half a second for it, small enough that it then still arrives within a
// probe's second.
const objectSize = 4 << 10

// newContent reads the media. Live has begun long enough ago that its window is
// full.
func newContent(now time.Time) (*content, error) {
	c := &content{began: now.Add(-segmentsKept * segmentTime).Truncate(time.Second), medium: map[string]*loop{}}
	for _, name := range []string{videoHigh, videoLow, audioOnly} {
		file, err := mediaFiles.ReadFile("media/" + name + ".mp4")
		if err == nil {
			c.medium[name], err = readLoop(file)
		}
		if err != nil {
			return nil, fmt.Errorf("media %s: %w", name, err)
		}
	}
	return c, nil
}

// at returns the type and bytes of what lies at a path, nil for nothing.
func (c *content) at(where, server string, now time.Time) (kind string, body []byte) {
	for _, pool := range regionNames {
		if rest, found := strings.CutPrefix(where, "/"+pool+"/"); found {
			where = "/" + rest
			break
		}
	}
	live := strings.HasPrefix(where, "/live/")
	if !live && !strings.HasPrefix(where, "/vod/") && where != "/probe" {
		return "", nil
	}
	folder, file := path.Split(where)
	medium, isMedium := c.medium[path.Base(folder)]
	first, last := c.window(live, now)
	switch {
	case file == "main.mpd":
		return "application/dash+xml", c.description(server, live, now)
	case isMedium && path.Ext(file) == ".m3u8":
		return "application/vnd.apple.mpegurl", mediaPlaylist(server, live, first, last)
	case path.Ext(file) == ".m3u8":
		return "application/vnd.apple.mpegurl", multivariantPlaylist(server)
	case isMedium && file == "init.mp4":
		return "video/mp4", medium.init
	case isMedium && path.Ext(file) == ".m4s":
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(file, "segment-"), ".m4s"), 10, 64)
		if err != nil || n < 0 || n > last {
			return "", nil
		}
		return "video/iso.segment", medium.segment(n)
	}
	return "application/octet-stream", filler(server, where)
}

// window is the first and the last segment that there is: of live what has been
// broadcast whole and is kept, of vod everything.
func (c *content) window(live bool, now time.Time) (first, last int64) {
	if !live {
		return 0, segmentsKept - 1
	}
	last = int64(now.Sub(c.began)/segmentTime) - 1
	return max(0, last-segmentsKept+1), last
}

// filler is an object that says where it is from.
func filler(server, where string) []byte {
	line := []byte(server + " " + where + "\n")
	body := make([]byte, 0, objectSize+len(line))
	for len(body) < objectSize {
		body = append(body, line...)
	}
	return body[:objectSize]
}

// multivariantPlaylist is a playlist of playlists (RFC 8216 §4.3.4).
func multivariantPlaylist(server string) []byte {
	return fmt.Appendf(nil, `#EXTM3U
#EXT-X-VERSION:7
# from %s
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="tone",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="1",URI="audio/media.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=460000,AVERAGE-BANDWIDTH=375000,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO="sound"
high/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=220000,AVERAGE-BANDWIDTH=195000,CODECS="avc1.4d4015,mp4a.40.2",RESOLUTION=320x180,FRAME-RATE=25.000,AUDIO="sound"
low/media.m3u8
`, server)
}

// mediaPlaylist lists segments (RFC 8216 §4.3.3).
func mediaPlaylist(server string, live bool, first, last int64) []byte {
	b := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:7\n# from %s\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-MAP:URI=\"init.mp4\"\n", server, first)
	if !live {
		b = append(b, "#EXT-X-PLAYLIST-TYPE:VOD\n"...)
	}
	for n := first; n <= last; n++ {
		b = fmt.Appendf(b, "#EXTINF:%.3f,\nsegment-%d.m4s\n", segmentTime.Seconds(), n)
	}
	if !live {
		b = append(b, "#EXT-X-ENDLIST\n"...)
	}
	return b
}

// description is an MPD (ISO/IEC 23009-1 §5.3) that names segments by number.
func (c *content) description(server string, live bool, now time.Time) []byte {
	presentation := fmt.Sprintf(`type="static" mediaPresentationDuration="PT%.2fS"`, (segmentsKept * segmentTime).Seconds())
	clock := ""
	if live {
		// Without it dash.js asks a server on the Internet for the time.
		clock = fmt.Sprintf("  <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"%s\"/>\n", now.UTC().Format(time.RFC3339Nano))
		presentation = fmt.Sprintf(`type="dynamic" availabilityStartTime="%s" publishTime="%s" timeShiftBufferDepth="PT%.0fS" minimumUpdatePeriod="PT%.0fS" suggestedPresentationDelay="PT%.0fS"`,
			c.began.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), (segmentsKept * segmentTime).Seconds(), refreshPeriod.Seconds(), liveDelay.Seconds())
	}
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<!-- from %s -->
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" %s minBufferTime="PT4S">
  <Period id="1" start="PT0S">
    <AdaptationSet contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1" frameRate="25">
      <SegmentTemplate timescale="1000" duration="%[3]d" startNumber="0" initialization="$RepresentationID$/init.mp4" media="$RepresentationID$/segment-$Number$.m4s"/>
      <Representation id="high" codecs="avc1.4d401f" bandwidth="400000" width="640" height="360"/>
      <Representation id="low" codecs="avc1.4d4015" bandwidth="160000" width="320" height="180"/>
    </AdaptationSet>
    <AdaptationSet contentType="audio" mimeType="audio/mp4" segmentAlignment="true" startWithSAP="1" lang="und">
      <SegmentTemplate timescale="1000" duration="%[3]d" startNumber="0" initialization="$RepresentationID$/init.mp4" media="$RepresentationID$/segment-$Number$.m4s"/>
      <Representation id="audio" codecs="mp4a.40.2" bandwidth="52000" audioSamplingRate="48000"/>
    </AdaptationSet>
  </Period>
%[4]s</MPD>
`, server, presentation, segmentTime.Milliseconds(), clock)
}
