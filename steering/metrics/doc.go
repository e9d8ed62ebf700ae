// Package metrics counts what a node does and shows what it thinks, for
// Prometheus.
//
// In:  hooks of the doors, probes, reloads and the store, and functions that
// return the current snapshot, health and overrides.
// Out: a registry of its own and an http.Handler for /metrics.
//
// # Names
//
// They begin with fairway_, are in base units (_seconds, _ratio) and end in
// _total when they only grow. No label holds what a client sent: query names
// and addresses never, query types, response codes and statuses from closed
// sets with "other" for the rest, everything else from the configuration.
//
// # Forgetting
//
// What the revision no longer names has no series: gauges are made from the
// current snapshot at each scrape, and counters of dropped services, endpoints,
// regions, providers and vantages are deleted at the first scrape after the
// change. A name that comes back starts from 0, as after a restart.
//
// # Bounds
//
// Series by region grow with services × endpoints × regions. So many pairs of endpoint
// and region have them (Config.Pairs), in the order of the configuration; the services
// behind are counted without a region, and fairway_services_without_regions tells how many
// they are.
//
// # Cost
//
// Decided, Answered and Took take no lock and allocate nothing for what they have
// counted before. Everything is safe for concurrent use, and no decision is counted
// twice or not at all while generations come and go.
package metrics
