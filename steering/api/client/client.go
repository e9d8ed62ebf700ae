package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fairway/steering"
	"fairway/steering/api"
)

// ErrUnreachable is in every error that says that no node answered.
var ErrUnreachable = errors.New("no Fairway node answers")

// timeout bounds a whole exchange: as long as the API may take to answer, since a
// large configuration is compiled while the operator waits. Callers shorten it
// with their context.
const timeout = 30 * time.Second

// maxAnswer bounds what is read of an answer. A status of a thousand services
// is a few tens of megabytes.
const maxAnswer = 256 << 20

// Client speaks to one node. Make one with New.
type Client struct {
	base    string // without a final slash
	token   string
	http    *http.Client
	patient *patience // nil = what nobody can answer now has failed
}

// Option changes how a Client speaks.
type Option func(*Client)

// Over has a client speak over a transport, such as one that shows a certificate.
func Over(transport http.RoundTripper) Option {
	return func(c *Client) { c.http.Transport = transport }
}

// New returns a client for the node at base, such as http://127.0.0.1:8400 or
// 127.0.0.1:8400. The token may be empty. Nothing is sent yet.
func New(base, token string, options ...Option) (*Client, error) {
	full := base
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%q is not the address of a Fairway API: write it like http://127.0.0.1:8400", base)
	}
	c := &Client{
		base:  strings.TrimSuffix(u.String(), "/"),
		token: strings.TrimSpace(token),
		http: &http.Client{
			Timeout:       timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, option := range options {
		option(c)
	}
	return c, nil
}

// Address is where the node is asked, as a URL.
func (c *Client) Address() string { return c.base }

// Status asks what the node knows and does.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	var status api.Status
	err := c.Do(ctx, http.MethodGet, "/api/v1/status", nil, &status)
	return status, err
}

// Explain asks why a client gets what it gets.
func (c *Client) Explain(ctx context.Context, service string, q steering.Query) (*steering.Explanation, error) {
	return c.explain(ctx, service, q, "")
}

func (c *Client) explain(ctx context.Context, service string, q steering.Query, at string) (*steering.Explanation, error) {
	query := url.Values{"service": {service}, "client": {q.Client.String()}, "door": {q.Door.String()}, "source": {q.Source.String()}}
	if at != "" {
		query.Set("at", at)
	}
	if q.Path != "" {
		query.Set("path", q.Path)
	}
	explanation := new(steering.Explanation)
	if err := c.Do(ctx, http.MethodGet, "/api/v1/explain?"+query.Encode(), nil, explanation); err != nil {
		return nil, err
	}
	return explanation, nil
}

// ExplainAt asks why a client had the endpoint that it had at a time.
func (c *Client) ExplainAt(ctx context.Context, service string, q steering.Query, at time.Time) (*steering.Explanation, error) {
	return c.explain(ctx, service, q, at.Format(time.RFC3339Nano))
}

// Revision asks for the configuration in force with its files.
func (c *Client) Revision(ctx context.Context) (api.Revision, error) {
	var revision api.Revision
	err := c.Do(ctx, http.MethodGet, "/api/v1/revision", nil, &revision)
	return revision, err
}

// State asks for what the node decides from and what it last decided.
func (c *Client) State(ctx context.Context) (api.State, error) {
	var state api.State
	err := c.Do(ctx, http.MethodGet, "/api/v1/state", nil, &state)
	return state, err
}

// Traffic asks for the sample of what clients asked.
func (c *Client) Traffic(ctx context.Context) ([]steering.Traffic, error) {
	var answer api.Queries
	err := c.Do(ctx, http.MethodGet, "/api/v1/queries", nil, &answer)
	return answer.Queries, err
}

// Overrides asks for the overrides in force.
func (c *Client) Overrides(ctx context.Context) ([]steering.Override, error) {
	var answer api.Overrides
	err := c.Do(ctx, http.MethodGet, "/api/v1/overrides", nil, &answer)
	return answer.Overrides, err
}

// Drain sends no new clients to a provider or endpoint. The request's kind is
// set here.
func (c *Client) Drain(ctx context.Context, request api.OverrideRequest) (steering.Override, error) {
	request.Kind = steering.Drain
	return c.override(ctx, request)
}

// Force sends all clients that it can serve to a provider or endpoint. The
// request's kind is set here.
func (c *Client) Force(ctx context.Context, request api.OverrideRequest) (steering.Override, error) {
	request.Kind = steering.Force
	return c.override(ctx, request)
}

// Override gives an order of any kind.
func (c *Client) Override(ctx context.Context, request api.OverrideRequest) (steering.Override, error) {
	return c.override(ctx, request)
}

