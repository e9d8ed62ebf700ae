package api

import (
	"net/http"
	"net/url"
	"time"

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
