package httpserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"fairway/steering"
)

// mostDecisions bounds what one request may cost.
const mostDecisions = 256

// batchBody is the body of POST /decide/v1/: what is to be decided.
type batchBody struct {
	Decisions []batchQuery `json:"decisions"`
	Explain   bool         `json:"explain"`
}

// batchQuery is one of them; as the parameters of GET /decide/v1/{service}.
type batchQuery struct {
	Service string `json:"service"`
	Client  string `json:"client"` // empty = whoever asks
	Session string `json:"session"`
	Path    string `json:"path"`
}

// batchAnswers has an answer for each, in their order, all of one generation.
type batchAnswers struct {
	Generation uint64            `json:"generation"`
	Decisions  []json.RawMessage `json:"decisions"`
}

// Explainer tells how a decision came about, to those who may know.
type Explainer interface {
	// Entitled tells whether a bearer token (RFC 6750) is known, and enough.
	Entitled(token string) (known, enough bool)
	// Explain returns what can be written as JSON.
	Explain(service string, q steering.Query) (any, error)
}

var (
	unexplained   = refuse(http.StatusNotFound, "this node explains nothing: ask one with the role control whose API has a token")
	batchMalforms = `the body is not {"decisions": [{"service": "live", "client": "192.0.2.1", "session": "", "path": ""}], "explain": false}`
)

// decideBatch answers POST /decide/v1/.
func (s *Server) decideBatch(snapshot *steering.Snapshot, q steering.Query, w http.ResponseWriter, r *http.Request) answer {
	body, err := s.readReport(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return reportTooLarge
	case err != nil:
		return reportCut
	}
	var asked batchBody
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil || decoder.More() {
		return whole(refuse(http.StatusBadRequest, batchMalforms))
	}
	if len(asked.Decisions) == 0 || len(asked.Decisions) > mostDecisions {
		return whole(refuse(http.StatusBadRequest, fmt.Sprintf("ask for 1 to %d decisions at a time", mostDecisions)))
	}
	if asked.Explain {
		if refusal := s.entitled(r); refusal != nil {
			return whole(*refusal)
		}
	}
	answers := batchAnswers{Generation: snapshot.Generation, Decisions: make([]json.RawMessage, len(asked.Decisions))}
	for i, one := range asked.Decisions {
		answers.Decisions[i] = s.decideOne(snapshot, q, one, asked.Explain)
	}
	return whole(answer{status: http.StatusOK, json: encode(answers)})
}

// whole is the answer to a request whose body was read to its end.
func whole(a answer) answer {
	a.whole = true
	return a
}

// decideOne answers one of a batch, with an error where GET would have a status.
func (s *Server) decideOne(snapshot *steering.Snapshot, q steering.Query, one batchQuery, explain bool) json.RawMessage {
	q.Service, q.Session, q.Path = snapshot.Layout.ByKey(one.Service), one.Session, one.Path
	if q.Service < 0 {
		return encode(errorBody{Error: noService.message})
	}
	if one.Client != "" {
		client, err := parseClient(one.Client)
		if err != nil {
			return encode(errorBody{Error: err.Error()})
		}
		q.Client = client
	}
	a := s.describeFor(snapshot, q)
	if explain {
		a = s.explained(a, one.Service, q)
	}
	return a.json
}
