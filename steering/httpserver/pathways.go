package httpserver

import (
	"slices"
	"time"

	"fairway/steering"
)

const (
	// settle is how long a session keeps its first pathway while that still gets
	// clients: less than this and a player switches more than it plays.
	settle = 60 * time.Second
	// penalty is how long a session is not sent back to a pathway that failed it.
	// RFC 8216bis §7.5 recommends two minutes to players; dash.js forgets sooner,
	// so it is for us to remember.
	penalty = 120 * time.Second
	// underway is how long a player may go on reporting the pathway before the one
	// that we told it last: it finishes its segment first.
	underway = 30 * time.Second
)

// pathways gives every pathway that is lawful for the client in the order in which to
// use them, what to remember of the session, and whether the player has left by itself
// what it was told. Unhealthy ones come last and are never left out: hls.js gives up
// failover with one, and a DASH client may end playback when none of its own is listed
// (TS 103 998 §7).
//
// A pathway that came to be after a player had its manifest is listed where it
// belongs: who does not know it uses the next. So what a session is told, for all that
// is remembered of it, is the first that it knows.
func pathways(d *steering.Decision, seen session, reported []string, now time.Time) (pathwayList, session, bool) {
	list := lawful(d)
	next := session{until: seen.until, avoid: seen.avoid, began: seen.began, learned: seen.learned}
	list.teach(&next, seen.first == "", reported)
	if !now.Before(next.until) {
		next.avoid, next.until = "", time.Time{}
	}
	wanted := seen.first
	failed, to := failover(seen, reported, now)
	switch {
	case failed && list.learned(to, &seen):
		failed, wanted = false, to
	case failed:
		wanted, next.avoid, next.until = to, seen.first, now.Add(penalty)
	}
	if next.avoid != "" {
		list.behind(next.avoid)
	}
	if i := list.at(wanted); i >= 0 {
		fled, settling := next.avoid != "", now.Sub(seen.since) < settle
		if w := (*list)[i]; w.well && (fled || settling && w.shares) {
			list.front(wanted)
		}
	}
	if len(*list) == 0 {
		return nil, seen, failed
	}
	next.first, next.since, next.before = list.told(&next), seen.since, seen.before
	if next.first != seen.first {
		next.since, next.before = now, seen.first
	}
	return *list, next, failed
}

// teach adds to what a session knows what there is when it begins, and what it says to
// have used.
func (l pathwayList) teach(s *session, begins bool, used []string) {
	if begins {
		s.began = l.all()
		return
	}
	for i := range l {
		if id := l[i].id; !s.began.has(id) && slices.Contains(used, id) {
			s.learned = s.learned.with(id)
		}
	}
}

// all is the set of all that are listed.
func (l pathwayList) all() idSet {
	set := make([]byte, 0, 32)
	for i := range l {
		if hash := hashID(l[i].id); !has(set, hash) {
			set = append(set, hash[:]...)
		}
	}
	return idSet(set)
}

// learned tells whether a player that is not where it was told has gone to a pathway
// that was listed before, and that it did not know then: a clone, or one of an MPD that
// it has fetched again. That is no failover.
func (l pathwayList) learned(to string, seen *session) bool {
	at := l.at(to)
	return at >= 0 && at < l.at(seen.first) && !seen.knows(to)
}

// told is the pathway that a session will use: the first that it knows.
func (l pathwayList) told(s *session) string {
	for i := range l {
		if s.knows(l[i].id) {
			return l[i].id
		}
	}
	return l[0].id
}

// failover tells whether a player has left the pathway that we told it, and for
// which one.
func failover(seen session, reported []string, now time.Time) (bool, string) {
	if seen.first == "" || len(reported) == 0 {
		return false, ""
	}
	in := reported[len(reported)-1]
	switch {
	case in == seen.first:
		return false, ""
	case in == seen.before && now.Sub(seen.since) < underway:
		return false, "" // still on its way to where we sent it
	}
	return true, in
}

// pathway is a candidate with a pathway.
type pathway struct {
	id     string
	to     *steering.Endpoint
	shares bool // it gets clients now
	well   bool
}

type pathwayList []pathway

// lawful lists the pathways in the client's own order, those in trouble last.
func lawful(d *steering.Decision) *pathwayList {
	ranked := d.AppendRanked(make([]*steering.Candidate, 0, 16))
	list := make(pathwayList, 0, len(ranked))
	var troubled pathwayList
	for _, c := range ranked {
		id := c.Endpoint.Pathway
		if id == "" || list.has(id) || troubled.has(id) {
			continue
		}
		p := pathway{id: id, to: c.Endpoint, shares: c.Weight > 0}
		switch c.Reason.Code {
		case steering.ReasonDenied: // not for these clients
		case steering.ReasonDown, steering.ReasonPoolDown, steering.ReasonDrained:
			troubled = append(troubled, p)
		default:
			p.well = true
			list = append(list, p)
		}
	}
	list = append(list, troubled...)
	return &list
}

func (l pathwayList) has(id string) bool { return l.at(id) >= 0 }

func (l pathwayList) at(id string) int {
	return slices.IndexFunc(l, func(p pathway) bool { return p.id == id })
}

// front puts a pathway first.
func (l *pathwayList) front(id string) {
	if i := l.at(id); i > 0 {
		p := (*l)[i]
		*l = slices.Insert(slices.Delete(*l, i, i+1), 0, p)
	}
}

// behind puts a pathway behind all that are well.
func (l *pathwayList) behind(id string) {
	i := l.at(id)
	if i < 0 {
		return
	}
	p := (*l)[i]
	rest := slices.Delete(*l, i, i+1)
	at := slices.IndexFunc(rest, func(p pathway) bool { return !p.well })
	if at < 0 {
		at = len(rest)
	}
	*l = slices.Insert(rest, at, p)
}

func (l pathwayList) ids() []string {
	ids := make([]string, len(l))
	for i := range l {
		ids[i] = l[i].id
	}
	return ids
}
