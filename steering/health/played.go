package health

import "fairway/steering"

// SetPlayed takes in what players tell, in place of what they told before. It
// stands beside verdicts and is never part of one: what players tell, anybody can
// tell, and only what was probed can be down.
func (j *Judge) SetPlayed(t steering.PlayedTable) {
	old := j.played
	j.played = t
	if j.hears(t) && j.revision != nil {
		j.Configure(j.revision) // these regions get a health of their own
		return
	}
	for _, s := range j.rows {
		if s.endpoint == "" {
			continue
		}
		for i := range j.regions {
			if at, heard := s.playedAt(&j.regions[i]); heard && t[at] != old[at] {
				s.all = true
				j.touch(s)
				break
			}
		}
	}
}

// hears notes the regions that players tell of, and tells whether one is new.
func (j *Judge) hears(t steering.PlayedTable) bool {
	known := len(j.heard)
	for at := range t {
		j.heard[at.Region] = true
	}
	return len(j.heard) > known
}

func (s *subject) playedAt(r *region) (steering.PlayedKey, bool) {
	return steering.PlayedKey{Endpoint: s.endpoint, Region: r.names[0]}, r.heard && s.endpoint != ""
}

// hear puts what players tell into a region's health.
func (j *Judge) hear(s *subject, r *region, h *steering.Health) {
	h.Players = steering.Played{}
	if at, heard := s.playedAt(r); heard {
		h.Players = j.played[at]
	}
}
