package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"fairway/steering/api"
	"fairway/steering/rum"
)

// Usage asks what each provider carries, beside its contract.
func (c *Client) Usage(ctx context.Context) (api.Usage, error) {
	var u api.Usage
	err := c.Do(ctx, http.MethodGet, "/api/v1/usage", nil, &u)
	return u, err
}

// Players returns what players tell.
func (c *Client) Players(ctx context.Context) (api.Players, error) {
	var p api.Players
	return p, c.Do(ctx, http.MethodGet, "/api/v1/players", nil, &p)
}

// ReportPlayers tells the node what players told this one, packed.
func (c *Client) ReportPlayers(ctx context.Context, cells []*rum.Cell) (api.PlayerCellsTaken, error) {
	var taken api.PlayerCellsTaken
	packed, err := pack(api.PlayerCells{Version: api.PlayersVersion, Cells: cells})
	if err != nil {
		return taken, fmt.Errorf("pack cells: %w", err)
	}
	if err := c.send(ctx, http.MethodPost, "/api/v1/players", packed, "gzip", &taken); err != nil {
		return taken, fmt.Errorf("report players: %w", err)
	}
	return taken, nil
}

// History returns what was kept between two times.
func (c *Client) History(ctx context.Context, from, to time.Time, states bool) (api.History, error) {
	var h api.History
	query := url.Values{"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}}
	if states {
		query.Set("states", "true")
	}
	return h, c.Do(ctx, http.MethodGet, "/api/v1/history?"+query.Encode(), nil, &h)
}

// StateAt returns what was known and decided at a time.
func (c *Client) StateAt(ctx context.Context, at time.Time) (api.State, error) {
	var s api.State
	return s, c.Do(ctx, http.MethodGet, "/api/v1/history/state?at="+url.QueryEscape(at.Format(time.RFC3339Nano)), nil, &s)
}

// pack gives a value as packed JSON.
func pack(v any) ([]byte, error) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	err := errors.Join(json.NewEncoder(zip).Encode(v), zip.Close())
	return packed.Bytes(), err
}

// ReportUsage tells the node what providers carried, or doors handed out, packed.
// The version is set here. To send the same again does no harm.
func (c *Client) ReportUsage(ctx context.Context, report api.UsageReport) (api.UsageTaken, error) {
	report.Version = api.UsageVersion
	packed, err := pack(report)
	if err != nil {
		return api.UsageTaken{}, fmt.Errorf("pack usage: %w", err)
	}
	var taken api.UsageTaken
	if err := c.send(ctx, http.MethodPost, "/api/v1/usage", packed, "gzip", &taken); err != nil {
		return taken, fmt.Errorf("report usage: %w", err)
	}
	return taken, nil
}
