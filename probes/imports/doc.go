// Package imports brings what other systems know: signals for scores, by queries to
// Prometheus, and measurements, from the metrics of blackbox_exporter and cloudprober.
//
// In:  a revision, whose imports say whom to ask for what (Importer.Set), at any time.
// Out: batches of measurements (Config.Observe), and all signals together, whenever an
// import was asked (Config.Tell).
//
// # Two sources, and what is read from them
//
// A source is Prometheus' HTTP API, or a page in the text format of exporters. Both
// become series: names, labels, and points with a time of their own. What is made of
// series does not know where they come from, so that a prober is understood in the
// same way whether it is scraped here or was scraped by Prometheus.
//
// Signals come from Prometheus alone. Its language has rates, sums and ratios; a page
// of counters without it would need a second one here.
//
// # Times
//
// Series of a prober are asked for with a range selector, which gives each point the
// time at which it was scraped; pages may state times, else what they say is as of
// now. What was seen already, or is older than Import.Stale, does not count. A query
// that is a metric alone is asked for with a range as well. What is computed has the time
// of its evaluation: so that it rests on nothing older than Import.Stale, that is sent as
// lookback_delta; servers that do not know it look back by their own setting. Of a query
// that ends in a range the newest sample counts, at its own time.
//
// # Counters
//
// cloudprober counts: what it measured between two points is so many probes, of which
// so many succeeded and took so long together. They become as many measurements (64 at
// most), evenly spread over that time, with the mean latency; in which order they
// failed nobody knows. A counter that went back begins anew.
//
// # What fails
//
// An answer that is late, too large, a redirect, not what was asked for, or that fits
// two things where one is meant brings nothing, changes nothing, and is told: by Status
// and in the log when it begins and ends. The next turn tries again. Signals that were
// read before hold until they are stale.
//
// # Safety
//
// Addresses that are not public are asked only where the configuration allows them,
// checked after resolution, for each connection. Redirects are not followed. An answer
// has 16 MiB and 10,000 series at most. Secrets are read from their files at each turn,
// and stand in no message.
package imports
