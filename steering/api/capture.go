package api

import (
	"net/http"
	"time"

	"fairway/steering"
)

// State is what the node decides from and what it last decided, at one moment.
type State struct {
	Now       time.Time           `json:"now"`
	State     steering.State      `json:"state"` // with the health that was read
	Overrides []steering.Override `json:"overrides"`
}

// Queries is a sample of what clients asked; see package sample.
type Queries struct {
	Queries []steering.Traffic `json:"queries"`
}

func (s *Server) getRevision(*http.Request) (any, error) { return value(s.config.Control.Revision()) }

func (s *Server) getState(*http.Request) (any, error) { return value(s.config.Control.State()) }

func (s *Server) getQueries(*http.Request) (any, error) {
	return Queries{Queries: some(s.config.Control.Traffic())}, nil
}

// value gives up a result that came with an error.
func value[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}
