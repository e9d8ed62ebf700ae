// Package health turns measurements into verdicts.
//
// In:  a Revision (what is measured, by which vantages, for which regions),
// Measurements in any order, and the time.
// Out: a HealthTable with one Health per subject × region, and the Changes of
// verdict with their evidence.
//
// It is pure: the time is an argument, and there is no goroutine, no lock, no
// log and no clock. A Judge belongs to one goroutine.
//
// # From measurements to an address
//
// An address, seen from one vantage, is undecided until its first ok
// measurement makes it healthy, or Fall failures in a row make it failing. From
// then on Fall failures in a row turn it failing and Rise ok measurements in a
// row turn it healthy. Runs follow the time at which the probes ended, not the
// order in which the measurements came; a second measurement of the same time
// is a duplicate and ignored.
//
// An address whose newest measurement is older than Probe.Stale is forgotten
// with all that is known of it: DNS no longer names it, or its vantage is gone.
//
// # From addresses to a vantage's view
//
//   - Down when half or more of the known addresses are failing. Also when the
//     name did not resolve Fall times in a row; that ends when an address was
//     measured Rise times since, or when the newest such failure is stale.
//   - Degraded when fewer than half are failing. Also when less than 80 % of at
//     least five measurements in the window were ok: single failures that never
//     reach Fall in a row. Failures of an outage that has ended do not count
//     here, else Rise would mean nothing.
//   - Healthy otherwise, and unknown while every address is undecided.
//
// # From views to a region
//
// A region is measured by the vantages it declares (measured_by), else by those
// that stand in it, else by all. Health.MeasuredIn tells when that is not the
// region itself. A part of a region (within) is judged by its own vantages as soon as
// as many of them have something to say as the quorum asks for, two at least, and by
// the whole's jury else; for the whole they are one network, so that a CDN that fails
// in one AS alone is down there and nowhere else. Only vantages with a fresh view vote; the quorum is
// min(Probe.Quorum, vantages of the region). Where all vantages stand in, it is
// more than half of them at least: what fails near one region only must not
// move the clients of a region that nobody measures.
//
//   - Down when a quorum says down.
//   - Degraded when a quorum says down or degraded.
//   - Healthy when at least one vantage says healthy.
//   - Unknown otherwise: nothing fresh, nothing decided, or fewer than a quorum
//     of vantages left and none of them content. Losing vantages therefore ends
//     in unknown, whatever the verdict was, and one lying vantage among several
//     never makes down or degraded (invariants 6 and 9 in docs/ARCHITECTURE.md).
//
// # Figures
//
// Samples and Availability are over Probe.Window. P50, P95 (nearest rank) and
// the median Throughput are over the newest five ok measurements of every
// vantage × address in that window, so that they follow a shift of level within
// a few measurements. Figures move when a measurement comes, not while none
// does; an unknown verdict has none, but keeps Newest.
//
// # Restarts and new revisions
//
// A verdict handed to Restore stands, with its figures, until a quorum of
// vantages has a view of its own or its Newest is stale. A subject whose target
// or probe a new revision changes starts anew under its last verdict in the same
// way; one that is unchanged keeps all.
//
// # Clocks
//
// A measurement more than a minute ahead of the last Judge is set aside until
// the next one: taken in if the time has come near by then, dropped if not. So a
// vantage whose clock is fast is not heard, and a Judge that was not asked for a
// while loses nothing. A vantage whose clock is slow by more than Stale never
// has a fresh view.
//
// # Limits
//
// Per subject × vantage: 64 addresses, the one unseen for longest giving way.
// Per address: a ring of Window/Every measurements and a few more for fast
// rechecks, 64 at most; a longer window is seen only so far back.
package health
