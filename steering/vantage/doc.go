// Package vantage keeps the books of the vantages that report to a control node:
// which batches came, which are missing, whose clock is how far off, and which
// vantages say of themselves that they are ill.
//
// In:  what the sender of a batch says of itself (Sender), and the time.
// Out: whether the batch is to be taken (Book.Begin), and a row for each vantage
// (Book.Rows).
//
// # Once each
//
// A run of an agent names itself by Boot and numbers its batches from 1, apart for
// each control node. A batch that did not arrive for certain is sent again with its
// number, and what is in it is the same: the number alone tells a repetition. A
// number that is left out is a gap, and counted: the agent gave that batch up. The
// first batch of a run that a control node hears of, after its own start, may have
// any number.
//
// # Not later
//
// Sent is by the control node's clock, as the agent has measured it. A batch that
// was sent more than MaxSkew from now is refused: it is a replay, or the clocks have
// come apart and the agent measures them anew. So a batch that somebody recorded is
// worthless once MaxSkew has passed, also at a control node that has forgotten its
// number.
//
// # Who
//
// The book believes what it is told: that the sender's credential is the vantage's
// own is checked before.
//
// # Limits
//
// Of each vantage the last four runs are remembered. All methods may be called from
// any goroutine.
package vantage
