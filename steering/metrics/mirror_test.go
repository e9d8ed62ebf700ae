package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// A mirror shows how far it is, and for how long something has waited.
func TestMirror(t *testing.T) {
	progress := Mirror{Copies: 7, Failures: 2, Matched: epoch, Waiting: time.Now().Add(-time.Hour), Generation: 41}
	scrape := func() string {
		w := httptest.NewRecorder()
		OfMirror("1.2", func() Fleet { return Fleet{Leads: true, Term: 3} }, func() Mirror { return progress }).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	text := scrape()
	for _, want := range []string{
		"fairway_mirror_copies_total 7\n", "fairway_mirror_failures_total 2\n", "fairway_mirror_generation 41\n", "fairway_mirror_success_timestamp_seconds 1.7953812e+09\n",
		"fairway_mirror_lag_seconds 3", "fairway_fleet_leads 1\n", "fairway_fleet_term 3\n", `fairway_build_info{goversion="go`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if problems, err := promlint.New(strings.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	progress = Mirror{}
	if text := scrape(); strings.Contains(text, "\nfairway_mirror_success_timestamp_seconds") || !strings.Contains(text, "\nfairway_mirror_lag_seconds 0\n") {
		t.Errorf("a mirror that has copied nothing yet shows\n%s", text)
	}
}
