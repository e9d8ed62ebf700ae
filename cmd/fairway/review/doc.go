// Package review finds what is lawful in a configuration and yet looks like a
// mistake, where only the compiled network map can tell.
//
// In:  a steering.Layout (the rules and the cells of the address space), and which
// attributes the geo data know.
// Out: findings with exact places, sorted, each with an example client.
//
// # What is found
//
//   - rule-never-matches: no cell meets the condition, or earlier rules take
//     every cell that does. An error: the operator wrote a rule in vain.
//   - rule-overlap: two rules both match some clients, each matches others alone,
//     and they do different things. The earlier one decides, which may not be
//     what was meant. A warning with three clients: one of both, one of each. A
//     rule for listed networks before one for other clients is an exception that
//     was meant, and so is a pair for whose overlap an earlier rule decides.
//   - endpoint-never-picked: the eligibility of every rule that the service's
//     clients meet leaves the endpoint out, or no region's clients go to its pool.
//   - weight-never-counts: a weight for what its rule never divides clients over.
//
// # How it decides
//
// Over cells: on each of them every rule has one outcome, so "both match" is
// not guessed from the text of conditions but seen. Each claim is shown by a
// client, so there are no false alarms about what an expression might mean; what
// differs only where the geo data know nothing is not found. Rules that read services
// are asked about a few with different labels, those that read the time at one time at
// which they match. A rule that reads
// an attribute which the geo data cannot tell (ASNs without an ASN database), or
// names a region that nobody is in, is left alone: package geo warns of that.
//
// # Cost
//
// Each distinct condition runs once per cell, of at most maxCells cells;
// BenchmarkReview measures 1,000 services with 20 rules over 250 regions. The
// package is pure and keeps nothing.
package review
