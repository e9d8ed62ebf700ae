package httpserver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// session is what we told a viewer's session last. It travels with the player, in
// RELOAD-URI, so that any node can answer the next poll.
type session struct {
	first  string    // pathway; empty = the session begins
	since  time.Time // when it became the first
	before string    // the first before it; empty = none
	avoid  string    // the pathway that failed the session; empty = none
	until  time.Time // the end of its penalty
	// What the player knows: the pathways that there were when it began, and those
	// that it has learned to use since.
	began, learned idSet
}

func (s *session) knows(id string) bool { return s.began.has(id) || s.learned.has(id) }

// known lists the pathways that the session knows of, the first one first.
func (s *session) known() []string {
	ids := []string{s.first}
	for _, id := range []string{s.before, s.avoid} {
		if id != "" && id != s.first && (len(ids) < 2 || id != ids[1]) {
			ids = append(ids, id)
		}
	}
	return ids
}

// steeringDoor is what steering polls share.
type steeringDoor struct {
	macs  sync.Pool    // of *mac
	busy  atomic.Int64 // polls that are being answered
	crowd int64        // from so many on, TTLs grow
}

// newSteeringDoor makes a door that signs with a secret; an empty one stands for
// one of its own, which other nodes and the next start do not know: sessions then
// begin anew.
func newSteeringDoor(secret []byte) *steeringDoor {
	const crowd = 256
	if len(secret) == 0 {
		secret = []byte(rand.Text())
	}
	key := hmac.New(sha256.New, secret)
	key.Write([]byte("fairway steering session 1"))
	s := &steeringDoor{crowd: crowd}
	secret = key.Sum(nil)
	s.macs.New = func() any { return &mac{hash: hmac.New(sha256.New, secret)} }
	return s
}

// idSet is a set of pathway ids, two octets of a hash of each: what travels with a
// player must be short. Of two ids that share theirs (one pair in 65,536) a player is
// taken to know both.
type idSet string

func (s idSet) has(id string) bool { return has(s, hashID(id)) }

func has[T string | []byte | idSet](set T, hash [2]byte) bool {
	for i := 0; i+2 <= len(set); i += 2 {
		if set[i] == hash[0] && set[i+1] == hash[1] {
			return true
		}
	}
	return false
}

func (s idSet) with(id string) idSet {
	hash := hashID(id)
	if has(s, hash) {
		return s
	}
	return s + idSet(hash[:])
}

func (s idSet) append(out []byte) []byte { return base64.RawURLEncoding.AppendEncode(out, []byte(s)) }

func readIDs(text string) idSet {
	set, _ := base64.RawURLEncoding.DecodeString(text) // nothing that we sealed is malformed
	return idSet(set)
}

// hashID is FNV-1a (32 bits), folded.
func hashID(id string) [2]byte {
	sum := uint32(2166136261)
	for i := range len(id) {
		sum = (sum ^ uint32(id[i])) * 16777619
	}
	return [2]byte{byte(sum>>24) ^ byte(sum>>8), byte(sum>>16) ^ byte(sum)}
}

// stateForm is the form of a sealed session: fields of characters that no query
// needs to encode, between tildes, with a MAC at the end.
const stateForm = "2"

// macSize is enough: a forged session would only change its own forger's order.
const macSize = 12

// seal writes a session for one service and one viewer.
func (s *steeringDoor) seal(v session, service, viewer string) string {
	m := s.macs.Get().(*mac)
	defer s.macs.Put(m)
	text := append(m.text[:0], stateForm...)
	text = appendSeconds(append(append(append(text, '~'), v.first...), '~'), v.since)
	text = append(append(text, '~'), v.before...)
	text = append(append(text, '~'), v.avoid...)
	text = appendSeconds(append(text, '~'), v.until)
	text = v.began.append(append(text, '~'))
	text = v.learned.append(append(text, '~'))
	m.text = m.of(append(text, '~'), text, service, viewer)
	return string(m.text)
}

// open reads a sealed session. One that is not ours, or from a time to come, is a
// session that begins.
func (s *steeringDoor) open(sealed, service, viewer string, now time.Time) session {
	at := strings.LastIndexByte(sealed, '~')
	if at < 0 || !s.signed(sealed[:at], sealed[at+1:], service, viewer) {
		return session{}
	}
	fields := strings.Split(sealed[:at], "~")
	if len(fields) != 8 || fields[0] != stateForm {
		return session{}
	}
	v := session{first: fields[1], since: moment(fields[2]), before: fields[3], avoid: fields[4], until: moment(fields[5]), began: readIDs(fields[6]), learned: readIDs(fields[7])}
	if v.since.After(now.Add(time.Minute)) || v.until.After(now.Add(penalty+time.Minute)) {
		return session{} // the clock of the node that sealed it was wrong
	}
	return v
}

// signed tells whether a MAC is ours.
func (s *steeringDoor) signed(text, sum, service, viewer string) bool {
	m := s.macs.Get().(*mac)
	defer s.macs.Put(m)
	m.text = append(m.text[:0], text...)
	return hmac.Equal(m.of(nil, m.text, service, viewer), []byte(sum))
}

// mac makes MACs with one key, again and again.
type mac struct {
	hash hash.Hash
	text []byte // that is being signed
	part []byte
}

// of appends the MAC of a session's text to out.
func (m *mac) of(out, text []byte, service, viewer string) []byte {
	m.hash.Reset()
	m.add(text)
	m.add([]byte(service))
	m.add([]byte(viewer))
	m.part = m.hash.Sum(m.part[:0])
	return base64.RawURLEncoding.AppendEncode(out, m.part[:macSize])
}

// add takes in a part with its length, so that none can be moved to the next.
func (m *mac) add(part []byte) {
	m.part = append(strconv.AppendInt(m.part[:0], int64(len(part)), 10), ':')
	m.hash.Write(m.part)
	m.hash.Write(part)
}

func appendSeconds(out []byte, t time.Time) []byte {
	if t.IsZero() {
		return out
	}
	return strconv.AppendInt(out, t.Unix(), 36)
}

func moment(text string) time.Time {
	n, err := strconv.ParseInt(text, 36, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}
