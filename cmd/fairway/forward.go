package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	"fairway/steering/api"
)

// forwardedHeader names the node that passed a request on, so that none is passed
// on twice.
const forwardedHeader = "Fairway-Forwarded-By"

// forward tells who answers a request in this one's stead: in a fleet, the control
// node that leads answers what concerns the fleet. nil = this node answers.
func (n *node) forward(r *http.Request) (http.Handler, error) {
	if n.replica == nil || n.leads() || !concernsFleet(r) {
		return nil, nil
	}
	address, err := n.leader()
	if err == nil && r.Header.Get(forwardedHeader) != "" {
		err = errNoLeader
	}
	if err != nil {
		return nil, &api.Error{Status: http.StatusServiceUnavailable, Message: err.Error(), Remedy: "see fairway fleet for who is there; try again in half a minute"}
	}
	to, err := url.Parse(address)
	if err != nil {
		return nil, &api.Error{Status: http.StatusBadGateway, Message: "the leader's address " + address + " is no URL", Remedy: "set api.advertise there"}
	}
	return &httputil.ReverseProxy{
		Transport: n.toPeers(),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Header.Set(forwardedHeader, n.name())
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			answerJSON(w, http.StatusBadGateway, &api.Error{
				Message: "the control node that leads, at " + address + ", does not answer: " + err.Error(),
				Remedy:  "see fairway fleet; if it is gone, another one leads within half a minute",
			})
		},
	}, nil
}

// concernsFleet tells whether a path is answered by the node that leads; all else is
// each node's own.
func concernsFleet(r *http.Request) bool {
	path := r.URL.Path
	if path == "/api/v1/usage" {
		return r.Method == http.MethodGet
	}
	return slices.ContainsFunc([]string{
		"/api/v1/explain", "/api/v1/revision", "/api/v1/state", "/api/v1/overrides", "/api/v1/revisions", "/api/v1/canary", keysPath,
	}, func(of string) bool { return path == of || strings.HasPrefix(path, of+"/") })
}
