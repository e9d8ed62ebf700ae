package httpserver

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"fairway/steering"
)

// A cohort's answer is the same whoever asks, may be shared, and leads nowhere else
// (without RELOAD-URI players ask again where they asked); what is no cohort's one form is refused, so that caches hold each once.
func TestCohort(t *testing.T) {
	r := start(t, fromNA, nil)
	first := ""
	for i, query := range []string{"", "?_HLS_pathway=B&_HLS_throughput=5000", "?k=x&s=1"} {
		resp, body := r.do(t, "GET", "/steer/v1/live/hls/c/10.0.0.0-8.42"+query, "X-Forwarded-For", fmt.Sprintf("20.1.1.%d", i+1))
		if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "public, max-age=5" || strings.Contains(body, "RELOAD-URI") {
			t.Errorf("%s: %d %v\n%s", query, resp.StatusCode, resp.Header, body)
		}
		if first == "" {
			first = body
		} else if body != first {
			t.Errorf("the cohort got\n%s and\n%s", first, body)
		}
	}
	for _, bad := range []string{"10.0.0.0", "10.0.0.1-8", "10.0.0.0-33", "10.0.0.0-08", "10.0.0.0-8.100", "10.0.0.0-8.-1", "10.0.0.0-8.07", "010.0.0.0-8", "x", "10.0.0.0-8.1/..", "fe80::%25e-64"} {
		if resp, _ := r.do(t, "GET", "/steer/v1/live/hls/c/"+bad); resp.StatusCode != 400 {
			t.Errorf("%s: %d, want 400", bad, resp.StatusCode)
		}
	}
	if resp, _ := r.do(t, "GET", "/steer/v1/nothere/hls/c/10.0.0.0-8"); resp.StatusCode != 404 || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("no service: %d %v", resp.StatusCode, resp.Header)
	}
}

// The manifest and the polls that it leads to agree, and numbers divide a network's
// viewers by the shares.
func TestCohortAgrees(t *testing.T) {
	r := startManifests(t, newTexts(), func(m *steering.Manifests) { m.Shared = true })
	firsts := map[string]int{}
	for i := range 60 {
		session := ""
		if i > 0 {
			session = fmt.Sprintf("?s=viewer-%d", i)
		}
		_, body := r.do(t, "GET", "/manifest/v1/live/a/main.m3u8"+session, "X-Forwarded-For", "10.1.2.3")
		_, rest, _ := strings.Cut(body, `SERVER-URI="http://`+r.addr)
		path, rest, _ := strings.Cut(rest, `",PATHWAY-ID="`)
		declared, _, _ := strings.Cut(rest, `"`)
		_, poll := r.do(t, "GET", path)
		var steered struct {
			Priority []string `json:"PATHWAY-PRIORITY"`
		}
		if err := json.Unmarshal([]byte(poll), &steered); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if steered.Priority[0] != declared {
			t.Errorf("%s: declared %s, steered to %s", path, declared, steered.Priority[0])
		}
		firsts[declared]++
	}
	if len(firsts) < 3 {
		t.Errorf("60 viewers of one network all got %v", firsts)
	}
}
