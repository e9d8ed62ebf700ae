package api

import (
	"net/http"
	"strconv"
)

const (
	revisionsPath = "/api/v1/revisions"
	// maxRevision is how much of a request with files is read.
	maxRevision = 32 << 20
)

// revisions returns what the node can do with configurations.
func (s *Server) revisions() (Revisions, error) {
	if s.config.Revisions == nil {
		return nil, &Error{
			Status: http.StatusServiceUnavailable, Message: "this node does not play the control role",
			Remedy: "ask the node that does",
		}
	}
	return s.config.Revisions, nil
}

func (s *Server) getRevisions(r *http.Request) (any, error) {
	node, err := s.revisions()
	if err != nil {
		return nil, err
	}
	list, err := node.Revisions(r.Context())
	list.Revisions = some(list.Revisions)
	return list, err
}

func (s *Server) getStoredRevision(r *http.Request) (any, error) {
	node, err := s.revisions()
	if err != nil {
		return nil, err
	}
	number, err := revisionNumber(r)
	if err != nil {
		return nil, err
	}
	return node.Revision(r.Context(), number)
}

func (s *Server) postRevision(r *http.Request) (any, error) {
	node, err := s.revisions()
	if err != nil {
		return nil, err
	}
	var q ApplyRequest
	if err := read(r, &q); err != nil {
		return nil, err
	}
	watch, err := q.check()
	if err != nil {
		return nil, err
	}
	applied, err := node.Apply(r.Context(), q, watch)
	applied.Findings = some(applied.Findings)
	return applied, err
}

func (s *Server) postRollback(r *http.Request) (any, error) {
	number, err := revisionNumber(r)
	if err != nil {
		return nil, err
	}
	return s.changed(r, func(node Revisions, by By) (Applied, error) { return node.Rollback(r.Context(), number, by) })
}

func (s *Server) postCanary(r *http.Request) (any, error) {
	switch action := r.PathValue("action"); action {
	case "promote":
		return s.changed(r, func(node Revisions, by By) (Applied, error) { return node.Promote(r.Context(), by) })
	case "abort":
		return s.changed(r, func(node Revisions, by By) (Applied, error) { return node.Abort(r.Context(), by) })
	default:
		return nil, notFound("use /api/v1/canary/promote or /api/v1/canary/abort", "a canary cannot %q", action)
	}
}

// changed makes a change that needs only an author and a reason.
func (s *Server) changed(r *http.Request, change func(Revisions, By) (Applied, error)) (any, error) {
	node, err := s.revisions()
	if err != nil {
		return nil, err
	}
	var by By
	if err := read(r, &by); err != nil {
		return nil, err
	}
	if err := by.check(); err != nil {
		return nil, err
	}
	applied, err := change(node, by)
	applied.Findings = some(applied.Findings)
	return applied, err
}

// read reads a request's body as one JSON value.
func read(r *http.Request, into any) error {
	body, err := whole(r.Body)
	if err != nil {
		return err
	}
	return decode(body, into)
}

func revisionNumber(r *http.Request) (uint64, error) {
	text := r.PathValue("number")
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid("name it by its number: see /api/v1/revisions", "%q is no revision", text)
	}
	return number, nil
}
