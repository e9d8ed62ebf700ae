package demo

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fairway/docs/players"
)

// TestPageServesTheKit: whoever looks at the page's sources finds the very files that
// docs/players has, as modules that a browser runs.
func TestPageServesTheKit(t *testing.T) {
	names, err := fs.Glob(players.Files, "*.js")
	if err != nil || len(names) == 0 {
		t.Fatalf("the kit is %v (%v)", names, err)
	}
	page := Page()
	for _, name := range names {
		want, err := fs.ReadFile(players.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/kit/"+name, nil))
		if kind := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.Contains(kind, "javascript") || w.Body.String() != string(want) {
			t.Errorf("/kit/%s: %d %s, %d bytes; want the file's %d", name, w.Code, kind, w.Body.Len(), len(want))
		}
	}
}
