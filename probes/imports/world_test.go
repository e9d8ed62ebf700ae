package imports

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// loopback allows what tests ask.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// revisionWith is a small world with some imports.
func revisionWith(imports ...steering.Import) *steering.Revision {
	r := &steering.Revision{
		Providers: []*steering.Provider{{Name: "akamai"}, {Name: "fastly"}},
		Pools:     []*steering.Pool{{Name: "eu"}},
		Regions:   []steering.Region{{Name: "eu"}},
		Vantages:  []steering.Vantage{{Name: "box", Region: "eu", External: true}},
		Imports:   imports,
		Probing:   steering.Probing{Allow: loopback},
	}
	s := &steering.Service{Key: "live"}
	for _, id := range []string{"live/akamai", "live/fastly", "live/bunny"} {
		s.Endpoints = append(s.Endpoints, &steering.Endpoint{ID: id, Service: "live", Provider: id[len("live/"):]})
	}
	r.Services = []*steering.Service{s}
	return r
}

// taker keeps what an importer brings.
type taker struct {
	mu       sync.Mutex
	measured []steering.Measurement
	table    *steering.SignalTable
	told     int
}

func (k *taker) importer(t testing.TB) *Importer {
	t.Helper()
	i, err := New(Config{
		Observe: func(_ context.Context, batch []steering.Measurement) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.measured = append(k.measured, batch...)
		},
		Tell: func(_ context.Context, table *steering.SignalTable) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.table, k.told = table, k.told+1
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (k *taker) measurements() []steering.Measurement {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]steering.Measurement(nil), k.measured...)
}

// readings are the signals that were told last: value by what it is of.
func (k *taker) readings() map[string]float64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make(map[string]float64)
	for _, r := range k.table.Readings() {
		all[r.Signal+" of "+describe(r.SignalKey)] = r.Value
	}
	return all
}

// only is the one task of an importer, to be turned by hand.
func only(t testing.TB, i *Importer, r *steering.Revision) *task {
	t.Helper()
	i.Set(r)
	if len(i.tasks) != 1 {
		t.Fatalf("%d imports", len(i.tasks))
	}
	for _, one := range i.tasks {
		return one
	}
	return nil
}

// page serves what its handler says, and remembers what it was asked.
type page struct {
	*httptest.Server
	mu    sync.Mutex
	asked []*http.Request
	say   func(w http.ResponseWriter, r *http.Request)
}

func newPage(t testing.TB, say func(w http.ResponseWriter, r *http.Request)) *page {
	p := &page{say: say}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r)
		say := p.say
		p.mu.Unlock()
		say(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *page) now(say func(w http.ResponseWriter, r *http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.say = say
}

func (p *page) last() *http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[len(p.asked)-1]
}

func text(format string, args ...any) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, format, args...) }
}

// vector is an answer of Prometheus: series with their values, all of one time.
func vector(at time.Time, series ...string) func(w http.ResponseWriter, r *http.Request) {
	var list []string
	for i := 0; i+1 < len(series); i += 2 {
		list = append(list, fmt.Sprintf(`{"metric":{%s},"value":[%d,%q]}`, series[i], at.Unix(), series[i+1]))
	}
	return text(`{"status":"success","data":{"resultType":"vector","result":[%s]}}`, strings.Join(list, ","))
}

func withSignals(url string, signals ...steering.Signal) steering.Import {
	return steering.Import{
		Name: "logs", URL: url, Source: steering.ImportPrometheus, Every: 15 * time.Second, Timeout: time.Minute, Stale: time.Minute, Signals: signals,
	}
}

var errorsByCDN = steering.Signal{
	Name: "errors", Query: "sum by (cdn, region) (error_ratio)", Provider: steering.Labelled{Label: "cdn", Names: map[string]string{"AKAM": "akamai"}}, Region: steering.Labelled{Label: "region"},
}
