package manifest

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var both = Options{
	Path: "vod/a/main.m3u8", Origins: []string{"https://origin.example"},
	Pathways: []Pathway{{ID: "bravo", URL: "https://b.example/x"}, {ID: "alpha", URL: "https://a.example"}},
	Steering: "https://go.example/steer/v1/vod/hls?s=1",
}

const playlist = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
## made by a packager
#EXT-X-CONTENT-STEERING:SERVER-URI="https://old.example"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English, main",URI="audio/en.m3u8",X-NEW="1"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="Deutsch",URI="subs/de.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",INSTREAM-ID="CC1"
#EXT-X-NEW-TAG:ANYTHING=1
#EXT-X-STREAM-INF:BANDWIDTH=5000000,CODECS="avc1.64,mp4a",AUDIO="aac",SUBTITLES="subs",CLOSED-CAPTIONS="cc"
# a comment between
v5.m3u8?q=1
#EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO="aac",STABLE-VARIANT-ID="low"
https://origin.example/vod/a/v1.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90000,URI="/vod/a/i.m3u8"
#EXT-X-SESSION-DATA:DATA-ID="x",VALUE="y"
`

const steeredPlaylist = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-CONTENT-STEERING:SERVER-URI="https://go.example/steer/v1/vod/hls?s=1",PATHWAY-ID="bravo"
#EXT-X-INDEPENDENT-SEGMENTS
## made by a packager
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English, main",URI="https://b.example/x/vod/a/audio/en.m3u8",X-NEW="1",STABLE-RENDITION-ID="ID1"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="Deutsch",URI="https://b.example/x/vod/a/subs/de.m3u8",STABLE-RENDITION-ID="ID2"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac@alpha",NAME="English, main",URI="https://a.example/vod/a/audio/en.m3u8",X-NEW="1",STABLE-RENDITION-ID="ID1"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs@alpha",NAME="Deutsch",URI="https://a.example/vod/a/subs/de.m3u8",STABLE-RENDITION-ID="ID2"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",INSTREAM-ID="CC1"
#EXT-X-NEW-TAG:ANYTHING=1
#EXT-X-STREAM-INF:BANDWIDTH=5000000,CODECS="avc1.64,mp4a",AUDIO="aac",SUBTITLES="subs",CLOSED-CAPTIONS="cc",PATHWAY-ID="bravo",STABLE-VARIANT-ID="ID3"
# a comment between
https://b.example/x/vod/a/v5.m3u8?q=1
#EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO="aac",STABLE-VARIANT-ID="low",PATHWAY-ID="bravo"
https://b.example/x/vod/a/v1.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=5000000,CODECS="avc1.64,mp4a",AUDIO="aac@alpha",SUBTITLES="subs@alpha",CLOSED-CAPTIONS="cc",PATHWAY-ID="alpha",STABLE-VARIANT-ID="ID3"
# a comment between
https://a.example/vod/a/v5.m3u8?q=1
#EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO="aac@alpha",STABLE-VARIANT-ID="low",PATHWAY-ID="alpha"
https://a.example/vod/a/v1.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90000,URI="https://b.example/x/vod/a/i.m3u8",PATHWAY-ID="bravo",STABLE-VARIANT-ID="ID4"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90000,URI="https://a.example/vod/a/i.m3u8",PATHWAY-ID="alpha",STABLE-VARIANT-ID="ID4"
#EXT-X-SESSION-DATA:DATA-ID="x",VALUE="y"
`

