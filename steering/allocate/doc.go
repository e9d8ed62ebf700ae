// Package allocate turns the scores of a group's eligible endpoints into
// shares of its clients, and moves there no faster than the policy allows.
//
// In:  one Entry per endpoint (eligible or not, score, static weight, the share
// and the target it had), a split, switch bounds and the time.
// Out: the new shares (they sum to 1), the new target, what held them apart,
// and when to look again.
//
// # Two kinds of move
//
// Leaving an endpoint that can serve no longer (down, drained, denied) is forced:
// it happens at once and whole. Everything else, also a way back to a preferred
// provider or to the region's own pool, is voluntary, and bounded:
//
//   - margin: a challenger enters the target only when it scores better than the
//     incumbent by this part;
//   - dwell: a target stands for at least this long;
//   - failback: who was given up is not chosen again for a while, so that nobody goes
//     back and forth;
//   - ramp: an endpoint that failed comes back in steps;
//   - max shift: at most this share of the clients moves in a minute.
//
// The first choice from measurements is bounded by none of them: there is no
// earlier choice worth keeping.
//
// Everything is a function of its arguments; nothing is kept.
package allocate
