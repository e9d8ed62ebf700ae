package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"fairway/steering"
	"fairway/steering/api"
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
	batch := api.Batch{Version: api.BatchVersion, Measurements: make([]api.Measurement, 0, len(measurements))}
	for _, m := range measurements {
		batch.Measurements = append(batch.Measurements, api.WireMeasurement(m))
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if err := json.NewEncoder(zip).Encode(batch); err != nil {
		return fmt.Errorf("pack measurements: %w", err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("pack measurements: %w", err)
	}
	var accepted api.Accepted
	if err := c.send(ctx, http.MethodPost, "/api/v1/measurements", packed.Bytes(), "gzip", &accepted); err != nil {
		return fmt.Errorf("push measurements: %w", err)
	}
	if accepted.Accepted != len(measurements) {
		return fmt.Errorf("push measurements: %s took %d of %d", c.base, accepted.Accepted, len(measurements))
	}
	return nil
}
