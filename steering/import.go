package steering

import "time"

// Import is where others keep what they have measured, and what is taken from there.
type Import struct {
	Name string
	// URL is the base of Prometheus' HTTP API, or what is scraped: a page of metrics,
	// or blackbox_exporter's /probe.
	URL    string
	Source ImportSource
	Every  time.Duration // from start to start
	// Timeout is for one answer.
	Timeout time.Duration
	Stale   time.Duration // what is older by its own time does not count
	Access  ImportAccess

	Signals      []Signal              // sorted by name; only of Prometheus
	Measurements *ImportedMeasurements // nil = none
	Place        Place
}

// ImportSource is how an import is asked.
type ImportSource string

// The sources.
const (
	ImportPrometheus ImportSource = "prometheus" // queries (/api/v1/query)
	ImportScrape     ImportSource = "scrape"     // the text format of exporters
)

// ImportAccess is what an import shows of itself, and whom it trusts. All are paths of
// files; empty = none.
type ImportAccess struct {
	TokenFile    string // a bearer token
	User         string // not a file; with PasswordFile
	PasswordFile string
	CAFile       string // PEM; empty = the system's authorities
	CertFile     string
	KeyFile      string
}

// ImportedMeasurements is how a prober's metrics become measurements.
type ImportedMeasurements struct {
	Prober  Prober
	Vantage string            // as which they count
	Region  string            // the vantage's
	Select  map[string]string // labels that each metric must have
	Label   string            // whose values are targets
	// Endpoints are by the label's value; nil = the value is an endpoint's id.
	Endpoints map[string]string
	Prefix    string        // before the names of metrics
	Unit      time.Duration // of cloudprober's latencies
}

// Prober is a program that measures, and whose metrics are understood.
type Prober string

// The probers.
const (
	Blackbox    Prober = "blackbox"    // Prometheus' blackbox_exporter
	Cloudprober Prober = "cloudprober" // cloudprober's Prometheus surfacer
)
