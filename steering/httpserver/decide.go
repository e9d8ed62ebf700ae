package httpserver

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"fairway/steering"
)

// decisionBody is the body of GET /decide/v1/{service}.
type decisionBody struct {
	Service    string         `json:"service"`
	Region     string         `json:"region"`
	Generation uint64         `json:"generation"`
	TTL        int            `json:"ttl"`   // seconds
	Scope      int            `json:"scope"` // prefix length around the client on which this holds; 0 = everywhere
	Reason     string         `json:"reason"`
	Error      string         `json:"error,omitempty"` // why no endpoint should be used
	Endpoints  []endpointBody `json:"endpoints"`       // in the order in which this client should try them
}

// endpointBody is one ranked endpoint.
type endpointBody struct {
	ID       string  `json:"id"`
	Provider string  `json:"provider"`
	Pool     string  `json:"pool"`
	Host     string  `json:"host"` // without the final dot
	URL      string  `json:"url"`  // empty = not for HTTP
	Pathway  string  `json:"pathway,omitempty"`
	Weight   float64 `json:"weight"` // intended share of clients; 0 = only when all with a weight have failed
	Reason   string  `json:"reason"`
}

// decide answers GET /decide/v1/{service}?client=…&session=…&path=…&explain.
func (s *Server) decide(r *http.Request, snapshot *steering.Snapshot, q steering.Query, t target) answer {
	parameters, err := url.ParseQuery(strings.TrimPrefix(t.query, "?"))
	if err != nil {
		return refuse(http.StatusBadRequest, errMalformedQuery.Error())
	}
	if parameters.Has("client") {
		if q.Client, err = parseClient(parameters.Get("client")); err != nil {
			return refuse(http.StatusBadRequest, err.Error())
		}
	}
	q.Session, q.Path = parameters.Get("session"), parameters.Get("path")
	if !parameters.Has("explain") {
		return s.describeFor(snapshot, q)
	}
	if refusal := s.entitled(r); refusal != nil {
		return *refusal
	}
	return s.explained(s.describeFor(snapshot, q), t.service, q)
}

// describeFor decides and describes.
func (s *Server) describeFor(snapshot *steering.Snapshot, q steering.Query) answer {
	d := snapshot.Decide(q)
	s.decided(doorDecide, d)
	a, body := answer{status: http.StatusOK}, describe(&d)
	if _, ok := d.First(); !ok {
		a = nothing(&d)
		body.Error = a.message
	}
	a.json = encode(body)
	return a
}

var errMalformedQuery = errors.New("the query string is malformed")

// parseClient reads an address, or a prefix, which stands for its network's
// address.
func parseClient(text string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return addr.Unmap(), nil
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Masked().Addr().Unmap(), nil
	}
	return netip.Addr{}, errors.New("client is neither an IP address nor a prefix, such as 192.0.2.1 or 2001:db8::/56")
}

// describe gives the decision with every candidate in this client's order.
func describe(d *steering.Decision) decisionBody {
	ranked := d.AppendRanked(make([]*steering.Candidate, 0, len(d.Split.Candidates)))
	rule := " (rule " + d.Group.Rule.Name + ", " + line(d.Group.Rule.Place) + ")"
	body := decisionBody{
		Service:    d.Service.Key,
		Region:     d.Group.Region,
		Generation: d.Generation,
		TTL:        int(d.TTL / time.Second),
		Scope:      d.Scope,
		Reason:     d.Split.Reason.String() + rule,
		Endpoints:  make([]endpointBody, len(ranked)),
	}
	for i, c := range ranked {
		e := c.Endpoint
		body.Endpoints[i] = endpointBody{
			ID: e.ID, Provider: e.Provider, Pool: e.Pool,
			Host: strings.TrimSuffix(e.Host, "."), URL: e.URL, Pathway: e.Pathway,
			Weight: c.Weight, Reason: c.Reason.String() + rule,
		}
	}
	return body
}

// line gives a place as file:line for whoever reads it from afar: no column, and
// no folder, since anybody may ask and folders are nobody's business.
func line(p steering.Place) string {
	p.Col = 0
	p.File = filepath.Base(p.File)
	return p.String()
}
