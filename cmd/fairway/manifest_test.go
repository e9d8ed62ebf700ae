package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestManifestCommand: what is written, and the exit codes.
func TestManifestCommand(t *testing.T) {
	temp := t.TempDir()
	starter, _, _ := run(t, temp, "init", "live.cdn-one.example", "live.cdn-two.example")
	config := write(t, temp, "fairway.yaml", starter)
	hls := write(t, temp, "main.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8\n")
	dash := write(t, temp, "main.mpd", "<MPD>\n<Period/>\n</MPD>\n")
	media := write(t, temp, "v1.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n")
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--steering", "https://go.example/", hls}, 0, []string{
			`#EXT-X-CONTENT-STEERING:SERVER-URI="https://go.example/steer/v1/live/hls",PATHWAY-ID="P1"`, "/a/v1.m3u8\n", `PATHWAY-ID="P2"`}},
		{[]string{dash}, 0, []string{`<BaseURL serviceLocation="P1">https://live.cdn-one.example/`, `/a/</BaseURL>`}},
		{[]string{media}, 1, []string{"line 2: a media playlist"}},
		{[]string{filepath.Join(temp, "none")}, 1, []string{"no such file"}},
		{[]string{"--service", "other", hls}, 1, []string{`no service "other"`}},
	} {
		args := append([]string{"manifest", "--config", config, "--service", "live", "--path", "/a/main.m3u8"}, c.args...)
		out, errs, code := run(t, temp, args...)
		if code != c.code {
			t.Errorf("%v: exit %d, want %d\n%s%s", args, code, c.code, out, errs)
		}
		for _, want := range c.want {
			if !strings.Contains(out+errs, want) {
				t.Errorf("%v: no %q in\n%s%s", args, want, out, errs)
			}
		}
	}
	if _, _, code := run(t, temp, "manifest", hls); code != 2 {
		t.Errorf("without a configuration: exit %d, want 2", code)
	}
}
