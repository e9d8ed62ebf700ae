package dnsserver

// Counts is what the door has counted beside its answers, for metrics. Every
// label is from a small, closed set.
type Counts struct {
	// Limited are the responses over UDP that the limits held back, by kind of
	// response and by what was done instead.
	Limited map[LimitedLabels]uint64
	// Cookies are the queries with a COOKIE option, by what it was: client (no
	// server cookie), bad, or valid.
	Cookies map[string]uint64
	// Connections over TCP and TLS: open now, opened, and closed to make room.
	Connections, Opened, Shed uint64
	// Panics are the queries that made the answer function panic.
	Panics uint64
}

// LimitedLabels are the kind of a response (answer, negative, error) and what was
// done with it: drop, slip (over the rate limit, sent short), badcookie (sent back
// for a cookie), large (over the amplification limit, sent short).
type LimitedLabels struct{ Kind, Action string }

// Counts returns the counts of this moment.
func (s *Server) Counts() Counts {
	c := Counts{Limited: make(map[LimitedLabels]uint64), Cookies: make(map[string]uint64), Panics: s.panics.Load()}
	c.Connections, c.Opened, c.Shed = s.conns.counts()
	for kind := range responseKinds {
		for v := verdictPass + 1; v < verdicts; v++ {
			c.Limited[LimitedLabels{kind.String(), v.String()}] = s.guard.verdicts[kind][v].Load()
		}
	}
	for state := cookieNone + 1; state < cookieStates; state++ {
		c.Cookies[state.String()] = s.cookies.seen[state].Load()
	}
	return c
}
