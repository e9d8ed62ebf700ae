package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"fairway/steering"
)

const oneMeasurement = `{"subject":"endpoint live/alpha/eu","vantage":"fra","region":"eu","address":"192.0.2.1",` +
	`"at":"2026-11-22T21:00:00.5Z","outcome":"ok","phases":{"connect_seconds":0.0125,"ttfb_seconds":0.1},"status":200,"bytes":4096}`

func batchOf(measurements ...string) string {
	return `{"version":1,"measurements":[` + strings.Join(measurements, ",") + `]}`
}

func zipped(t *testing.T, text io.Reader) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.Copy(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestInletTakesMeasurements(t *testing.T) {
	want := steering.Measurement{
		Subject: "endpoint live/alpha/eu", Vantage: "fra", Region: "eu", Address: netip.MustParseAddr("192.0.2.1"),
		At: time.Date(2026, 11, 22, 21, 0, 0, 5e8, time.UTC), Outcome: steering.OutcomeOK,
		Phases: steering.Phases{Connect: 12500 * time.Microsecond, TTFB: 100 * time.Millisecond}, Status: 200, Bytes: 4096,
	}
	f := newFixture(t, nil)
	f.ask("POST", "/api/v1/measurements", batchOf(oneMeasurement))
	f.send("POST", "/api/v1/measurements", zipped(t, strings.NewReader(batchOf(oneMeasurement))), "Content-Encoding: gzip")
	w := f.ask("POST", "/api/v1/measurements", `{"measurements":[],"version":1}`)
	if w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"accepted":0}` {
		t.Errorf("an empty batch: %d %s", w.Code, w.Body)
	}
	if diff := cmp.Diff([]steering.Measurement{want, want}, f.node.taken, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}

func TestInletRefuses(t *testing.T) {
	with := func(from, to string) string {
		return batchOf(oneMeasurement, strings.Replace(oneMeasurement, from, to, 1))
	}
	for name, row := range map[string]struct {
		body   string
		status int
		words  []string
	}{
		"nothing":              {``, 400, []string{"empty"}},
		"garbage":              {"\x00\xff{", 400, nil},
		"not an object":        {`[1,2]`, 400, nil},
		"null":                 {`null`, 400, nil},
		"cut short":            {`{"version":1,"measurements":[`, 400, []string{"ends in the middle"}},
		"cut in a value":       {`{"version":1,"measurements":[{"sub`, 400, []string{"ends in the middle"}},
		"no version":           {`{"measurements":[]}`, 400, []string{"version 0", "reads 1"}},
		"a later version":      {`{"version":2,"measurements":[]}`, 400, []string{"version 2", "upgrade"}},
		"version as text":      {`{"version":"1","measurements":[]}`, 400, []string{"version"}},
		"measurements as text": {`{"version":1,"measurements":"x"}`, 400, []string{"["}},
		"a measurement null":   {batchOf("null"), 400, []string{"measurements[0]", "subject"}},
		"a measurement number": {batchOf(oneMeasurement, "7"), 400, []string{"measurements[1]"}},
		"unknown field":        {`{"version":1,"mesurements":[]}`, 400, []string{"mesurements"}},
		"unknown phase":        {with(`"ttfb_seconds"`, `"ttfb_second"`), 400, []string{"measurements[1]", "ttfb_second"}},
		"something after":      {batchOf() + batchOf(), 400, []string{"after"}},
		"no subject kind":      {with("endpoint live/alpha/eu", "live/alpha/eu"), 400, []string{"measurements[1]", "endpoint ID"}},
		"no subject":           {with("endpoint live/alpha/eu", "endpoint "), 400, []string{"subject"}},
		"long subject":         {with("live/alpha/eu", strings.Repeat("x", 600)), 400, []string{"subject"}},
		"no vantage":           {with(`"fra"`, `""`), 400, []string{"vantage"}},
		"no region":            {with(`"eu"`, `""`), 400, []string{"region"}},
		"no time":              {with(`"2026-11-22T21:00:00.5Z"`, `"0001-01-01T00:00:00Z"`), 400, []string{"at is missing"}},
		"bad time":             {with(`"2026-11-22T21:00:00.5Z"`, `"yesterday"`), 400, nil},
		"bad address":          {with("192.0.2.1", "192.0.2.999"), 400, []string{"192.0.2.999"}},
		"unknown outcome":      {with(`"ok"`, `"fine"`), 400, []string{"fine", "timeout"}},
		"negative phase":       {with("0.0125", "-1"), 400, []string{"phase"}},
		"endless phase":        {with("0.0125", "1e300"), 400, []string{"phase"}},
		"phase as text":        {with("0.0125", `"12ms"`), 400, []string{"phases.connect_seconds"}},
		"status out of range":  {with("200", "20000"), 400, []string{"status"}},
		"negative bytes":       {with("4096", "-1"), 400, []string{"bytes"}},
		"two faults":           {with(`"ok"`, `"fine","detail":"`+strings.Repeat("d", 300)+`"`), 400, []string{"fine", "detail", "nothing of this batch was taken"}},
		"too many":             {batchOf(strings.Split(strings.Repeat("{} ", MaxBatch+1)[:3*MaxBatch+2], " ")...), 413, []string{"10000"}},
		"too large":            {batchOf(`{"detail":"` + strings.Repeat("x", 2<<20) + `"}`), 413, []string{"1048576"}},
		"deep":                 {`{"version":` + strings.Repeat("[", 20_000), 400, nil},
	} {
		f := newFixture(t, nil)
		w := f.ask("POST", "/api/v1/measurements", row.body)
		if w.Code != row.status {
			t.Errorf("%s:", name)
		}
		wantError(t, w, row.status, row.words...)
		if len(f.node.taken) != 0 {
			t.Errorf("%s: %d measurements were taken", name, len(f.node.taken))
		}
	}
}

// bomb is half a gigabyte of blanks after a head, in half a megabyte: gzip
// members may follow each other (RFC 1952 §2.2).
func bomb(t *testing.T, head string) *bytes.Buffer {
	t.Helper()
	b := zipped(t, strings.NewReader(head))
	b.Write(bytes.Repeat(zipped(t, strings.NewReader(strings.Repeat(" ", 1<<20))).Bytes(), 512))
	if b.Len() > maxBody {
		t.Fatalf("the bomb has %d bytes, and would be refused for its size", b.Len())
	}
	return b
}

func TestInletRefusesGzip(t *testing.T) {
	good := zipped(t, strings.NewReader(batchOf(oneMeasurement)))
	broken := bytes.Clone(good.Bytes())
	broken[len(broken)/2] ^= 0x55
	for name, row := range map[string]struct {
		body     *bytes.Buffer
		encoding string
		status   int
	}{
		"a bomb of blanks":   {bomb(t, `{"version":1,"measurements":[`), "gzip", 413},
		"a bomb of text":     {bomb(t, `{"version":1,"measurements":[{"detail":"`), "gzip", 413},
		"not gzip":           {bytes.NewBufferString(batchOf(oneMeasurement)), "gzip", 400},
		"broken gzip":        {bytes.NewBuffer(broken), "gzip", 400},
		"cut gzip":           {bytes.NewBuffer(good.Bytes()[:good.Len()-12]), "gzip", 400},
		"empty":              {new(bytes.Buffer), "gzip", 400},
		"gzip not announced": {good, "", 400},
		"gzip twice":         {zipped(t, zipped(t, strings.NewReader(batchOf()))), "gzip, gzip", 415},
		"another encoding":   {bytes.NewBufferString("x"), "br", 415},
	} {
		f := newFixture(t, nil)
		w := f.send("POST", "/api/v1/measurements", row.body, "Content-Encoding: "+row.encoding)
		if w.Code != row.status {
			t.Errorf("%s:", name)
		}
		wantError(t, w, row.status)
		if len(f.node.taken) != 0 {
			t.Errorf("%s: measurements were taken", name)
		}
	}
}

// Whatever a probe can measure crosses the wire without loss.
func TestMeasurementRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		phase := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "ns"))
		})
		m := steering.Measurement{
			Subject: steering.OriginSubject("eu", "https://o.test"), Vantage: "fra", Region: "eu",
			At:      epoch.Add(phase.Draw(t, "at")),
			Outcome: rapid.SampledFrom(steering.Outcomes()).Draw(t, "outcome"),
			Detail:  rapid.StringN(0, 60, 240).Draw(t, "detail"),
			Phases: steering.Phases{
				DNS: phase.Draw(t, "dns"), Connect: phase.Draw(t, "connect"), TLS: phase.Draw(t, "tls"),
				TTFB: phase.Draw(t, "ttfb"), Transfer: phase.Draw(t, "transfer"),
			},
			Status: rapid.IntRange(0, 599).Draw(t, "status"), Bytes: rapid.Int64Range(0, 1<<40).Draw(t, "bytes"),
		}
		if rapid.Bool().Draw(t, "resolved") {
			m.Address = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
		}
		text, err := json.Marshal(WireMeasurement(m))
		if err != nil {
			t.Fatal(err)
		}
		var wire Measurement
		if err := json.Unmarshal(text, &wire); err != nil {
			t.Fatal(err)
		}
		got, err := wire.Steering()
		if err != nil || got != m {
			t.Fatalf("%s\ngot  %+v, %v\nwant %+v", text, got, err, m)
		}
	})
}

func TestWireMeasurementCutsDetail(t *testing.T) {
	for _, text := range []string{strings.Repeat("é", 300), strings.Repeat("x", 300), "\xff\xfe" + strings.Repeat("日", 200)} {
		wire := WireMeasurement(steering.Measurement{Subject: "endpoint x", Vantage: "v", Region: "r", At: epoch, Outcome: "ok", Detail: text})
		if _, err := wire.Steering(); err != nil || len(wire.Detail) < maxDetail-4 {
			t.Errorf("detail of %d bytes becomes %d: %v", len(text), len(wire.Detail), err)
		}
	}
}

func FuzzReadBatch(f *testing.F) {
	f.Add(batchOf(oneMeasurement))
	f.Add(`{"version":1}`)
	f.Fuzz(func(t *testing.T, body string) {
		list, err := readBatch(strings.NewReader(body))
		if err == nil && !json.Valid([]byte(body)) {
			t.Errorf("%d measurements out of invalid JSON %q", len(list.Measurements), body)
		}
	})
}
