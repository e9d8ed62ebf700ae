// Package importers turns the configuration of other traffic steering systems
// into ours.
//
// In:  the bytes of their files.
// Out: one of our configurations as text, and notes: everything that could not
// be carried over, or only nearly, with its file and line.
//
// # What is kept
//
// Which clients go where, in which order things fail over, weights, health
// checks, names and records. Every importer fills a draft of our own language's
// things; one writer prints it. What comes out compiles without errors: a record
// that our language refuses is left out with a note.
//
// # What is not
//
// What has no counterpart here is never dropped silently: coordinates, distances
// and AWS regions (we measure latency instead), cities, and probes that run on
// the steering server itself. Nothing is fetched: what a file refers to is noted.
//
// # Sources
//
// Apache Traffic Control's coverage zone files; gdnsd 2 and 3: gdnsd.config(5),
// gdnsd-plugin-geoip(8), gdnsd-plugin-metafo(8) and zone files; octoDNS zone
// files with dynamic records; the AWS CLI's `route53 list-resource-record-sets`
// and `list-health-checks`.
//
// The package is pure: it opens no file and reads no clock.
package importers