// OverrideLog asks who did what to overrides, the oldest first.
func (c *Client) OverrideLog(ctx context.Context) ([]steering.OverrideEvent, error) {
	var answer api.OverrideLog
	err := c.Do(ctx, http.MethodGet, "/api/v1/overrides/log", nil, &answer)
	return answer.Events, err
}

func (c *Client) override(ctx context.Context, request api.OverrideRequest) (steering.Override, error) {
	var made steering.Override
	err := c.Do(ctx, http.MethodPost, "/api/v1/overrides", request, &made)
	return made, err
}

// Undrain lifts the drains that match and returns them.
func (c *Client) Undrain(ctx context.Context, match api.OverrideMatch) ([]steering.Override, error) {
	match.Kind = steering.Drain
	return c.Lift(ctx, match)
}

// Lift lifts the overrides that match, of any kind unless one is named. It returns none
// where it had to ask again and nothing was in force by then.
func (c *Client) Lift(ctx context.Context, match api.OverrideMatch) ([]steering.Override, error) {
	path, query := "/api/v1/overrides", url.Values{}
	if match.ID != "" {
		path += "/" + url.PathEscape(match.ID)
	}
	for key, value := range map[string]string{
		"target": match.Target, "region": match.Region, "service": match.Service, "kind": string(match.Kind),
		"pool": match.Pool, "labels": match.Labels, "author": match.By,
	} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var answer api.Overrides
	err := c.Do(ctx, http.MethodDelete, path, nil, &answer)
	return answer.Overrides, err
}

// Do sends in as JSON (nil = no body) to a path of the node and reads the JSON
// of the answer into out (nil = not read). It is for the paths that a node adds
// to the API.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return c.send(ctx, method, path, body, "", out)
}

// Secrets are what nobody must see of this client.
func (c *Client) Secrets() []string { return []string{c.token} }

// Text is what a path of the node answers that is no JSON, such as /metrics, with its
// status.
func (c *Client) Text(ctx context.Context, path string) (text string, status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return "", 0, fmt.Errorf("GET %s: %w", path, err)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return "", 0, c.unreachable(ctx, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return "", 0, c.unreachable(ctx, err)
	}
	return string(answer), response.StatusCode, nil
}

// send has one exchange with the node, or several where it says that it can be asked
// again.
func (c *Client) send(ctx context.Context, method, path string, body []byte, encoding string, out any) error {
	key := ""
	if c.patient != nil && method == http.MethodPost {
		key = rand.Text()
	}
	for tried := false; ; tried = true {
		began := time.Now()
		err := c.exchange(ctx, method, path, body, encoding, key, out)
		if tried && method == http.MethodDelete && errors.Is(err, api.ErrNotFound) {
			return nil // what was to go is gone, by an earlier try for all that is known (RFC 9110 §9.2.2)
		}
		if !c.patient.again(ctx, err, time.Since(began)) {
			return err
		}
	}
}

func (c *Client) exchange(ctx context.Context, method, path string, body []byte, encoding, key string, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	request.Header.Set("Accept", "application/json")
	if method != http.MethodGet {
		request.Header.Set("Content-Type", "application/json")
	}
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", strconv.Quote(key))
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer response.Body.Close()
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if media != "application/json" {
		return fmt.Errorf("something answers at %s, but not the API of a Fairway node (HTTP %d): is the address right?", c.base, response.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if response.StatusCode/100 != 2 {
		return c.refused(response, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the answer of %s%s cannot be read (%w): are the node and this program of one release?", c.base, path, err)
	}
	return nil
}

// refused is the node's own error, with what only the client knows added.
func (c *Client) refused(response *http.Response, answer []byte) error {
	status := response.StatusCode
	e := &api.Error{Status: status, RetryAfter: retryAfter(response.Header)}
	if err := json.Unmarshal(answer, e); err != nil || e.Message == "" {
		e.Message = fmt.Sprintf("the node answers HTTP %d without a reason", status)
	}
	if status == http.StatusUnauthorized {
		e.Message = fmt.Sprintf("the node at %s wants another token than the one sent", c.base)
		e.Remedy = "use the token from the node's token file; a new one is read when the node starts"
		if c.token == "" {
			e.Message = fmt.Sprintf("the node at %s wants a token, and none was sent", c.base)
		}
	}
	return e
}

// unreachable says why nobody answered and what to look at.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() == context.Canceled {
		return ctx.Err()
	}
	var unknownHost *net.DNSError
	hint := "is it running? start one with \"fairway run --config PATH\", or say where it is"
	switch {
	case errors.As(err, &unknownHost):
		hint = "the name does not resolve: is it spelled right?"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		hint = "its certificate is of an authority that is not known here: name that with --ca-file"
	case isTimeout(err):
		hint = "it took too long: is the address right, and does no firewall stand between?"
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // the method and address are said already
	}
	return fmt.Errorf("%w at %s: %s (%w)", ErrUnreachable, c.base, hint, err)
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
