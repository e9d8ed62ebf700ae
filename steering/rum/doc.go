// Package rum turns what players tell of their playback into figures of each
// endpoint: real user monitoring, without trusting the users.
//
// In:  bodies of CMCD events (CTA-5004-B §2.2), CMCD of requests (§2.1 and
// CTA-5004), content-steering polls and beacons of apps, each with its client's
// address; from other nodes, batches of cells.
// Out: a steering.Played per service × endpoint × region, and the cells behind it,
// by country and AS.
//
// # From reports to cells
//
// A Collector belongs to a node with the HTTP door. It adds every report to the
// cell of its service, endpoint, region, country and AS: counts, seconds, and
// quantile sketches (DDSketch, within 2 %), never single reports. A report about a
// URL is about the endpoint whose URL it lies below; one without a URL is about the
// endpoint that its session used last. Every Step the cells are taken out
// (Collector.Take), and control adds them to its Book, wherever they come from:
// sketches, counts and the bitmaps that count sessions and networks all merge.
// The Book forgets with a half-life of Memory.
//
// # Distrust
//
// Nobody can tell a player from a script, so what reports can do is bounded:
//
//   - Reports never reach package health. They reorder endpoints that are up, and
//     take nothing down: only probes or an operator do.
//   - A session counts for so many records in a Step, and a network (/24, /48) for so
//     many; what is above is dropped and counted.
//   - Values outside what players can mean are dropped, or clamped to a bound.
//   - Speeds are medians, so a minority cannot move them far; of the networks of a
//     region none weighs more than MaxNetwork of all, and those far from what the
//     others say are left out.
//   - Figures of fewer than MinSessions sessions, MinNetworks networks or MinSamples
//     records are not used. A network counts for SessionsPerNetwork sessions at most.
//   - What is left is drawn towards what is known of the wider area, AS → country →
//     region → all regions → all endpoints, the more the fewer sessions there are:
//     (n·x + k·parent) / (n + k), k = Shrink.
//   - A service can ask for signed target URLs; then reports without a valid
//     signature are dropped.
//
// # Memory
//
// Bounded by configuration, not by players: MaxCells cells of a few KiB, one table of
// sessions of a fixed size in which the oldest give way, two arrays of counters.
//
// # Concurrency
//
// A Collector is called by many goroutines at once; a Book belongs to one.
//
// # Known limits
//
// hls.js and Shaka report no failed requests (CMCD event rr), so their availability
// comes from steering polls. CMCD knows no CDN's name: where players ask our
// redirector for every segment, the endpoint is that of their last redirect.
package rum
