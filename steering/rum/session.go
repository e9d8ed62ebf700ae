package rum

import (
	"sync"
	"time"
)

// sessions remembers what reports of one session must be seen together for: which
// endpoint it used last, and since when it plays or stalls. It has a fixed size:
// where a set is full the session that was silent for longest gives way, which
// costs an attribution and nothing else.
type sessions struct {
	locks [64]sync.Mutex
	sets  [][ways]session
}

const ways = 4

// session is a player's session.
type session struct {
	hash     uint64 // 0 = free
	endpoint int32  // index in the service, -1 = not known
	state    byte   // as record.state
	timed    bool   // tells its states, so that stall durations would count twice
	began    bool   // its start was counted
	at       int64  // ts of its newest record, milliseconds by its own clock
	seen     int64  // by ours, seconds
}

func newSessions(size int) *sessions {
	return &sessions{sets: make([][ways]session, max(1, size/ways))}
}

// with calls a function with a session, a new one if need be, while nobody else has
// it.
func (s *sessions) with(hash uint64, now time.Time, do func(*session)) {
	at := hash % uint64(len(s.sets))
	lock := &s.locks[at%uint64(len(s.locks))]
	lock.Lock()
	defer lock.Unlock()
	set := &s.sets[at]
	oldest := 0
	for i := range set {
		if set[i].hash == hash {
			set[i].seen = now.Unix()
			do(&set[i])
			return
		}
		if set[i].seen < set[oldest].seen {
			oldest = i
		}
	}
	set[oldest] = session{hash: hash, endpoint: -1, seen: now.Unix()}
	do(&set[oldest])
}

// maxPause is how much time two reports of a session may be apart to say what was
// between them. Players report at least every 30 s (CTA-5004-B §2.2).
const maxPause = time.Minute

// pass gives how long the session has played and stalled since its last record, and
// takes in what it does now.
func (s *session) pass(r *record) (playing, stalled time.Duration, stalls int) {
	if r.at.IsZero() {
		return 0, 0, 0
	}
	at := r.at.UnixMilli()
	passed := time.Duration(at-s.at) * time.Millisecond
	if s.at != 0 && passed >= 0 && passed <= maxPause {
		switch s.state {
		case 'p':
			playing = passed
		case 'r':
			stalled = passed
		}
	}
	if at < s.at && time.Duration(s.at-at)*time.Millisecond <= maxPause {
		return 0, 0, 0 // sent late
	}
	s.at = at
	if r.state != 0 {
		if r.state == 'r' && s.state == 'p' {
			stalls = 1
		}
		s.timed = s.timed || r.state == 'r'
		s.state = r.state
	}
	if r.hidden || r.stopped {
		s.state = 0
	}
	return playing, stalled, stalls
}
