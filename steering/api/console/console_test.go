package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(method, url string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(method, url, nil))
	return w
}

func TestEveryPartIsServed(t *testing.T) {
	types := map[string]string{".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
	files, err := fs.ReadDir(page, "page")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		url := "/console/" + file.Name()
		if file.Name() == "index.html" {
			url = "/"
		}
		w := get("GET", url)
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, types[path.Ext(url+file.Name())]) {
			t.Errorf("%s: %d %q", url, w.Code, got)
		}
		if got := w.Header().Get("Content-Security-Policy"); got != policy {
			t.Errorf("%s: policy %q", url, got)
		}
	}
	for _, url := range []string{"/console/", "/console/nope.js", "/console/../console.go", "/console/page/index.html", "/other"} {
		if w := get("GET", url); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", url, w.Code)
		}
	}
	if w := get("POST", "/"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// What the page refers to must be there, and be ours: the policy would block
// anything else, which nobody would see before the page breaks.
func TestReferences(t *testing.T) {
	reference := regexp.MustCompile(`(?:src|href)="([^"]+)"|from "([^"]+)"`)
	id := regexp.MustCompile(`\$\("([a-z-]+)"\)`)
	html, _ := fs.ReadFile(page, "page/index.html")
	err := fs.WalkDir(page, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(page, name)
		if err != nil {
			return err
		}
		for _, m := range reference.FindAllStringSubmatch(string(text), -1) {
			target := m[1]
			if target == "" {
				target = "/console/" + strings.TrimPrefix(m[2], "./")
			}
			if w := get("GET", target); w.Code != http.StatusOK {
				t.Errorf("%s refers to %s, which is not served", name, target)
			}
		}
		for _, m := range id.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(string(html), `id="`+m[1]+`"`) {
				t.Errorf("%s uses the element %q, which the page has not", name, m[1])
			}
		}
		for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=\"", "onclick", "https://", "//cdn"} {
			if strings.Contains(string(text), forbidden) {
				t.Errorf("%s contains %s", name, forbidden)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
