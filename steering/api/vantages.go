package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"fairway/steering"
	"fairway/steering/vantage"
)

// Vantages is what a control node knows of vantages that are elsewhere. Its methods
// are called concurrently.
type Vantages interface {
	// Assignment tells what a vantage is to measure: its tag, which differs when it
	// does, the JSON of it, and a channel that is closed when it may have changed.
	Assignment(vantage string) (tag string, work any, changed <-chan struct{}, err error)
	// Report takes a batch of one vantage with what its sender says of itself. An
	// error that is vantage.ErrRepeated means that the batch was taken before.
	Report(ctx context.Context, from vantage.Sender, batch []steering.Measurement) error
	// Reporting is what is known of each vantage.
	Reporting() map[string]vantage.Row
}

// Sender is what the sender of a Batch says of itself. With it a batch is of one
// vantage, and counted: see package vantage.
type Sender struct {
	Vantage   string              `json:"vantage"`
	Boot      string              `json:"boot"`                 // names a run of the sender
	Sequence  uint64              `json:"sequence"`             // of the batch, from 1, apart for each control node; 0 = a greeting without measurements
	Sent      time.Time           `json:"sent"`                 // by the control node's clock, as the sender knows it
	Offset    float64             `json:"clock_offset_seconds"` // by which the control node's clock is ahead of the sender's
	Buffered  int                 `json:"buffered"`             // measurements that wait
	Dropped   uint64              `json:"dropped,omitempty"`    // given up since boot, for want of room
	Withheld  uint64              `json:"withheld,omitempty"`   // not sent since boot, since the vantage was ill
	Version   string              `json:"version,omitempty"`    // of the program
	Condition *steering.Condition `json:"condition,omitempty"`
}

func (w *Sender) read() (vantage.Sender, error) {
	s := vantage.Sender{
		Vantage: w.Vantage, Boot: w.Boot, Sequence: w.Sequence, Sent: w.Sent, Buffered: w.Buffered, Dropped: w.Dropped, Withheld: w.Withheld, Version: w.Version,
	}
	const year = 365 * 86400
	switch {
	case w.Vantage == "" || w.Boot == "" || max(len(w.Vantage), len(w.Boot), len(w.Version)) > maxName:
		return s, errors.New("sender: vantage or boot is empty, or a text is too long")
	case w.Sent.IsZero():
		return s, errors.New("sender: sent is missing")
	case !(w.Offset >= -100*year && w.Offset <= 100*year) || w.Buffered < 0:
		return s, errors.New("sender: a figure is out of range")
	}
	s.Offset = time.Duration(w.Offset * float64(time.Second))
	if w.Condition != nil {
		s.Condition = *w.Condition
		s.Condition.Why = cut(s.Condition.Why, maxDetail)
	}
	return s, nil
}

// WireSender gives what a sender says of itself its wire form.
func WireSender(s vantage.Sender) *Sender {
	return &Sender{
		Vantage: s.Vantage, Boot: s.Boot, Sequence: s.Sequence, Sent: s.Sent.UTC(), Offset: s.Offset.Seconds(), Buffered: s.Buffered,
		Dropped: s.Dropped, Withheld: s.Withheld, Version: s.Version, Condition: &s.Condition,
	}
}

// Assigned is the answer to GET /api/v1/assignment.
type Assigned struct {
	Tag  string `json:"tag"`            // give it as after, to be answered when there is another one
	Work any    `json:"work,omitempty"` // absent when it is that of after
}

// longestWait bounds how long a question for another assignment is kept.
const longestWait = 25 * time.Second

// vantages is what the node knows of vantages, or why it knows nothing.
func (s *Server) vantages() (Vantages, error) {
	if s.config.Vantages == nil {
		return nil, &Error{
			Status: http.StatusServiceUnavailable, Message: "this node does not play the control role",
			Remedy: "ask the node that does",
		}
	}
	return s.config.Vantages, nil
}

// getAssignment answers at once with an assignment that the caller does not have,
// else when there is another one, or the wait is over.
func (s *Server) getAssignment(r *http.Request) (any, error) {
	known, err := s.vantages()
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	name, after := query.Get("vantage"), query.Get("after")
	if name == "" {
		return nil, invalid("add ?vantage=NAME", "no vantage is named")
	}
	token, _ := TokenOf(r.Context())
	if err := token.MayReport(name); err != nil {
		return nil, err
	}
	wait := time.Duration(0)
	if text := query.Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 {
			return nil, invalid("write it like wait=20s", "wait %q is no duration", cut(text, 40))
		}
	}
	over := time.NewTimer(min(wait, longestWait))
	defer over.Stop()
	for {
		tag, work, changed, err := known.Assignment(name)
		if err != nil {
			return nil, err
		}
		if tag != after {
			return Assigned{Tag: tag, Work: work}, nil
		}
		select {
		case <-changed:
		case <-over.C:
			return Assigned{Tag: tag}, nil
		case <-s.stopping:
			return Assigned{Tag: tag}, nil
		case <-r.Context().Done():
			return Assigned{Tag: tag}, nil // nobody reads it
		}
	}
}

// report takes a batch whose sender counts.
func (s *Server) report(r *http.Request, sender *Sender, batch []steering.Measurement) error {
	known, err := s.vantages()
	if err != nil {
		return err
	}
	from, err := sender.read()
	if err != nil {
		return invalid("nothing of this batch was taken", "%v", err)
	}
	token, _ := TokenOf(r.Context())
	if err := token.MayReport(from.Vantage); err != nil {
		return err
	}
	for i := range batch {
		if batch[i].Vantage != from.Vantage {
			return invalid("send a batch for each vantage", "measurements[%d]: vantage %q is not the sender's, %q", i, cut(batch[i].Vantage, 80), from.Vantage)
		}
	}
	if from.Sequence == 0 && len(batch) > 0 {
		return invalid("number batches from 1", "sender: sequence 0 is a greeting and carries no measurements")
	}
	err = known.Report(r.Context(), from, batch)
	switch {
	case errors.Is(err, vantage.ErrRepeated):
		return nil
	case errors.Is(err, vantage.ErrSkew):
		return &Error{Status: http.StatusConflict, Message: err.Error(), Remedy: "measure the offset of the clocks anew, by a greeting, and send the batch again"}
	}
	return err
}
