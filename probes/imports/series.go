package imports

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// series is one metric of one thing, with its points in the order of time.
type series struct {
	name   string
	labels map[string]string
	points []point
}

type point struct {
	at    time.Time
	value float64
}

// query asks Prometheus.
func (a *asker) query(ctx context.Context, query string) ([]series, []string, error) {
	form := url.Values{
		"query": {query}, "timeout": {seconds(a.of.Timeout)},
		// Without it a sample may be as old as the server's own --query.lookback-delta.
		"lookback_delta": {seconds(a.of.Stale)},
	}
	body, err := a.get(ctx, a.of.URL+"/api/v1/query?"+form.Encode(), nil)
	var answer struct {
		Status, Error string
		Warnings      []string
		Data          struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	wrong := json.Unmarshal(body, &answer)
	switch {
	case err != nil && wrong == nil && answer.Error != "":
		return nil, nil, fmt.Errorf("%w: %s", err, clip(answer.Error))
	case err != nil:
		return nil, nil, err
	case wrong != nil || answer.Status != "success":
		return nil, nil, fmt.Errorf("the answer is not one of Prometheus' API: is the URL the one before /api/v1?")
	}
	all, err := resultOf(answer.Data.ResultType, answer.Data.Result)
	if err == nil && len(all) > maxSeries {
		return nil, nil, fmt.Errorf("%d series, more than %d: sum over labels that are not needed", len(all), maxSeries)
	}
	return all, answer.Warnings, err
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s" }

// resultOf reads the result of a query.
func resultOf(kind string, result []byte) (all []series, err error) {
	switch kind {
	case "vector":
		var vector model.Vector
		if err = json.Unmarshal(result, &vector); err != nil {
			break
		}
		for _, s := range vector {
			if s.Histogram == nil {
				all = append(all, seriesOf(s.Metric, point{s.Timestamp.Time(), float64(s.Value)}))
			}
		}
		return all, nil
	case "matrix":
		var matrix model.Matrix
		if err = json.Unmarshal(result, &matrix); err != nil {
			break
		}
		for _, stream := range matrix {
			points := make([]point, 0, len(stream.Values))
			for _, v := range stream.Values {
				points = append(points, point{v.Timestamp.Time(), float64(v.Value)})
			}
			all = append(all, seriesOf(stream.Metric, points...))
		}
		return all, nil
	default:
		return nil, fmt.Errorf("the result is a %s, which has no labels: want a vector", clip(kind))
	}
	return nil, fmt.Errorf("the result is no %s as Prometheus writes it: %w", kind, err)
}

func seriesOf(metric model.Metric, points ...point) series {
	s := series{labels: make(map[string]string, len(metric)), points: points}
	for name, value := range metric {
		if name == model.MetricNameLabel {
			s.name = string(value)
		} else {
			s.labels[string(name)] = string(value)
		}
	}
	return s
}

// scrape reads a page of metrics. What states no time is as of the answer.
func (a *asker) scrape(ctx context.Context, target string) ([]series, error) {
	body, err := a.get(ctx, target, http.Header{
		"Accept": {"text/plain; version=0.0.4"},
		// blackbox_exporter ends its probe in time for this.
		"X-Prometheus-Scrape-Timeout-Seconds": {strconv.FormatFloat(a.of.Timeout.Seconds(), 'f', -1, 64)},
	})
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, firstLine(body))
	}
	return parsePage(body, time.Now())
}

// parsePage reads the text format of exporters.
func parsePage(page []byte, now time.Time) ([]series, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return nil, fmt.Errorf("it is no page of metrics: %w", err)
	}
	var all []series
	for name, family := range families {
		for _, m := range family.Metric {
			at := now
			if ms := m.GetTimestampMs(); ms != 0 {
				at = time.UnixMilli(ms)
			}
			labels := make(map[string]string, len(m.Label))
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			for suffix, value := range valuesOf(m) {
				all = append(all, series{name: name + suffix, labels: labels, points: []point{{at, value}}})
			}
		}
		if len(all) > maxSeries {
			return nil, fmt.Errorf("more than %d series", maxSeries)
		}
	}
	return all, nil
}

// valuesOf gives a metric's values by what is added to its name. Buckets and quantiles
// are left out.
func valuesOf(m *dto.Metric) map[string]float64 {
	switch {
	case m.Counter != nil:
		return map[string]float64{"": m.Counter.GetValue()}
	case m.Gauge != nil:
		return map[string]float64{"": m.Gauge.GetValue()}
	case m.Untyped != nil:
		return map[string]float64{"": m.Untyped.GetValue()}
	case m.Histogram != nil:
		return map[string]float64{"_sum": m.Histogram.GetSampleSum(), "_count": float64(m.Histogram.GetSampleCount())}
	case m.Summary != nil:
		return map[string]float64{"_sum": m.Summary.GetSampleSum(), "_count": float64(m.Summary.GetSampleCount())}
	}
	return nil
}

// number tells whether a value is one.
func number(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func clip(text string) string {
	if r := []rune(text); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return text
}

// firstLine is what a refusal says, for people.
func firstLine(body []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	if len(line) == 0 {
		return ""
	}
	return ": " + clip(string(bytes.ToValidUTF8(line, []byte("?"))))
}
