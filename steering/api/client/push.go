package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/vantage"
)

// pushSize is how many measurements go into one request: at their largest they
// stay within the node's limits, packed and unpacked.
const pushSize = 1000

// PushMeasurements sends measurements to the node's inlet, packed, in as many
// requests as they need. On an error those of earlier requests have been taken;
// to send all again does no harm beyond counting twice.
func (c *Client) PushMeasurements(ctx context.Context, measurements []steering.Measurement) error {
	for len(measurements) > 0 {
		n := min(pushSize, len(measurements))
		if err := c.push(ctx, measurements[:n]); err != nil {
			return err
		}
		measurements = measurements[n:]
	}
	return nil
}

func (c *Client) push(ctx context.Context, measurements []steering.Measurement) error {
	accepted, err := c.pushBatch(ctx, api.Batch{Measurements: wire(measurements)})
	if err == nil && accepted.Accepted != len(measurements) {
		err = fmt.Errorf("push measurements: %s took %d of %d", c.base, accepted.Accepted, len(measurements))
	}
	return err
}

// Report sends a batch of one vantage, with what its sender says of itself.
func (c *Client) Report(ctx context.Context, from vantage.Sender, batch []steering.Measurement) (api.Accepted, error) {
	return c.pushBatch(ctx, api.Batch{Sender: api.WireSender(from), Measurements: wire(batch)})
}

// Assignment asks what a vantage is to measure, and reads it into work; false when
// it is still that of after.
func (c *Client) Assignment(ctx context.Context, name, after string, wait time.Duration, work any) (tag string, fresh bool, err error) {
	query := url.Values{"vantage": {name}, "after": {after}, "wait": {wait.String()}}
	var raw json.RawMessage
	answer := api.Assigned{Work: &raw}
	if err := c.Do(ctx, http.MethodGet, "/api/v1/assignment?"+query.Encode(), nil, &answer); err != nil {
		return "", false, err
	}
	if answer.Tag == after {
		return after, false, nil
	}
	if err := json.Unmarshal(raw, work); err != nil {
		return "", false, fmt.Errorf("the assignment of %s cannot be read (%w): are the node and this program of one release?", c.base, err)
	}
	return answer.Tag, true, nil
}

func wire(measurements []steering.Measurement) []api.Measurement {
	list := make([]api.Measurement, 0, len(measurements))
	for _, m := range measurements {
		list = append(list, api.WireMeasurement(m))
	}
	return list
}

func (c *Client) pushBatch(ctx context.Context, batch api.Batch) (api.Accepted, error) {
	batch.Version = api.BatchVersion
	var accepted api.Accepted
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if err := json.NewEncoder(zip).Encode(batch); err != nil {
		return accepted, fmt.Errorf("pack measurements: %w", err)
	}
	if err := zip.Close(); err != nil {
		return accepted, fmt.Errorf("pack measurements: %w", err)
	}
	if err := c.send(ctx, http.MethodPost, "/api/v1/measurements", packed.Bytes(), "gzip", &accepted); err != nil {
		return accepted, fmt.Errorf("push measurements: %w", err)
	}
	return accepted, nil
}
