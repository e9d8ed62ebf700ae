package consulstore

// leaderKey is locked by the control node that leads. It is among the heads, so
// that whoever watches these knows who that is.
const leaderKey = "heads/leader"

// fence is the session that must hold the lock for a write to count; without a
// session nothing may be written.
type fence struct{ session string }
