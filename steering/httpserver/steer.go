package httpserver

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fairway/steering"
)

// steeringBody is a steering manifest. HLS (draft-pantos-content-steering §4) and
// DASH (ETSI TS 103 998 §6) have the same.
type steeringBody struct {
	Version   int      `json:"VERSION"`
	TTL       int      `json:"TTL"`                  // seconds
	ReloadURI string   `json:"RELOAD-URI,omitempty"` // absolute: Shaka makes nothing of a relative one
	Priority  []string `json:"PATHWAY-PRIORITY"`
	Clones    []clone  `json:"PATHWAY-CLONES,omitempty"`
}

// steeringVersion is the only one there is. Players stop steering for good when
// they see another.
const steeringVersion = 1

// The parameters of a poll besides the players' own, all of which the players
// send back with RELOAD-URI.
const (
	sessionParameter = "s" // the viewer's session, as the player's page chose it
	stateParameter   = "k" // what we told the session last, signed
)

// steer answers GET /steer/v1/{service}/{hls|dash}. Beside a poll that cannot be
// read it is always 200 once a session has begun: players take many an error for
// a reason to stop steering for good.
func (s *Server) steer(v visit, access *access, snapshot *steering.Snapshot, q steering.Query, t target) answer {
	if t.cohort != "" {
		return s.steerCohort(snapshot, q, t)
	}
	p, err := readPoll(t)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	now := time.Now()
	seen := s.steering.open(p.state, t.service, p.session, now)
	if q.Service < 0 {
		if seen.first == "" {
			return noService
		}
		// The service is gone; the player may play on.
		return s.manifest(here(v, access, snapshot, nil), t, p, seen, seen.known(), nil, s.steering.spread(maxSteeringTTL, 0))
	}
	q.Session, q.Door = p.session, steering.DoorSteering
	d := snapshot.Decide(q)
	s.decided(doorSteer, d)
	list, next, failed := pathways(&d, seen, p.reported, now)
	longest := d.Service.Player.LongestPoll()
	s.polled(snapshot, &q, &p, seen, failed)
	switch {
	case len(list) > 0:
	case d.Split.Trouble == steering.TroubleBlocked:
		return nothing(&d)
	case seen.first != "": // an error would end steering for good, also of what comes back
		return s.manifest(here(v, access, snapshot, d.Service.Manifests), t, p, seen, seen.known(), nil, s.steering.spread(d.TTL, longest))
	default:
		return refuse(http.StatusNotFound, "no endpoint of this service has a pathway")
	}
	ttl := d.TTL
	if seen.first == "" {
		ttl /= 2 // the first seconds of a session teach the most
	}
	ttl = sooner(&d, ttl)
	var clones []clone
	if p.clones && seen.first != "" {
		clones = s.clones(list, &next, &q, t.protocol)
	}
	return s.manifest(here(v, access, snapshot, d.Service.Manifests), t, p, next, list.ids(), clones, s.steering.spread(ttl, longest))
}

const (
	// incidentTTL is how soon players ask again while something is wrong.
	incidentTTL = 10 * time.Second
	// maxSteeringTTL bounds what overload and jitter make of a TTL; the drafts
	// recommend it where nothing changes.
	maxSteeringTTL = 300 * time.Second
)

// manifest is the answer with a session's new state. door is how the player reaches us,
// ttl in seconds.
func (s *Server) manifest(door string, t target, p poll, next session, ids []string, clones []clone, ttl int) answer {
	state := s.steering.seal(next, t.service, p.session)
	body := steeringBody{
		Version:   steeringVersion,
		TTL:       ttl,
		ReloadURI: door + t.path + "?" + stateParameter + "=" + state + p.kept,
		Priority:  ids,
		Clones:    clones,
	}
	return answer{status: http.StatusOK, json: body.encode()}
}

// encode gives what encode would, without looking at types: there is hardly an answer
// that is asked for as often.
func (b *steeringBody) encode() []byte {
	if len(b.Priority) == 0 || len(b.Clones) > 0 {
		return encode(b)
	}
	size := 80 + len(b.ReloadURI)
	for _, id := range b.Priority {
		size += len(id) + 3
	}
	out := append(make([]byte, 0, size), `{"VERSION":`...)
	out = strconv.AppendInt(out, int64(b.Version), 10)
	out = append(out, `,"TTL":`...)
	out = strconv.AppendInt(out, int64(b.TTL), 10)
	if b.ReloadURI != "" {
		out = appendQuoted(append(out, `,"RELOAD-URI":`...), b.ReloadURI)
	}
	out = append(out, `,"PATHWAY-PRIORITY":`...)
	for i, id := range b.Priority {
		out = appendQuoted(append(out, "[,"[min(i, 1)]), id)
	}
	return append(out, "]}\n"...)
}

