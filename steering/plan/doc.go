// Package plan says what a changed configuration would do before it does it: who
// moves where, at once and in the end, what it costs and what becomes slower.
//
// In:  two layouts, and one moment of a node: its decisions, health and
// overrides, and a sample of its queries if there is one (Input); or a recording
// of such moments (Replay).
// Out: a Plan, which is plain data, and its picture (SVG).
//
// # How it looks ahead
//
// Nothing is modelled: publish.Still, which is what a node decides with, decides
// the same world under both configurations. The world stands still while the
// switch bounds run out, so "in the end" means: once dwell, ramp and max shift
// hold nothing back, if nothing else changes. Overrides stay. Both ends are
// compared with each other: a move that the old configuration is in the middle of
// is not the change's doing, and is told apart.
//
// # Who is asked
//
// A move is counted by asking Snapshot.Decide for one client before and after,
// since shares alone do not say who moves. The clients are the sampled queries
// where a service and region has enough of them; else networks spread evenly
// over the region's IPv4 space (and IPv6 where a cell has nothing else), each
// /24 counting the same. Where one endpoint has everybody on both sides, or the
// weights are the same, nobody need be asked.
//
// # What it cannot know
//
// What was never measured: see Plan.Notes. Viewers with a session id move less
// than this says, players that hold an answer move when its TTL is over, and a
// share of clients counts as the same share of bytes.
//
// Everything is a function of its arguments.
package plan
