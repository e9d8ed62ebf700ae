package client

import (
	"context"
	"fmt"
	"net/http"

	"fairway/steering/api"
)

// Apply puts files in force, or on trial. An *api.Error with Findings tells what
// is wrong with them.
func (c *Client) Apply(ctx context.Context, request api.ApplyRequest) (api.Applied, error) {
	var applied api.Applied
	err := c.Do(ctx, http.MethodPost, "/api/v1/revisions", request, &applied)
	return applied, err
}

// Revisions asks which revisions are kept, and what is in force.
func (c *Client) Revisions(ctx context.Context) (api.RevisionList, error) {
	var list api.RevisionList
	err := c.Do(ctx, http.MethodGet, "/api/v1/revisions", nil, &list)
	return list, err
}

// RevisionAt asks for one that is kept, with its files.
func (c *Client) RevisionAt(ctx context.Context, number uint64) (api.Revision, error) {
	var revision api.Revision
	err := c.Do(ctx, http.MethodGet, fmt.Sprintf("/api/v1/revisions/%d", number), nil, &revision)
	return revision, err
}

// Rollback puts an earlier revision in force again; 0 = what was before.
func (c *Client) Rollback(ctx context.Context, number uint64, by api.By) (api.Applied, error) {
	var applied api.Applied
	err := c.Do(ctx, http.MethodPost, fmt.Sprintf("/api/v1/revisions/%d/rollback", number), by, &applied)
	return applied, err
}

// Promote has the canary serve everybody.
func (c *Client) Promote(ctx context.Context, by api.By) (api.Applied, error) {
	return c.canary(ctx, "promote", by)
}

// Abort ends the canary.
func (c *Client) Abort(ctx context.Context, by api.By) (api.Applied, error) {
	return c.canary(ctx, "abort", by)
}

func (c *Client) canary(ctx context.Context, action string, by api.By) (api.Applied, error) {
	var applied api.Applied
	err := c.Do(ctx, http.MethodPost, "/api/v1/canary/"+action, by, &applied)
	return applied, err
}
