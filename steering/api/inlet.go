package api

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"fairway/steering"
)

// Bounds of a batch. The body as sent is bounded by maxBody; decompressed it
// may be larger, since measurements repeat themselves, but not without end.
const (
	// MaxBatch is how many measurements one request may carry.
	MaxBatch    = 10_000
	maxUnpacked = 8 << 20
	maxFindings = 5 // that are told of one batch
)

func (s *Server) postMeasurements(r *http.Request) (any, error) {
	body, err := content(r)
	if err != nil {
		return nil, err
	}
	received := time.Now()
	sent, err := readBatch(body)
	if err != nil {
		return nil, err
	}
	token, _ := TokenOf(r.Context())
	wire := sent.Measurements
	measurements := make([]steering.Measurement, 0, len(wire))
	var findings []string
	for i := range wire {
		m, err := wire[i].Steering()
		if err != nil {
			findings = append(findings, fmt.Sprintf("measurements[%d]: %v", i, err))
		} else if err := token.MayReport(m.Vantage); err != nil {
			return nil, err
		}
		measurements = append(measurements, m)
	}
	if findings != nil {
		more := ""
		if n := len(findings) - maxFindings; n > 0 {
			findings, more = findings[:maxFindings], fmt.Sprintf(" (and %d more)", n)
		}
		return nil, invalid("nothing of this batch was taken", "%s%s", strings.Join(findings, "; "), more)
	}
	if sent.Sender != nil {
		if err := s.report(r, sent.Sender, measurements); err != nil {
			return nil, err
		}
		return Accepted{Accepted: len(measurements), Received: received, Answered: time.Now()}, nil
	}
	if len(measurements) > 0 {
		if err := s.config.Control.Observe(r.Context(), measurements); err != nil {
			return nil, err
		}
	}
	return Accepted{Accepted: len(measurements)}, nil
}

// content reads a request's whole body, unpacked.
func content(r *http.Request) (io.Reader, error) {
	packed, err := unpacked(r)
	if err != nil {
		return nil, err
	}
	return whole(packed)
}

// unpacked returns the body without its content encoding.
func unpacked(r *http.Request) (io.Reader, error) {
	switch encoding := r.Header.Get("Content-Encoding"); strings.ToLower(encoding) {
	case "", "identity":
		return r.Body, nil
	case "gzip":
		unzip, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, badJSON(fmt.Errorf("gzip: %w", err))
		}
		return &bounded{from: unzip, left: maxUnpacked + 1}, nil
	default:
		return nil, &Error{
			Status:  http.StatusUnsupportedMediaType, // RFC 9110 §15.5.16
			Message: fmt.Sprintf("content encoding %q is not known here", cut(encoding, 40)),
			Remedy:  "send it plain or with gzip",
		}
	}
}

// bounded is a reader that fails, instead of ending, when there is more than it
// may give.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, tooLarge(maxUnpacked)
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// readBatch reads a Batch value by value, so that a body of a million tiny
// measurements is refused at the first one too many. A field that it does not know is a
// mistake of whoever wrote the batch; after a sender, whose program is Fairway's, it is
// what a later release says more, and left out.
func readBatch(body io.Reader) (*Batch, error) {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	if err := expect(decoder, '{'); err != nil {
		return nil, err
	}
	var batch Batch
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, badJSON(err)
		}
		switch key {
		case "version":
			if err = decoder.Decode(&batch.Version); err != nil {
				err = fmt.Errorf("version: %w", err)
			}
		case "sender":
			if err = decodeKnown(decoder, &batch.Sender); err != nil {
				err = fmt.Errorf("sender: %w", err)
			}
		case "measurements":
			batch.Measurements, err = readMeasurements(decoder, batch.Sender != nil)
		default:
			if batch.Sender == nil {
				err = fmt.Errorf("unknown field %q", key)
			} else {
				err = decoder.Decode(new(json.RawMessage))
			}
		}
		if err != nil {
			return nil, badJSON(err)
		}
	}
	if err := expect(decoder, '}'); err != nil {
		return nil, err
	}
	if err := atEnd(decoder); err != nil {
		return nil, err
	}
	if batch.Version != BatchVersion {
		return nil, invalid("upgrade the control nodes before the probes",
			"the batch has version %d, this release reads %d", batch.Version, BatchVersion)
	}
	return &batch, nil
}

// decodeKnown decodes a value and leaves out fields that it does not have.
func decodeKnown(decoder *json.Decoder, into any) error {
	var raw json.RawMessage
	if err := decoder.Decode(&raw); err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// readMeasurements reads the list; lenient leaves out fields that it does not know.
func readMeasurements(decoder *json.Decoder, lenient bool) ([]Measurement, error) {
	decode := func(m *Measurement) error { return decoder.Decode(m) }
	if lenient {
		decode = func(m *Measurement) error { return decodeKnown(decoder, m) }
	}
	if err := expect(decoder, '['); err != nil {
		return nil, err
	}
	var list []Measurement
	for decoder.More() {
		if len(list) == MaxBatch {
			return nil, &Error{
				Status:  http.StatusRequestEntityTooLarge,
				Message: fmt.Sprintf("there are more than %d measurements", MaxBatch),
				Remedy:  "send them in several requests",
			}
		}
		var m Measurement
		if err := decode(&m); err != nil {
			return nil, fmt.Errorf("measurements[%d]: %w", len(list), err)
		}
		list = append(list, m)
	}
	return list, expect(decoder, ']')
}

// expect reads one delimiter.
func expect(decoder *json.Decoder, want json.Delim) error {
	token, err := decoder.Token()
	if err != nil {
		return badJSON(err)
	}
	if token != want {
		return badJSON(errors.New("not " + want.String() + " where it belongs"))
	}
	return nil
}
