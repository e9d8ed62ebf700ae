package api

import (
	"context"
	"errors"

	"fairway/steering"
)

// Control is what a node can do for the API. Its methods are called
// concurrently. An error that is ErrNotFound becomes 404, ErrInvalid 400,
// ErrUnavailable 503, ErrConflict 409; an *Error is answered as it is; anything else is 500.
type Control interface {
	// Status says what the node knows and does; see Status.Describe.
	Status() Status
	// Explain decides for one client with everything that led to it; ErrNotFound
	// when there is no such service, ErrUnavailable before the first snapshot.
	Explain(service string, q steering.Query) (*steering.Explanation, error)
	// Revision returns the configuration in force with its files.
	Revision() (Revision, error)
	// State returns what decisions are made from, and what was last decided;
	// ErrUnavailable where nothing is decided.
	State() (State, error)
	// Traffic returns a sample of what clients asked, nil where there is none.
	Traffic() []steering.Traffic
	// Overrides returns those in force.
	Overrides() []steering.Override
	// PutOverride makes an override durable and puts it in force. The one given
	// is valid and names things that exist; the one returned has an ID, that of the
	// one given where it has one: then it may come again, and is made once.
	PutOverride(context.Context, steering.Override) (steering.Override, error)
	// DeleteOverrides lifts those that match and returns them; see
	// OverrideMatch.Matches.
	DeleteOverrides(context.Context, OverrideMatch) ([]steering.Override, error)
	// OverrideLog returns who did what to overrides, the oldest first.
	OverrideLog(context.Context) ([]steering.OverrideEvent, error)
	// Observe takes measurements that came from elsewhere.
	Observe(context.Context, []steering.Measurement) error
}

// What a Control may say. Client errors answer to the same with errors.Is.
var (
	ErrNotFound     = errors.New("not found")
	ErrInvalid      = errors.New("invalid request")
	ErrUnavailable  = errors.New("not available now")
	ErrUnauthorized = errors.New("token missing or wrong")
	ErrConflict     = errors.New("another change came first")
)
