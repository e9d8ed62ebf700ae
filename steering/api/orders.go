package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

func (s *Server) getOverrides(*http.Request) (any, error) {
	return Overrides{Overrides: some(s.config.Control.Overrides())}, nil
}

func (s *Server) postOverride(r *http.Request) (any, error) {
	var request OverrideRequest
	body, err := whole(r.Body)
	if err != nil {
		return nil, err
	}
	if err := decode(body, &request); err != nil {
		return nil, err
	}
	status := s.config.Control.Status()
	override, err := request.override(&status, time.Now().UTC())
	if err != nil {
		return nil, err
	}
	override.ID = orderID(r)
	if made, err := s.given(&override); made != nil || err != nil {
		return made, err
	}
	made, err := s.config.Control.PutOverride(r.Context(), override)
	if err != nil {
		return nil, err
	}
	s.logOverride("override added", &made)
	return made, nil
}

// orderID is the ID of the override that a request with an Idempotency-Key makes
// (draft-ietf-httpapi-idempotency-key-header), so that one that is sent again is known,
// also to another control node; empty without such a key.
func orderID(r *http.Request) string {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))
}

// given is the override that an earlier request with the same key has made; nil when
// there is none. A key that was used for another order is refused, §2.7 of the draft.
func (s *Server) given(o *steering.Override) (any, error) {
	all := s.config.Control.Overrides()
	i := slices.IndexFunc(all, func(other steering.Override) bool { return o.ID != "" && other.ID == o.ID })
	if i < 0 {
		return nil, nil
	}
	same := all[i]
	same.Created, same.Expires = o.Created, o.Expires
	if same != *o {
		return nil, &Error{Status: http.StatusUnprocessableEntity, Message: "this Idempotency-Key was used for another order", Remedy: "use a new key for each order"}
	}
	return all[i], nil
}

func (s *Server) deleteOverrides(r *http.Request) (any, error) {
	query := r.URL.Query()
	match := OverrideMatch{
		ID: r.PathValue("id"), Target: query.Get("target"), Region: query.Get("region"),
		Service: query.Get("service"), Kind: steering.OverrideKind(query.Get("kind")),
		Pool: query.Get("pool"), Labels: query.Get("labels"), By: cmp.Or(strings.TrimSpace(query.Get("author")), "somebody over the API"),
	}
	if match.ID == "" && match.Target == "" && match.Pool == "" && match.Kind != steering.Freeze {
		return nil, invalid("add target=PROVIDER, target=ENDPOINT, pool=POOL or kind=freeze, or delete /api/v1/overrides/ID", "which override to lift is not said")
	}
	if !printable(match.By, maxAuthor) {
		return nil, invalid("", "the author is one line of text, at most %d bytes", maxAuthor)
	}
	lifted, err := s.config.Control.DeleteOverrides(r.Context(), match)
	if err != nil {
		return nil, err
	}
	if len(lifted) == 0 {
		return nil, notFound(inForce(s.config.Control.Overrides()), "there is no %s", match)
	}
	for i := range lifted {
		s.logOverride("override lifted", &lifted[i])
	}
	return Overrides{Overrides: lifted}, nil
}

func (s *Server) getOverrideLog(r *http.Request) (any, error) {
	events, err := s.config.Control.OverrideLog(r.Context())
	return OverrideLog{Events: some(events)}, err
}

func (s *Server) logOverride(what string, o *steering.Override) {
	s.config.Logger.Info(what, "id", o.ID, "kind", o.Kind, "provider", o.Provider, "endpoint", o.Endpoint,
		"pool", o.Pool, "region", o.Region, "service", o.Service, "labels", o.Labels, "weight", o.Weight, "reason", o.Reason, "author", o.Author, "expires", o.Expires)
}

// inForce is the remedy for an override that does not exist.
func inForce(overrides []steering.Override) string {
	if len(overrides) == 0 {
		return "no override is in force"
	}
	var names []string
	for _, o := range overrides {
		names = append(names, o.ID+", "+OverrideMatch{Kind: o.Kind, Target: o.Provider + o.Endpoint, Pool: o.Pool, Region: o.Region, Service: o.Service, Labels: o.Labels}.String())
	}
	return "in force: " + strings.Join(names, "; ")
}

// some turns no list into an empty one, so that JSON says [] and not null.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// whole reads a bounded body to its end. A json.Decoder on the body itself
// would look at blanks again with each piece that comes, which lets few bytes
// cost much time.
func whole(body io.Reader) (io.Reader, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, badJSON(err)
	}
	return bytes.NewReader(text), nil
}

// decode reads exactly one JSON value with no unknown field: a mistyped field
// name must not silently mean its default.
func decode(body io.Reader, into any) error {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return badJSON(err)
	}
	return atEnd(decoder)
}

// atEnd says whether something follows the value that was read.
func atEnd(decoder *json.Decoder) error {
	_, err := decoder.Token()
	if err == io.EOF {
		return nil
	}
	return invalid("send one JSON value", "there is something after the JSON value")
}

// badJSON says what is wrong with a body; limits and broken connections keep
// their own error.
func badJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalid("send a JSON object", "the body is empty or ends in the middle of the JSON")
	}
	if limit, is := errors.AsType[*http.MaxBytesError](err); is {
		return limit
	}
	if own, is := errors.AsType[*Error](err); is {
		return own
	}
	return invalid("", "the body is not the JSON that belongs here: %s", strings.TrimPrefix(err.Error(), "json: "))
}
