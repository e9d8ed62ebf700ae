package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"fairway/steering"
	"fairway/steering/history"
)

// History is the body of GET /api/v1/history?from=…&to=…: the changes of verdicts, and
// with states=true what was known each minute, without the decisions.
type History struct {
	Entries []history.Entry `json:"entries"`
	More    bool            `json:"more,omitempty"` // there are more: ask again from the last one on
}

// mostEntries bounds an answer.
const mostEntries = 2000

// Past is what a control node keeps.
type Past interface {
	// Between yields entries from one time to another, the oldest first.
	Between(from, to time.Time, yield func(*history.Entry) bool) error
	// Sparse is Between with a state only so often.
	Sparse(from, to time.Time, every time.Duration, yield func(*history.Entry) bool) error
	// Explain decides anew for one client what was decided at a time, from what was known
	// then; ErrNotFound where nothing is kept of it, or there was no such service.
	Explain(ctx context.Context, at time.Time, service string, q steering.Query) (*steering.Explanation, error)
	// StateAt is what was known and decided at a time; ErrNotFound where nothing is kept
	// of it.
	StateAt(at time.Time) (State, error)
}

func (s *Server) past() (Past, error) {
	if s.config.History == nil {
		return nil, &Error{
			Status: http.StatusServiceUnavailable, Message: "this node keeps no history: it does not play the control role, or its disk cannot be written",
			Remedy: "ask the node that controls",
		}
	}
	return s.config.History, nil
}

func (s *Server) getHistory(r *http.Request) (any, error) {
	past, err := s.past()
	if err != nil {
		return nil, err
	}
	values := r.URL.Query()
	from, err := timeOf(values, "from")
	if err != nil {
		return nil, err
	}
	to, err := timeOf(values, "to")
	if err != nil {
		return nil, err
	}
	answer := History{Entries: []history.Entry{}}
	err = past.Between(from, to, func(e *history.Entry) bool {
		if e.State != nil && values.Get("states") != "true" {
			return true
		}
		if len(answer.Entries) == mostEntries {
			answer.More = true
			return false
		}
		entry := *e
		if e.State != nil {
			state := *e.State
			state.Services = nil
			entry.State = &state
		}
		answer.Entries = append(answer.Entries, entry)
		return true
	})
	return answer, err
}

// mostDays bounds what curves are drawn of: all of it has to be read.
const mostDays = 31

// getCurves answers GET /api/v1/history/curves?service=…&region=…&from=…&to=…: what is
// needed to draw the health of a service's endpoints in a region.
func (s *Server) getCurves(r *http.Request) (any, error) {
	past, err := s.past()
	if err != nil {
		return nil, err
	}
	values := r.URL.Query()
	from, err := timeOf(values, "from")
	if err != nil {
		return nil, err
	}
	to, err := timeOf(values, "to")
	if err != nil {
		return nil, err
	}
	service, region := values.Get("service"), values.Get("region")
	switch {
	case service == "" || region == "":
		return nil, invalid("add service=KEY and region=NAME", "a service and a region are needed")
	case !from.Before(to) || to.Sub(from) > mostDays*24*time.Hour:
		return nil, invalid("let from be before to, by 31 days at most", "there are no curves from %s to %s", values.Get("from"), values.Get("to"))
	}
	curves := history.NewCurves(from, to, string(steering.EndpointSubject(service+"/")), region)
	err = past.Sparse(from, to, curves.Every(), func(e *history.Entry) bool {
		curves.Add(e)
		return r.Context().Err() == nil
	})
	return curves.Done(), err
}

func (s *Server) getHistoryState(r *http.Request) (any, error) {
	past, err := s.past()
	if err != nil {
		return nil, err
	}
	at, err := timeOf(r.URL.Query(), "at")
	if err != nil {
		return nil, err
	}
	return value(past.StateAt(at))
}

// timeOf reads a time of a query.
func timeOf(values url.Values, name string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, values.Get(name))
	if err != nil {
		return at, invalid("write it as "+name+"=2026-03-01T20:15:00Z", "%s is not a time", name)
	}
	return at, nil
}
