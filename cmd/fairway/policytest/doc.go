// Package policytest runs the tests that operators write for their policies.
//
// In:  *_test.yaml files, each with the configuration beside it.
// Out: a Report: which expectations hold, what came instead where they do not
// and why, and which rules no test reached.
//
// A test states a world (verdicts and figures per endpoint, operators'
// overrides, a time) and what clients must get in it. The world's health is
// stated, not judged; from there on everything is what a node runs: the
// configuration is compiled by package policies, clients are placed by the
// network map of package geo, decisions are made by publish.Still and
// explained by publish.View. docs/POLICY-TESTS.md is the language for authors.
//
// # Time
//
// A test has steps. Between two of them the world stands still and time goes
// on: a decision is made whenever a bound (dwell, ramp, max shift) or an
// override ends, as the publish loop would, and one at the step itself.
//
// # Clients that the geo data do not know
//
// A client may be given by its attributes, such as an ASN of which no database
// at hand knows an address. It gets an address of its own out of 100::/64,
// which is never routed (RFC 6666), and the test's table maps that address to
// the cell in which the network map puts such a client.
//
// # Limits
//
// Nothing is judged: to test rise, fall and quorum is the business of package
// health. A test file may have 32 MiB.
package policytest
