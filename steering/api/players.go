package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"fairway/steering/rum"
)

// PlayersVersion is the form of PlayerCells that this release reads and writes.
const PlayersVersion = 1

// Players is the body of GET /api/v1/players: what players tell, by service,
// endpoint and region, and within it by country and AS.
type Players struct {
	Now  time.Time `json:"now"`
	Rows []rum.Row `json:"rows"`
	// Counts is what became of the reports that came to this node's own door, nil
	// where it has none.
	Counts *rum.Counts `json:"counts,omitempty"`
}

// PlayerCells is the body of POST /api/v1/players, by which a node with doors tells
// what players told it, plain or with Content-Encoding: gzip. To send it twice counts
// it twice.
type PlayerCells struct {
	Version int         `json:"version"` // PlayersVersion
	Cells   []*rum.Cell `json:"cells"`
}

// PlayerCellsTaken is the answer to PlayerCells.
type PlayerCellsTaken struct {
	Cells   int `json:"cells"`
	Unknown int `json:"unknown"` // about endpoints or regions that the revision in force does not have
}

// Audience is what a control node knows of players, and takes from other nodes.
type Audience interface {
	Players() Players
	// TakeCells takes cells and returns how many were of things that are not known.
	TakeCells(ctx context.Context, cells []*rum.Cell) (unknown int, err error)
}

func (s *Server) audience() (Audience, error) {
	if s.config.Players == nil {
		return nil, &Error{
			Status: http.StatusServiceUnavailable, Message: "this node does not play the control role",
			Remedy: "ask the node that does",
		}
	}
	return s.config.Players, nil
}

func (s *Server) getPlayers(r *http.Request) (any, error) {
	audience, err := s.audience()
	if err != nil {
		return nil, err
	}
	players := audience.Players()
	players.Rows = some(players.Rows)
	return players, nil
}

func (s *Server) postPlayers(r *http.Request) (any, error) {
	audience, err := s.audience()
	if err != nil {
		return nil, err
	}
	body, err := content(r)
	if err != nil {
		return nil, err
	}
	var sent PlayerCells
	if err := decode(body, &sent); err != nil {
		return nil, err
	}
	if sent.Version != PlayersVersion {
		return nil, invalid("upgrade the control nodes before those with doors", "the cells have version %d, this release reads %d", sent.Version, PlayersVersion)
	}
	if len(sent.Cells) > MaxBatch {
		return nil, &Error{
			Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("there are %d cells, more than %d", len(sent.Cells), MaxBatch),
			Remedy: "send them in several requests",
		}
	}
	for i, c := range sent.Cells {
		if err := c.Check(); err != nil {
			return nil, invalid("nothing of these cells was taken", "cells[%d]: %v", i, err)
		}
	}
	unknown, err := audience.TakeCells(r.Context(), sent.Cells)
	return PlayerCellsTaken{Cells: len(sent.Cells) - unknown, Unknown: unknown}, err
}
