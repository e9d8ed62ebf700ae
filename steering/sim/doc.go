// Package sim is a benchmark of CDN steering: seeded worlds, in which policies are
// compared with each other and with oracles.
//
// In:  a Plan: a Spec of worlds, scenarios, seeds, policies.
// Out: a Result for each scenario, seed and policy; Compare makes of them what a
// policy closed of the gap between the usual practice and an oracle.
//
// # Whose code decides
//
// Fairway takes part with what it ships: a configuration is compiled by package
// policies, measurements go through health, decisions come from the publish loop,
// turned by hand (publish.Hand), and what doors would hand out is read from its
// snapshot. There is no second implementation of any of it here, and no clock but the
// world's. The baselines and oracles are small and live here.
//
// # A world
//
// A World draws what happens whoever steers: latencies that wander, faults, demand,
// capacity, and the chance in probes. Each process has a stream of chance of its own,
// named after it, so that all policies meet the same world, and a changed parameter
// leaves the other processes as they were. What a policy causes (where viewers are,
// load, players' reports) is the trial's.
//
// # A step
//
// The world goes forward; viewers are where they are; load makes latency and errors
// of it, which is scored; probes, players' reports and usage reports come in; the
// policy says where it wants viewers; viewers begin to follow, as fast as the door
// makes them. So a policy never sees the step that it decides for.
//
// # What it leaves out
//
// Viewers who leave because it is slow, players that fail over by themselves, CDNs
// that steer inside, routes that change for many CDNs at once, and clients of one ASN
// that are not alike.
package sim
