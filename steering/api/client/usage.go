package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"fairway/steering/api"
)

// Usage asks what each provider carries, beside its contract.
func (c *Client) Usage(ctx context.Context) (api.Usage, error) {
	var u api.Usage
	err := c.Do(ctx, http.MethodGet, "/api/v1/usage", nil, &u)
	return u, err
}

// ReportUsage tells the node what providers carried, or doors handed out, packed.
// The version is set here. To send the same again does no harm.
func (c *Client) ReportUsage(ctx context.Context, report api.UsageReport) (api.UsageTaken, error) {
	report.Version = api.UsageVersion
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if err := json.NewEncoder(zip).Encode(report); err != nil {
		return api.UsageTaken{}, fmt.Errorf("pack usage: %w", err)
	}
	if err := zip.Close(); err != nil {
		return api.UsageTaken{}, fmt.Errorf("pack usage: %w", err)
	}
	var taken api.UsageTaken
	if err := c.send(ctx, http.MethodPost, "/api/v1/usage", packed.Bytes(), "gzip", &taken); err != nil {
		return taken, fmt.Errorf("report usage: %w", err)
	}
	return taken, nil
}
