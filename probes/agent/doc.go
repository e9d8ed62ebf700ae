// Package agent is what a vantage elsewhere needs to work for control nodes that it
// can reach, and that need not reach it.
//
// In:  control nodes, and measurements of this machine's probes.
// Out: batches at every control node (Courier), and what is to be measured, as one of
// them says (Follow).
//
// # Every control node, each at its own pace
//
// A lane leads to one control node for one vantage. It numbers its batches; one that
// may not have arrived is sent again with its number and the same content, until the
// control node takes it or will not have it. What waits is bounded: the oldest is
// given up first, and counted. Nothing waits for a lane.
//
// # Times
//
// Every exchange gives four time stamps, as in NTP (RFC 5905 §8): sent, received,
// answered, back. The offset is the median of several, of those that were quickest.
// It is applied here and not at the control node, since only this process knows how
// old a measurement is: by the monotonic clock, which no correction of the wall clock
// moves. So what is sent late has its true time in the control node's clock, and
// judges see that it is old. Where the wall clock says that a measurement is older
// than the monotonic clock does (the machine was suspended, or its clock corrected),
// the older one counts: nothing stale is told as fresh. A lane sends nothing before
// it knows the offset.
//
// # Limits
//
// An assignment that was stored is taken up at a start while no control node answers;
// what was not delivered does not outlive the process.
package agent
