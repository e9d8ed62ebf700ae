package httpserver

import (
	"net/http"
	"slices"
	"strings"

	"fairway/steering"
)

// methods are those that a door answers.
const methods = "GET, HEAD, OPTIONS"

// more are the methods that the redirect door passes on for a service beside these, as
// they are. Their bodies are not read: a client sends them where it is led.
func more(snapshot *steering.Snapshot, t *target) []string {
	if t.door != doorRedirect || snapshot == nil {
		return nil
	}
	service := snapshot.Layout.ByKey(t.service)
	if service < 0 {
		return nil
	}
	return snapshot.Layout.Services[service].Service.Methods
}

// passesOn tells whether a request is redirected with its method, whatever that means
// to its CDN.
func passesOn(method string, snapshot *steering.Snapshot, t *target) bool {
	return method != http.MethodGet && method != http.MethodHead && slices.Contains(more(snapshot, t), method)
}

// naming has an answer name the methods that are answered where the request was for.
func (a answer) naming(snapshot *steering.Snapshot, t *target) answer {
	a.methods = methods
	if also := more(snapshot, t); len(also) > 0 {
		a.methods += ", " + strings.Join(also, ", ")
	}
	return a
}
