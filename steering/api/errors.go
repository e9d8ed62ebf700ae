package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"fairway/policies"
)

// Error is the body of every answer that is not a success, and what the client
// returns for one.
type Error struct {
	Status  int    `json:"-"` // HTTP status
	Message string `json:"error"`
	Remedy  string `json:"remedy,omitempty"` // what the caller can do about it
	// Findings are all that is wrong with a configuration that was sent.
	Findings policies.Findings `json:"findings,omitempty"`
	// RetryAfter is when the same request may be sent again, as the header Retry-After
	// (RFC 9110 §10.2.3); 0 = it is not said. It promises that nothing happens twice:
	// nothing was done, or the request is known by its Idempotency-Key, or it lifts what
	// can be lifted only once.
	RetryAfter time.Duration `json:"-"`
}

// TellRetry puts RetryAfter into the header of an answer, in whole seconds.
func (e *Error) TellRetry(h http.Header) {
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
}

// Error gives the message, and the remedy on a line of its own.
func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.Message
	}
	return e.Message + "\n    " + e.Remedy
}

// Is makes the sentinels of this package hold on both sides of the wire.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrInvalid:
		return e.Status == http.StatusBadRequest
	case ErrUnavailable:
		return e.Status == http.StatusServiceUnavailable
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized
	case ErrConflict:
		return e.Status == http.StatusConflict
	}
	return false
}

// failure turns whatever a handler returns into an Error.
func failure(err error) *Error {
	if own, is := errors.AsType[*Error](err); is {
		return own
	}
	if limit, is := errors.AsType[*http.MaxBytesError](err); is {
		return tooLarge(limit.Limit)
	}
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, ErrInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, ErrConflict):
		status = http.StatusConflict
	case errors.Is(err, ErrUnavailable):
		status = http.StatusServiceUnavailable
	}
	return &Error{Status: status, Message: err.Error()}
}

func invalid(remedy, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

func notFound(remedy, format string, args ...any) *Error {
	return &Error{Status: http.StatusNotFound, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

func tooLarge(limit int64) *Error {
	return &Error{
		Status:  http.StatusRequestEntityTooLarge,
		Message: fmt.Sprintf("the body is larger than %d bytes", limit),
		Remedy:  "send less at once",
	}
}