// appendQuoted appends a string as encoding/json writes it.
func appendQuoted(out []byte, text string) []byte {
	begin := len(out)
	out = append(out, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '&':
			out = append(out, `\u0026`...)
		case c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>':
			quoted, _ := json.Marshal(text) // a string can always be written
			return append(out[:begin], quoted...)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// jitter is the part of a TTL by which it is off at most, by chance.
const jitter = 0.15

// spread makes seconds of a TTL: off by jitter, so that players that began together do
// not go on asking together, but never longer than the player can be without news; and
// longer than that while many polls are being answered. A player is never told to go
// away. longest is 0 where it is not known.
func (s *steeringDoor) spread(ttl, longest time.Duration) int {
	seconds := within(ttl, longest).Seconds() * (1 - jitter + 2*jitter*rand.Float64())
	for busy := s.busy.Load(); busy > s.crowd && seconds < maxSteeringTTL.Seconds(); busy /= 2 {
		seconds *= 2
	}
	return int(min(max(seconds, 1), maxSteeringTTL.Seconds()))
}

// within is a TTL that jitter makes no longer than longest.
func within(ttl, longest time.Duration) time.Duration {
	if longest <= 0 {
		return ttl
	}
	return min(ttl, time.Duration(float64(longest)/(1+jitter)))
}

// poll is what a player asks with.
type poll struct {
	session     string
	state       string
	reported    []string  // the pathways that it says to have used, the one in use last
	throughputs []float64 // of these, bit/s; 0 = not said
	clones      bool      // the player can make pathways from clones
	kept        string    // parameters that are neither ours nor the players', as they came
}

// Bounds on what a poll may carry; players send far less.
const (
	mostReported  = 8
	longestID     = 64
	longestOption = 512
)

// readPoll reads the query, which players write in many ways: with and without
// quotation marks, one pathway or a list (RFC 8216bis §7.4, TS 103 998 §7).
func readPoll(t target) (poll, error) {
	var p poll
	for pair := range strings.SplitSeq(strings.TrimPrefix(t.query, "?"), "&") {
		name, value, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(value)
		if err != nil {
			return p, errMalformedQuery
		}
		switch {
		case name == sessionParameter:
			p.session = value
			p.kept += "&" + pair
		case name == stateParameter:
			p.state = value
		case name == clonesParameter && !p.clones:
			p.clones = true
			p.kept += "&" + clonesParameter
		case strings.HasPrefix(name, "_HLS_"), strings.HasPrefix(name, "_DASH_"):
			switch {
			case strings.HasSuffix(name, "_pathway"):
				p.reported = reported(value)
			case strings.HasSuffix(name, "_throughput"):
				p.throughputs = throughputs(value)
			}
		case pair != "" && len(p.kept)+len(pair) < longestOption:
			p.kept += "&" + pair
		}
	}
	return p, nil
}

// reported reads a list of pathways; what cannot be one is left out.
func reported(value string) []string {
	var ids []string
	for id := range strings.SplitSeq(strings.Trim(value, `"`), ",") {
		id = strings.Trim(id, `" `)
		if id != "" && len(id) <= longestID && !slices.Contains(ids, id) && len(ids) < mostReported {
			ids = append(ids, id)
		}
	}
	return ids
}

// throughputs reads a list of numbers, of which any may be empty.
func throughputs(value string) []float64 {
	var list []float64
	for text := range strings.SplitSeq(strings.Trim(value, `"`), ",") {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n > 0 && n < 1e12) {
			n = 0
		}
		if list = append(list, n); len(list) == mostReported {
			break
		}
	}
	return list
}

// sooner is a TTL as it is while an endpoint that clients could have is not well.
func sooner(d *steering.Decision, ttl time.Duration) time.Duration {
	for i := range d.Split.Candidates {
		if c := &d.Split.Candidates[i]; c.Verdict == steering.Down || c.Verdict == steering.Degraded {
			return min(ttl, incidentTTL)
		}
	}
	return ttl
}

// PreviewSteering tells in one line what a client that plays is told: the pathways of
// the service in their order, and when to ask again. Empty: it has none.
func (s *Server) PreviewSteering(service string, client netip.Addr) string {
	snapshot := s.config.Current.Load()
	if snapshot == nil {
		return ""
	}
	index := snapshot.Layout.ByKey(service)
	if index < 0 {
		return ""
	}
	d := snapshot.Decide(steering.Query{Service: index, Client: client, Door: steering.DoorSteering})
	ids := lawful(&d).ids()
	if len(ids) == 0 {
		return ""
	}
	ttl := within(sooner(&d, d.TTL), d.Service.Player.LongestPoll()).Seconds()
	return fmt.Sprintf("%s; ask again in %.0f to %.0f s", strings.Join(ids, ", "), max(1, ttl*(1-jitter)), max(1, ttl*(1+jitter)))
}
