package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"fairway/steering/api"
	"fairway/steering/store"
)

// forwardedHeader names the node that passed a request on, so that none is passed
// on twice.
const forwardedHeader = "Fairway-Forwarded-By"

// forward tells who answers a request in this one's stead: in a fleet, the control
// node that leads answers what concerns the fleet. nil = this node answers.
func (n *node) forward(r *http.Request) (http.Handler, error) {
	if n.replica == nil || n.leads() || !concernsFleet(r) && (n.past() != nil || !concernsPast(r)) {
		return nil, nil
	}
	address, err := n.leader()
	if err == nil && r.Header.Get(forwardedHeader) != "" {
		err = errNoLeader
	}
	if err != nil {
		return nil, &api.Error{
			Status: http.StatusServiceUnavailable, Message: err.Error(), Remedy: "see fairway fleet for who is there; another one leads within half a minute", RetryAfter: askAgain,
		}
	}
	to, err := url.Parse(address)
	if err != nil {
		return nil, &api.Error{Status: http.StatusBadGateway, Message: "the leader's address " + address + " is no URL", Remedy: "set api.advertise there"}
	}
	return passOn(to, n.name(), n.toPeers()), nil
}

// passOn has a request answered by the node that leads, in the name of another one.
func passOn(to *url.URL, by string, over http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{
		Transport: over,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Header.Set(forwardedHeader, by)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			e := silent(r, to.String(), err)
			e.TellRetry(w.Header())
			answerJSON(w, e.Status, e)
		},
	}
}

// askAgain is when those who are told that nobody leads may ask again.
const askAgain = time.Second

// silent is the answer to a request that the leader did not answer. It may be sent
// again where it cannot have reached the leader, or does no more when it has.
func silent(r *http.Request, address string, err error) *api.Error {
	e := &api.Error{
		Status: http.StatusBadGateway, Message: "the control node that leads, at " + address + ", does not answer: " + err.Error(),
		Remedy: "see fairway fleet; if it is gone, another one leads within half a minute",
	}
	dial, is := errors.AsType[*net.OpError](err)
	override := r.URL.Path == "/api/v1/overrides" || strings.HasPrefix(r.URL.Path, "/api/v1/overrides/")
	known := r.Method == http.MethodDelete || r.Header.Get("Idempotency-Key") != ""
	if is && dial.Op == "dial" || r.Method == http.MethodGet || override && known {
		e.RetryAfter = askAgain
	}
	return e
}

// deposed is an error of a store or of what is in force as the API tells it: of one that
// says that another control node leads by now, that it may be tried again, since such an
// error means that nothing was written.
func deposed(err error) error {
	if !errors.Is(err, store.ErrDeposed) {
		return err
	}
	return &api.Error{Status: http.StatusServiceUnavailable, Message: err.Error(), Remedy: "see fairway fleet for who leads", RetryAfter: askAgain}
}

// concernsPast tells whether a path asks what was, which nodes without control do not
// keep.
func concernsPast(r *http.Request) bool {
	return r.URL.Path == "/api/v1/history" || strings.HasPrefix(r.URL.Path, "/api/v1/history/")
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
