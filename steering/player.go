package steering

import "time"

// Player is what is known of the players of a service.
type Player struct {
	Buffer  time.Duration // of media that they have ahead; default 30 s
	Segment time.Duration // the longest of them; default 6 s
}

// LongestPoll is how long a player that is steered may be left without news: it hears
// of another pathway with its next poll, finishes the segment that it is loading from
// the old one, and must still have something to show. 0 = nothing is known of them.
func (p Player) LongestPoll() time.Duration { return max(0, p.Buffer-p.Segment) }