// withoutIDs replaces the ids that are made by what the wanted text has.
func withoutIDs(t *testing.T, text string) string {
	entries, err := readEntries(strings.SplitAfter(playlist, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, e := range entries {
		if e.kind == media || e.kind == variant && e.attrs.get("STABLE-VARIANT-ID") == "" || e.kind == iFrames {
			made++
			text = strings.ReplaceAll(text, `"`+e.id+`"`, `"ID`+string(rune('0'+made))+`"`)
		}
	}
	return text
}

func TestHLS(t *testing.T) {
	got, err := HLS(playlist, both)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(steeredPlaylist, withoutIDs(t, got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	crlf, err := HLS(strings.ReplaceAll(playlist, "\n", "\r\n"), both)
	if err != nil || withoutIDs(t, crlf) != strings.ReplaceAll(steeredPlaylist, "\n", "\r\n") {
		t.Errorf("with CRLF: %v\n%q", err, crlf)
	}
}

// What is the same on all pathways and lies beside the playlist is found where the
// first one has it: this playlist is handed out elsewhere. RFC 8216bis §4.4.6.4, §4.4.6.5
// (EXT-X-SESSION-DATA, EXT-X-SESSION-KEY: URI).
func TestHLSFilesBeside(t *testing.T) {
	const variant = "#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n"
	for have, want := range map[string]string{
		`#EXT-X-SESSION-DATA:DATA-ID="x", URI="data.json",X=1`:      `#EXT-X-SESSION-DATA:DATA-ID="x", URI="https://b.example/x/vod/a/data.json",X=1`,
		`#EXT-X-SESSION-KEY:METHOD=AES-128,URI="/k?a=1"`:            `#EXT-X-SESSION-KEY:METHOD=AES-128,URI="https://b.example/x/k?a=1"`,
		`#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://a"`:        `#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://a"`,
		`#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,URI="i/p.m3u8"`:        `#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=1,URI="https://b.example/x/vod/a/i/p.m3u8"`,
		`#EXT-X-SESSION-DATA:DATA-ID="x",VALUE="URI=\'data.json\'"`: `#EXT-X-SESSION-DATA:DATA-ID="x",VALUE="URI=\'data.json\'"`,
	} {
		got, err := HLS("#EXTM3U\n"+variant+have+"\n", both)
		if err != nil || !strings.HasSuffix(got, "\n"+want+"\n") {
			t.Errorf("%s: %v\n%s", have, err, got)
		}
	}
}

// RFC 8216bis §4.3: "{$" NAME "}" stands for a value, in URI lines and in quoted
// attributes.
func TestHLSVariables(t *testing.T) {
	const defined = `#EXTM3U
#EXT-X-DEFINE:NAME="at",VALUE="https://origin.example/q"
#EXT-X-DEFINE:NAME="quality",VALUE="hi"
#EXT-X-DEFINE:QUERYPARAM="who"
`
	for uri, want := range map[string]string{
		"{$at}/{$quality}.m3u8":   "\nhttps://b.example/x/q/hi.m3u8\n",
		"a-{$quality}.m3u8":       "\nhttps://b.example/x/vod/a/a-hi.m3u8\n",
		"a.m3u8?who={$who}":       "\nhttps://b.example/x/vod/a/a.m3u8?who={$who}\n",
		"https://cdn.test/{$who}": "\nhttps://cdn.test/{$who}\n",
	} {
		got, err := HLS(defined+"#EXT-X-STREAM-INF:BANDWIDTH=1\n"+uri+"\n", both)
		if err != nil || !strings.Contains(got, want) || !strings.HasPrefix(got, "#EXTM3U\n") || !strings.Contains(got, defined[len("#EXTM3U\n"):]) {
			t.Errorf("%s: %v, want %s in\n%s", uri, err, want, got)
		}
	}
	signing := both
	signing.Pathways = []Pathway{{ID: "A", URL: "https://a.example", Sign: func(url string) (string, error) { return url + "&t=1", nil }}}
	for uri, o := range map[string]Options{"{$who}/a.m3u8": both, "a.m3u8?who={$who}": signing} {
		if got, err := HLS(defined+"#EXT-X-STREAM-INF:BANDWIDTH=1\n"+uri+"\n", o); err == nil || !strings.Contains(err.Error(), "has no VALUE here") {
			t.Errorf("%s: %v\n%s", uri, err, got)
		}
	}
}

// What is steered already can be steered again, to the same.
func TestHLSKeepsStableIDs(t *testing.T) {
	one := both
	one.Pathways = one.Pathways[1:]
	first, err := HLS(playlist, one)
	if err != nil {
		t.Fatal(err)
	}
	again, err := HLS(first, one)
	if err != nil || again != first {
		t.Errorf("%v (-first +again):\n%s", err, cmp.Diff(first, again))
	}
}

func TestHLSRefusals(t *testing.T) {
	for want, text := range map[string]string{
		"does not begin with":    "<html>",
		"line 2: a media playli": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n",
		"without variants":       "#EXTM3U\n#EXT-X-VERSION:6\n",
		"a variant without a UR": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n",
		"malformed attribute":    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH\nv.m3u8\n",
		"its other half":         "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\n",
		"closing quotation mark": "#EXTM3U\n#EXT-X-MEDIA:GROUP-ID=\"a\"b,TYPE=AUDIO\n",
	} {
		_, err := HLS(text, both)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

const mpd = `<?xml version="1.0" encoding="UTF-8"?>
<!-- by a packager -->
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:x="urn:x" type="dynamic" x:new='1'>
  <ProgramInformation><Title>T &amp; U</Title></ProgramInformation>
  <BaseURL>./</BaseURL>
  <Location>https://origin.example/vod/a/main.mpd</Location>
  <PatchLocation ttl="60">main.mpp</PatchLocation>
  <ContentSteering>https://old.example</ContentSteering>
  <x:Unknown a = "b"/>
  <Period id="1">
    <BaseURL>period1/</BaseURL>
    <AdaptationSet><SegmentTemplate media="$Number$.m4s"/></AdaptationSet>
  </Period>
</MPD>
`

func TestDASH(t *testing.T) {
	o := both
	o.Path, o.Steering = "vod/a/main.mpd", "https://go.example/steer/v1/vod/dash?s=1&a=2"
	got, err := DASH(mpd, o)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(mpd, "</ProgramInformation>", `</ProgramInformation><BaseURL serviceLocation="bravo">https://b.example/x/vod/a/</BaseURL>
  <BaseURL serviceLocation="alpha">https://a.example/vod/a/</BaseURL>
  <ContentSteering defaultServiceLocation="bravo" queryBeforeStart="true">https://go.example/steer/v1/vod/dash?s=1&amp;a=2</ContentSteering>
  `, 1)
	for _, gone := range []string{"<BaseURL>./</BaseURL>", "<Location>https://origin.example/vod/a/main.mpd</Location>", `<PatchLocation ttl="60">main.mpp</PatchLocation>`, "<ContentSteering>https://old.example</ContentSteering>"} {
		want = strings.Replace(want, gone, "", 1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for base, want := range map[string]string{
		"":                           "https://b.example/x/vod/a/<",
		"<BaseURL>media/</BaseURL>":  "https://b.example/x/vod/a/media/<",
		"<BaseURL>/other/</BaseURL>": "https://b.example/x/other/<",
		"<BaseURL>https://origin.example/o/</BaseURL><BaseURL>https://origin.example/p/</BaseURL>": "https://b.example/x/o/<",
	} {
		got, err := DASH(strings.Replace(mpd, "<BaseURL>./</BaseURL>", base, 1), o)
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("base %q: %v, want %s in\n%s", base, err, want, got)
		}
	}
}

// Tokens are added to what leads to the pathway's CDN, and to nothing else.
func TestSigned(t *testing.T) {
	o := both
	o.Steering = ""
	o.Pathways = slices.Clone(both.Pathways)
	o.Pathways[0].Sign = func(url string) (string, error) { return url + "?token", nil }
	got, err := HLS("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhttps://other.example/v2.m3u8\n", o)
	if err != nil || !strings.Contains(got, "\nhttps://b.example/x/vod/a/v1.m3u8?token\n") || strings.Count(got, "?token") != 1 {
		t.Errorf("%v\n%s", err, got)
	}
	got, err = DASH("<MPD><Period/></MPD>", o)
	if err != nil || !strings.Contains(got, `<BaseURL serviceLocation="bravo">https://b.example/x/vod/a/?token</BaseURL>`) || strings.Count(got, "?token") != 1 {
		t.Errorf("%v\n%s", err, got)
	}
	o.Pathways[0].Sign = func(string) (string, error) { return "", errors.New("no key") }
	for _, rewrite := range []func() (string, error){
		func() (string, error) { return HLS("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8\n", o) },
		func() (string, error) { return DASH("<MPD><Period/></MPD>", o) },
	} {
		if got, err := rewrite(); err == nil {
			t.Errorf("without a token: %s", got)
		}
	}
}

// What players are asked to report stands in a ServiceDescription, in the MPD's own
// where it has one (the schema has ClientDataReporting last), and never twice.
func TestDASHReporting(t *testing.T) {
	const asks = `<ClientDataReporting schemeIdUri="urn:dashif:cta-5004:2025"><CMCDParameters schemeIdUri="urn:dashif:cta-5004:2025" version="2" mode="header" includeInRequests="segment" sessionID="a&amp;b"/></ClientDataReporting>`
	o := Options{Path: "main.mpd", Pathways: []Pathway{{ID: "A", URL: "https://a.example"}}, CMCD: &CMCD{Version: 2, Header: true, Session: "a&b"}}
	for mpd, want := range map[string]string{
		"<MPD><Period/></MPD>": `<ServiceDescription id="0">` + asks + "</ServiceDescription>\n  <Period/>",
		`<MPD><ServiceDescription id="1"><Latency/></ServiceDescription><Period/></MPD>`: `<ServiceDescription id="1"><Latency/>` + asks + "</ServiceDescription><Period/>",
		`<MPD><ServiceDescription/><Period/></MPD>`:                                      `<ServiceDescription id="0">` + asks + "</ServiceDescription>\n  <ServiceDescription/><Period/>",
		`<MPD><ServiceDescription><ClientDataReporting/></ServiceDescription></MPD>`:     `<ServiceDescription><ClientDataReporting/></ServiceDescription>`,
	} {
		got, err := DASH(mpd, o)
		if err != nil || !strings.Contains(got, want) || strings.Count(got, "<ClientDataReporting") != 1 {
			t.Errorf("%s: %v\n%s\nwant %s", mpd, err, got, want)
		}
	}
}

func TestDASHRefusals(t *testing.T) {
	for want, text := range map[string]string{
		"its root is html":         "<html></html>",
		"not an MPD":               "#EXTM3U\n",
		"line 2: xlink:href p.xml": `<MPD xmlns:xlink="http://www.w3.org/1999/xlink">` + "\n" + `<Period xlink:href="p.xml"/></MPD>`,
		"without a Period":         "<MPD/>",
		"unexpected EOF":           "<MPD><Period>",
		"not below an origin":      "<MPD><BaseURL>https://elsewhere.example/</BaseURL></MPD>",
		"line 2: BaseURL https://": "<MPD><Period>\n<BaseURL>https://a.example/</BaseURL></Period></MPD>",
	} {
		_, err := DASH(text, both)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzHLS: whatever comes, every line that is not of a kind that is repeated is
// still there, octet by octet and in its order.
func FuzzHLS(f *testing.F) {
	f.Add(playlist)
	f.Add("\ufeff#EXTM3U\r\n#EXT-X-STREAM-INF:A=1\r\n\r\nx")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := HLS(text, both)
		if err != nil {
			return
		}
		entries, err := readEntries(strings.SplitAfter(text, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		rest := got
		for _, e := range entries {
			if e.kind != verbatim {
				continue
			}
			_, after, found := strings.Cut(rest, e.text)
			if !found {
				t.Fatalf("%q is gone, or too early, in %q", e.text, got)
			}
			rest = after
		}
	})
}

// FuzzDASH: what comes out is as well-formed as what went in, and has all of it,
// octet by octet, but for what is replaced.
func FuzzDASH(f *testing.F) {
	f.Add(mpd)
	f.Add("<MPD><BaseURL/><Period/></MPD>")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := DASH(text, both)
		if err != nil {
			return
		}
		found, err := readMPD(text, &both)
		if err != nil {
			t.Fatal(err)
		}
		before, after := uncut(text, 0, found.at, found.cuts), uncut(text, found.at, len(text), found.cuts)
		if !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) {
			t.Fatalf("%q became %q, want %q, the pathways, %q", text, got, before, after)
		}
		d := xml.NewDecoder(strings.NewReader(got))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("%q became %q: %v", text, got, err)
			}
		}
	})
}

// uncut is a part of an MPD without what is cut from it.
func uncut(mpd string, from, to int, cuts []span) string {
	var b strings.Builder
	for _, c := range cuts {
		if c.from >= from && c.to <= to {
			b.WriteString(mpd[from:c.from])
			from = c.to
		}
	}
	return b.String() + mpd[from:to]
}
