package console

import (
	"embed"
	"net/http"
	"strings"
)

//go:embed page
var page embed.FS

// policy is the page's Content-Security-Policy (CSP Level 3).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Handler serves the page at / and its parts under /console/.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the console is only read; changes go through /api/v1/", http.StatusMethodNotAllowed)
			return
		}
		name, below := strings.CutPrefix(r.URL.Path, "/console/")
		switch {
		case r.URL.Path == "/":
			name = "index.html"
		case !below || name == "" || strings.Contains(name, "/"):
			http.NotFound(w, r)
			return
		}
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		// A new release must not run with the scripts of the old one.
		header.Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, page, "page/"+name)
	})
}
