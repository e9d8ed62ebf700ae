package demo

import (
	"embed"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"

	"fairway/docs/players"
)

// The page, and the players that it uses, compressed: tools/players/vendor puts
// these there.
//
//go:embed page
var pageFiles embed.FS

// pageAddress is where the page is; it is for this machine alone.
var pageAddress = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// Page is the demo's web page: two players on the emulated CDNs. The player kit is
// below /kit/.
func Page() http.Handler {
	page, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic("demo: " + err.Error()) // only when the folder's name is wrong above
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(page))
	mux.Handle("GET /kit/", http.StripPrefix("/kit/", http.FileServerFS(players.Files)))
	mux.HandleFunc("GET /vendor/{name}", func(w http.ResponseWriter, r *http.Request) {
		packed, err := fs.ReadFile(page, path.Join("vendor", r.PathValue("name")+".gz"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Content-Encoding", "gzip") // every browser takes it
		_, _ = w.Write(packed)
	})
	return mux
}

// pageHandler is Page with the World behind it: where the doors are, and the faults,
// which only the page itself may set.
func (w *World) pageHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", Page())
	mux.HandleFunc("GET /settings.json", func(rw http.ResponseWriter, _ *http.Request) {
		names := make(map[string]string)
		for _, c := range cdns() {
			for _, address := range c.addresses {
				names[address.String()] = c.name
			}
		}
		writeJSON(rw, http.StatusOK, map[string]any{"door": "http://" + w.HTTP(), "cdns": names})
	})
	mux.Handle(faultsPath, http.NewCrossOriginProtection().Handler(w.Handler()))
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		// A foreign name that leads here is another site's way to ask.
		if !literal(r.Host) {
			http.Error(rw, "ask for "+w.Page(), http.StatusMisdirectedRequest)
			return
		}
		rw.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(rw, r)
	})
}

// literal tells whether a Host is an address, or localhost.
func literal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost"
}

// Page is the URL of the page, after Listen.
func (w *World) Page() string {
	return "http://" + netip.AddrPortFrom(pageAddress, uint16(w.ports.page)).String() + "/"
}
