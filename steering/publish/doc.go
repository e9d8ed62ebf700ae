// Package publish is the one loop with time in it: it turns measurements,
// overrides and layouts into the next generation.
//
// In:  batches of measurements (Observe), the operators' overrides
// (SetOverrides), a new layout after a reload (SetLayout), a revision on trial for
// some of the clients (SetLayouts), the clock.
// Out: numbered snapshots through Config.Publish, and their dynamic half through
// Config.Save.
//
// # How it decides
//
// For each service × group the filter chain of the group's rule runs over the
// service's endpoints: eligibility → health → locality → prefer → score. What is
// left goes to package allocate, which divides the clients and bounds the moves.
// The chain is pure; explain runs it again with a trace.
//
// # When
//
// Inputs are coalesced: at most one decision round each Config.Coalesce. A round
// looks again only at groups whose evidence changed or whose bounds have run out,
// decides those in the same situation once, and makes a generation only if some
// client would get another answer.
//
// # Canary
//
// A revision on trial is a second track: it is decided from the same health and
// overrides, by itself, and sealed into the same generation.
//
// # Concurrency
//
// One goroutine owns all of it. Observe, SetLayout and SetOverrides hand over
// through channels; View and Explain read an immutable value. Where many services are
// to be decided it has others help, and waits for them: see decideAll.
package publish
