// Package estimate knows what a viewer's fetch costs at each endpoint in each region,
// and how sure that is: the figures behind score: auto.
//
// In:  a revision (Configure), probes' measurements (Probe), sums of what players
// report (Players), the time.
// Out: a Table with an Estimate for each endpoint × region.
//
// # Latency
//
// The logarithm of latency at an endpoint, seen from a place, is a level that the
// region shares, and an offset of the place: a network whose players report, or a
// vantage. Both are followed by scalar Kalman filters (Kalman 1960) that share each
// observation in proportion to their uncertainty. So what few players tell of a
// network is shrunk towards its region. Levels and offsets wander at rates that are
// constants here: by about a tenth within an hour, and within half an hour. The two
// filters do not say which of them a change belongs to, only their sum; so a network of
// which nobody tells anything has the mean of those that tell (a place far off counts
// as one that is as far off as places are), and no level by itself.
//
// Where the operator states what a fetch usually takes (a survey), a region's level
// wanders around that and comes back to it within hours, and what vantages are off from
// it for long is theirs: three vantages do not stand where all viewers are, but they
// meet what changes for all. What is known of some networks tells of the others, as far
// as their traffic is known: together they are what the survey found.
//
// A jump (an observation more than three standard deviations off) is disbelieved
// once; when the next one from the same place agrees, both filters open up, so that a
// fault is followed within two observations while a single spike moves nothing.
//
// # Errors
//
// Failures and tries are counted with a half-life, for probes and for players apart;
// the rate is what is left after one standard deviation of chance is taken off the
// failures: a single failed probe says nothing. Of a region's vantages the one that sees
// most failures is left out, so that one alone makes nothing bad. The worse of the two
// sides counts, so failures that probes cannot see are seen where players report. A network's own rate
// is shrunk towards its region's.
//
// # Promises
//
// Pure: the time is an argument, there is no clock, no chance and no lock. A Book
// belongs to one goroutine; a Table never changes. What is known is bounded by what
// the revision names.
package estimate
