package httpserver

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"fairway/steering"
)

// caller is whoever is at the other end of a connection, and what was looked up for
// it. Most connections ask one host all the time.
type caller struct {
	*Server
	nc        net.Conn
	conn      *conn
	peer      netip.Addr
	encrypted bool
	header    []headerField // of the answer at hand

	// The host that was looked up last, and what it was found in.
	host     string
	snapshot *steering.Snapshot
	access   *access
}

// plain is what a common request says, whoever read it: a GET for a redirect or a
// steering manifest.
type plain struct {
	target, host, session   string
	forwarded, forwardedFor []string    // lines of Forwarded and X-Forwarded-For
	proto, asked            string      // X-Forwarded-Proto, X-Forwarded-Host
	cmcd                    http.Header // nil = none
}

// plainTarget tells whether a request target is of the kind that is read here. A
// percent sign in the path is not: it asks for a look at what it means.
func plainTarget[T string | []byte](target T) bool {
	if len(target) > commonLimit || !begins(target, redirectPrefix) && !begins(target, steerPrefix) {
		return false
	}
	inPath := true
	for i := range len(target) {
		switch b := target[i]; {
		case b <= ' ', b >= 0x7f, b == '#', b == '%' && inPath:
			return false
		case b == '?':
			inPath = false
		}
	}
	return true
}

func begins[T string | []byte](text T, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}

// reply makes the answer to a common request and tells from which door it comes;
// false when the request is not one for here after all.
func (c *caller) reply(p *plain) (a answer, door string, ok bool) {
	snapshot, access := c.config.Current.Load(), c.Server.access.Load()
	if snapshot == nil || !c.known(p.host, snapshot, access) {
		return a, "", false
	}
	asked, refusal := splitTarget(p.target)
	if refusal != "" {
		return a, "", false
	}
	v, client := c.visit(p, access)
	q := steering.Query{Service: snapshot.Layout.ByKey(asked.service), Client: client, Door: steering.DoorRedirect, Path: asked.asked}
	if asked.door == doorRedirect {
		q.Session = p.session
	}
	return c.guided(v, access, snapshot, q, asked, p.cmcd), asked.door, true
}

// guided is guide, where a panic costs this request and nothing else.
func (c *caller) guided(v visit, access *access, snapshot *steering.Snapshot, q steering.Query, asked target, cmcd http.Header) (a answer) {
	a = broken
	defer c.survive(&asked.door)
	return c.guide(v, access, snapshot, q, asked, cmcd)
}

// known tells whether a request's host is one that is answered.
func (c *caller) known(host string, snapshot *steering.Snapshot, access *access) bool {
	if c.snapshot == snapshot && c.access == access && c.host == host {
		return true
	}
	if name, ok := hostname(host); !ok || c.config.Learning != nil && c.config.Learning.Host(name) || !access.accepts(host, snapshot) {
		return false
	}
	c.host, c.snapshot, c.access = host, snapshot, access
	return true
}

// visit tells how whoever asks came here, and the address.
func (c *caller) visit(p *plain, access *access) (visit, netip.Addr) {
	v := visit{host: p.host, encrypted: c.encrypted}
	if !access.trusts(c.peer) {
		return v, c.peer
	}
	v.proto, v.forwarded = forwardedBy(p.forwarded, p.proto, p.asked)
	return v, access.behind(c.peer, p.forwarded, p.forwardedFor)
}

// fields is the header of an answer on this connection, and its body.
func (c *caller) fields(a *answer, door string) ([]headerField, []byte) {
	altSvc := ""
	if c.encrypted {
		altSvc = c.altSvc
	}
	var body []byte
	c.header, body = a.fields(c.header[:0], door, altSvc)
	return c.header, body
}

// lease is a deadline that lasts for a time at least and for an eighth more at most,
// so that it need not be set anew for each request.
type lease struct {
	time time.Duration
	set  time.Time
}

func (l *lease) renew(now time.Time, set func(time.Time) error) {
	if now.Sub(l.set) > l.time/8 {
		_ = set(now.Add(l.time + l.time/8))
		l.set = now
	}
}
