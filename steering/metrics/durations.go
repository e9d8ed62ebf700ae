package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// durations is a histogram that many observations of one duration are told at once, which
// prometheus.Histogram cannot be. It has one label of a closed set of values.
type durations struct {
	desc   *prometheus.Desc
	bounds []float64 // seconds
	of     []*observed
}

// observed is what is known for one value of the label.
type observed struct {
	value   string
	buckets []atomic.Uint64 // by bound, then what is above the last
	nanos   atomic.Uint64   // the sum
}

// newDurations makes one for these values and for "other".
func newDurations(name, help, label string, values []string, bounds []float64) *durations {
	d := &durations{desc: prometheus.NewDesc(name, help, []string{label}, nil), bounds: bounds}
	for _, value := range append(values, other) {
		d.of = append(d.of, &observed{value: value, buckets: make([]atomic.Uint64, len(bounds)+1)})
	}
	return d
}

// observe adds so many observations of one duration.
func (d *durations) observe(value string, times uint64, took time.Duration) {
	i := 0
	for i < len(d.of)-1 && d.of[i].value != value {
		i++
	}
	took = max(0, took)
	at, seconds := 0, took.Seconds()
	for at < len(d.bounds) && seconds > d.bounds[at] {
		at++
	}
	d.of[i].buckets[at].Add(times)
	d.of[i].nanos.Add(times * uint64(took))
}

// Describe implements prometheus.Collector.
func (d *durations) Describe(ch chan<- *prometheus.Desc) { ch <- d.desc }

// Collect implements prometheus.Collector. What was never observed has no series.
func (d *durations) Collect(ch chan<- prometheus.Metric) {
	for _, o := range d.of {
		buckets, sum := make(map[float64]uint64, len(d.bounds)), uint64(0)
		for i, bound := range d.bounds {
			sum += o.buckets[i].Load()
			buckets[bound] = sum
		}
		if sum += o.buckets[len(d.bounds)].Load(); sum > 0 {
			ch <- prometheus.MustNewConstHistogram(d.desc, sum, time.Duration(o.nanos.Load()).Seconds(), buckets, o.value)
		}
	}
}
