package httpserver

import (
	"hash/fnv"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"fairway/steering"
)

// cohortInfix is what tells a shared steering manifest from a viewer's own.
const cohortInfix = "/c/"

const (
	cohorts    = 100             // that the viewers of one network are in
	cohortHeld = 5 * time.Second // how long caches may share an answer
)

// cohort is a client network and, for viewers with sessions, a number: viewers who
// get the same answer, so that caches can give it to all of them.
type cohort struct {
	network netip.Prefix
	number  int // -1 = viewers without a session
}

// cohortOf is the cohort that a decision's client is in.
func cohortOf(d *steering.Decision, q steering.Query) cohort {
	client := q.Client
	if !client.IsValid() {
		client = netip.IPv4Unspecified()
	}
	network, _ := client.Prefix(min(d.Scope, client.BitLen()))
	if q.Session == "" {
		return cohort{network, -1}
	}
	h := fnv.New32a()
	h.Write([]byte(q.Session))
	return cohort{network, int(h.Sum32() % cohorts)}
}

// parseCohort reads a cohort as cohortOf writes it. Each has one form only, so that
// caches hold it once.
func parseCohort(text string) (cohort, bool) {
	address, rest, _ := strings.Cut(text, "-")
	length, number, numbered := strings.Cut(rest, ".")
	c := cohort{number: -1}
	addr, err := netip.ParseAddr(address)
	bits, err2 := strconv.Atoi(length)
	if err != nil || err2 != nil || addr.Zone() != "" {
		return c, false
	}
	if c.network, err = addr.Prefix(bits); err != nil {
		return c, false
	}
	if numbered {
		if c.number, err = strconv.Atoi(number); err != nil || c.number < 0 || c.number >= cohorts {
			return c, false
		}
	}
	return c, c.String() == text
}

func (c cohort) String() string {
	text := c.network.Addr().String() + "-" + strconv.Itoa(c.network.Bits())
	if c.number >= 0 {
		text += "." + strconv.Itoa(c.number)
	}
	return text
}

// ask is a query by the cohort in place of one of its viewers.
func (c cohort) ask(q steering.Query) steering.Query {
	q.Client, q.Session, q.Door = c.network.Addr(), "", steering.DoorSteering
	if c.number >= 0 {
		q.Session = "cohort " + c.String()
	}
	return q
}

// steerCohort answers GET /steer/v1/{service}/{hls|dash}/c/{cohort}. What the
// players' query says is not looked at: caches leave it out of their key. Jitter
// would be the same for all who share the answer, so there is none. Nor is there a
// RELOAD-URI: players go on asking where they asked (draft-pantos-content-steering
// §4), and what a cache has in front of it is not for its origin to say.
func (s *Server) steerCohort(snapshot *steering.Snapshot, q steering.Query, t target) answer {
	c, ok := parseCohort(t.cohort)
	if !ok {
		return refuse(http.StatusBadRequest, "a cohort is written as NETWORK-LENGTH or NETWORK-LENGTH.NUMBER, such as 192.0.2.0-24.7")
	}
	if q.Service < 0 {
		return noService
	}
	d := snapshot.Decide(c.ask(q))
	s.decided(doorSteer, d)
	ids := lawful(&d).ids()
	if len(ids) == 0 {
		return refuse(http.StatusNotFound, "no endpoint of this service has a pathway")
	}
	ttl := sooner(&d, d.TTL)
	share := min(cohortHeld, max(ttl, time.Second))
	if longest := d.Service.Player.LongestPoll(); longest > 0 {
		share = min(share, max(longest/2, time.Second))
		ttl = min(ttl, longest-share) // what a cache hands out may be so old already
	}
	return answer{status: http.StatusOK, share: share, json: encode(steeringBody{
		Version: steeringVersion, TTL: max(1, int(ttl/time.Second)), Priority: ids,
	})}
}
