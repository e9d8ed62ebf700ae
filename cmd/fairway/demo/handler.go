package demo

import (
	"encoding/json"
	"io"
	"net/http"
)

// faultsPath is where Handler answers.
const faultsPath = "/demo/v1/faults"

// Handler lists the faults (GET) and sets one (POST, a Fault in JSON); both
// answer with the list as it then is:
//
//	{"faults":[{"cdn":"alpha","region":"eu","latency":"300ms"}]}
//
// Whoever mounts it decides who may call it.
func (w *World) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+faultsPath, func(rw http.ResponseWriter, _ *http.Request) { w.writeFaults(rw) })
	mux.HandleFunc("POST "+faultsPath, func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 4<<10))
		var fault Fault
		if err == nil {
			err = json.Unmarshal(body, &fault)
		}
		if err == nil {
			err = w.SetFault(fault)
		}
		if err != nil {
			writeJSON(rw, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		w.writeFaults(rw)
	})
	return mux
}

func (w *World) writeFaults(rw http.ResponseWriter) {
	writeJSON(rw, http.StatusOK, map[string][]Fault{"faults": w.Faults()})
}

func writeJSON(rw http.ResponseWriter, status int, v any) {
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(v)
}
