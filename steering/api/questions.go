package api

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"fairway/steering"
)

func (s *Server) getStatus(*http.Request) (any, error) { return s.config.Control.Status(), nil }

func (s *Server) getExplain(r *http.Request) (any, error) {
	service := r.URL.Query().Get("service")
	if service == "" {
		return nil, invalid(s.knownServices(), "no service is named: add service=KEY")
	}
	text := r.URL.Query().Get("client")
	client, err := netip.ParseAddr(text)
	if err != nil || client.Zone() != "" {
		return nil, invalid("add client=IP, such as client=192.0.2.7 or client=2001:db8::7", "client %q is not an IP address", text)
	}
	q := steering.Query{Client: client, Path: r.URL.Query().Get("path")}
	if err := asks(&q, r.URL.Query()); err != nil {
		return nil, err
	}
	explanation, err := s.explain(r, service, q)
	if own, is := errors.AsType[*Error](err); is {
		return nil, own
	}
	if errors.Is(err, ErrNotFound) {
		return nil, notFound(s.knownServices(), "there is no service %q", service)
	}
	if err != nil {
		return nil, err
	}
	return explanation, nil
}

// explain explains what is decided now, or with at=TIME what was then.
func (s *Server) explain(r *http.Request, service string, q steering.Query) (*steering.Explanation, error) {
	if !r.URL.Query().Has("at") {
		return s.config.Control.Explain(service, q)
	}
	at, err := timeOf(r.URL.Query(), "at")
	if err != nil {
		return nil, err
	}
	past, err := s.past()
	if err != nil {
		return nil, err
	}
	return past.Explain(r.Context(), at, service, q)
}

// asks reads how the client asks: at a door, with its own address or a
// resolver's, perhaps for a path.
func asks(q *steering.Query, values url.Values) error {
	if q.Path != "" {
		q.Door = steering.DoorRedirect
	}
	if word := values.Get("door"); word != "" {
		door, ok := steering.DoorNamed(word)
		if !ok {
			return invalid("door is dns, redirect, steering or decide", "%q is no door", word)
		}
		q.Door = door
	}
	switch word := values.Get("source"); word {
	case "", steering.SourceClient.String():
	case steering.SourceResolver.String():
		q.Source = steering.SourceResolver
	default:
		return invalid("source is client or resolver", "%q is no source", word)
	}
	return nil
}

// knownServices is the remedy for a service that does not exist.
func (s *Server) knownServices() string {
	var keys []string
	for _, service := range s.config.Control.Status().Services {
		keys = append(keys, service.Key)
	}
	return known("services", keys)
}

// known lists what could have been said.
func known(what string, names []string) string {
	if len(names) == 0 {
		return "this node knows no " + what + " yet: is its configuration loaded?"
	}
	const most = 30
	rest := ""
	if len(names) > most {
		names, rest = names[:most], ", …"
	}
	return "known " + what + ": " + strings.Join(names, ", ") + rest
}
