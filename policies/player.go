package policies

import (
	"slices"
	"time"

	"fairway/steering"
)

// What players are taken to be when nothing is said: those that docs/players
// configures, with segments as long as live streams have them at most.
const (
	defaultBuffer  = 30 * time.Second
	defaultSegment = 6 * time.Second
)

// player reads what is known of a service's players, and tells where they would hear
// of a change after their buffer is empty.
func (c *compiler) player(of fields, s *steering.Service) steering.Player {
	p := steering.Player{Buffer: defaultBuffer, Segment: defaultSegment}
	v, said := of.under("player")
	if said {
		f, ok := v.as("player of %s", of.subject).fields("buffer segment")
		if !ok {
			return p
		}
		p.Buffer = f.duration("buffer", defaultBuffer, 2*time.Second, 10*time.Minute)
		p.Segment = f.duration("segment", defaultSegment, 100*time.Millisecond, time.Minute)
		if p.LongestPoll() < time.Second {
			c.fault(f.home(), "state what they have ahead as buffer: it must outlast a segment and a poll of one second",
				"%s: a buffer of %s is empty before a segment of %s has come", f.subject, FormatDuration(p.Buffer), FormatDuration(p.Segment))
			return p
		}
	}
	at, stated := of.under("ttl")
	if !stated {
		at = v
	}
	steered := slices.ContainsFunc(s.Endpoints, func(e *steering.Endpoint) bool { return e.Pathway != "" })
	if longest := p.LongestPoll(); steered && (said || stated) && s.TTL > longest {
		c.warn(at.place(), "use ttl: "+FormatDuration(longest.Truncate(time.Second))+" or less, or say what its players have, as player: {buffer: "+FormatDuration(s.TTL+p.Segment)+"}",
			"%s: ttl %s is longer than a player's buffer of %s lasts beside a segment of %s: players that are steered are told to ask again after %s at most",
			of.subject, FormatDuration(s.TTL), FormatDuration(p.Buffer), FormatDuration(p.Segment), FormatDuration(longest))
	}
	return p
}
