package policies

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// The bounds of a service's TTL.
const (
	defaultTTL = 30 * time.Second
	longTTL    = 5 * time.Minute

	redirectable = "POST PUT PATCH DELETE" // methods, beside GET and HEAD

	defaultAlias   = "apex"
	defaultReports = "any"
)

// steered is a hostname that a service answers for.
type steered struct {
	service string
	at      value
	cname   bool // some endpoint of the service is reached by CNAME
	https   bool // some endpoint is described by an HTTPS record
}

// services compiles the services, all but their policies.
func (c *compiler) services() []*steering.Service {
	var all []*steering.Service
	for _, v := range c.each(service) {
		f, _ := v.fields("hostnames alias labels ttl ttl_min ttl_max endpoints probe policy geofence blocked manifest player methods reports")
		s := &steering.Service{
			Key:           v.name,
			TTL:           f.seconds("ttl", defaultTTL, time.Second, time.Hour),
			Probe:         c.probe(f.refer("probe", probe)),
			SignedReports: f.choice("reports", defaultReports, defaultReports, "signed") == "signed",
			Alias:         f.choice("alias", defaultAlias, defaultAlias, "always") == "always",
			Place:         v.home(),
		}
		if s.TTL > longTTL {
			c.warn(f.byKey["ttl"].place(), "30s is usual for live video",
				"%s: ttl %s: a resolver may send clients to a dead endpoint for that long", v.subject, FormatDuration(s.TTL))
		}
		f.ttlBounds(s)
		s.Labels = f.labels()
		s.Endpoints = c.endpoints(f)
		law := f.fences()
		for _, e := range s.Endpoints {
			fenced(e, c.fencesOf[e.Provider], law)
		}
		c.checkPathways(f)
		s.Player = c.player(f, s)
		s.Methods = f.methods()
		s.Hostnames = c.steeredNames(f, s)
		c.checkDoors(f, s)
		s.Manifests = c.manifests(f, s)
		c.checkProbe(f, s)
		if p, ok := f.under("policy"); ok {
			c.policyOf[s.Key] = p
		}
		all = append(all, s)
	}
	return all
}

// endpoints compiles a service's endpoints in the file's order.
func (c *compiler) endpoints(f fields) []*steering.Endpoint {
	v, ok := f.require("endpoints", "add endpoints: [{provider: NAME, host: cdn.example}]")
	if !ok {
		return nil
	}
	items, ok := v.list()
	if ok && len(items) == 0 {
		v.fault("add at least one, such as {provider: NAME, host: cdn.example}", "is empty")
	}
	var all []*steering.Endpoint
	for i, item := range items {
		e, ok := c.compileEndpoint(f.name, item.as("endpoint %d of %s", i+1, f.subject))
		if ok {
			all = append(all, e)
		}
	}
	return all
}

func (c *compiler) compileEndpoint(key string, v value) (*steering.Endpoint, bool) {
	f, ok := v.fields("provider pool host addresses alpn url pathway weight name geofence blocked")
	if !ok {
		return nil, false
	}
	e := &steering.Endpoint{
		Service:  key,
		Provider: f.refer("provider", provider),
		Pool:     f.refer("pool", pool),
		Weight:   f.number("weight", 1, 0, 1e6),
		Place:    v.place(),
	}
	f.require("provider", "add provider: NAME")
	e.Account = c.accounts[e.Provider]
	if host, ok := f.under("host"); ok {
		e.Host, _ = host.cdnHost()
	}
	for _, item := range f.texts("addresses") {
		if a, ok := item.address(); ok {
			e.Addresses = append(e.Addresses, a)
		}
	}
	for _, item := range f.oneOrMore("alpn") {
		if id, ok := item.protocol(); ok {
			e.ALPN = append(e.ALPN, id)
		}
	}
	if u, ok := f.under("url"); ok {
		e.URL, _ = u.baseURL()
	}
	if p, ok := f.under("pathway"); ok {
		e.Pathway = p.pathway()
	}
	if !f.reachable() {
		v.fault("add host (a CNAME target), addresses or url", "has neither host nor addresses nor url")
	}
	e.ID = c.endpointID(f, e)
	e.Fences = f.fences()
	return e, true
}

// methods reads which methods are redirected beside GET and HEAD.
func (f fields) methods() (all []string) {
	for _, item := range f.oneOrMore("methods") {
		method, ok := item.text()
		if ok && !slices.Contains(words(redirectable), method) {
			item.fault(choices("choices", words(redirectable), method), "%q is not a choice", clip(method))
			continue
		}
		all = append(all, method)
	}
	return all
}

// protocol reads an ALPN protocol id (RFC 7301 §6).
func (v value) protocol() (string, bool) {
	s, ok := v.text()
	if ok && (len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })) {
		v.fault("write an id such as h2 or h3", "%q is not a protocol id", clip(s))
		return "", false
	}
	return s, ok
}

// cdnHost reads a CNAME target.
func (v value) cdnHost() (string, bool) {
	if a, err := netip.ParseAddr(v.node.Value); err == nil {
		v.fault(fmt.Sprintf("write addresses: [%s]", a), "%q is an IP address", v.node.Value)
		return "", false
	}
	return v.hostname()
}

// reachable tells whether anything says where the endpoint is, be it right or
// wrong.
func (f fields) reachable() bool {
	for _, key := range []string{"host", "addresses", "url"} {
		if v, ok := f.under(key); ok && !(v.node.Tag == "!!seq" && len(v.node.Content) == 0) {
			return true
		}
	}
	return false
}

// pathway reads a PATHWAY-ID (RFC 8216bis §4.4.6.2: letters, digits, ".", "-"
// and "_").
func (v value) pathway() string {
	s, ok := v.text()
	if !ok {
		return ""
	}
	for i := range len(s) {
		if b := s[i]; !isAlnum(b) && b != '.' && b != '-' && b != '_' {
			v.fault("use a-z A-Z 0-9 . - _", "%q is not a pathway id", clip(s))
			return ""
		}
	}
	return s
}

// endpointID names an endpoint and reports a name that is taken.
func (c *compiler) endpointID(f fields, e *steering.Endpoint) string {
	id := e.Service + "/" + e.Provider
	if e.Pool != "" {
		id += "/" + e.Pool
	}
	if name, ok := f.under("name"); ok {
		s, ok := name.text()
		if !ok {
			return id
		}
		c.checkName(name.place(), endpoint, s)
		id = e.Service + "/" + s
	} else if e.Provider == "" || (e.Pool == "" && f.byKey["pool"].node != nil) {
		return id // it could not be read; what it would be called is not known
	}
	if earlier, taken := c.declared[endpoint].entries[id]; taken {
		c.fault(f.place(), "give one of them a name: NAME of its own",
			"%s: endpoint %q is defined twice, first at %s", f.subject, id, earlier.place())
		return id
	}
	c.declared[endpoint].entries[id] = f.value
	return id
}

// checkPathways reports two endpoints of a service with one pathway.
func (c *compiler) checkPathways(f fields) {
	first := make(map[string]value)
	for i, item := range quietItems(f.byKey["endpoints"]) {
		entries := item.node.Content
		for j := 0; j+1 < len(entries) && item.node.Tag == "!!map"; j += 2 {
			if entries[j].Value != "pathway" || entries[j+1].Value == "" {
				continue
			}
			p := item
			p.node = entries[j+1]
			if earlier, twice := first[p.node.Value]; twice {
				c.fault(p.place(), "give every endpoint of a service its own pathway",
					"endpoint %d of %s: pathway %q is taken at %s", i+1, f.subject, clip(p.node.Value), earlier.place())
				continue
			}
			first[p.node.Value] = p
		}
	}
}

// steeredNames reads the hostnames and reports those of two services.
func (c *compiler) steeredNames(f fields, s *steering.Service) []string {
	var names []string
	for _, item := range f.oneOrMore("hostnames") {
		name, ok := item.hostname()
		if !ok {
			continue
		}
		if earlier, taken := c.hostnames[name]; taken {
			c.fault(item.place(), "leave it to one of them", "%s: hostname %s belongs to service %q already, at %s",
				f.subject, name, earlier.service, earlier.at.place())
			continue
		}
		h := steered{service: s.Key, at: item}
		for _, e := range s.Endpoints {
			h.cname = h.cname || e.Host != "" && !s.Alias
			h.https = h.https || e.Host != "" && s.Alias || len(e.ALPN) > 0
			if e.Host == name {
				c.fault(e.Place, "name the CDN's own host", "%s: host %s is the service's own hostname: a CNAME to itself", f.subject, name)
			}
		}
		c.hostnames[name] = h
		names = append(names, name)
	}
	return names
}

// checkDoors warns of endpoints that no door, or not the DNS door, can hand out.
func (c *compiler) checkDoors(f fields, s *steering.Service) {
	_, named := f.under("hostnames")
	byHTTP := slices.ContainsFunc(s.Endpoints, func(e *steering.Endpoint) bool { return e.URL != "" })
	for _, e := range s.Endpoints {
		inDNS := e.Host != "" || len(e.Addresses) > 0
		switch {
		case e.Provider == "": // reported already
		case named && !inDNS && e.URL != "":
			c.warn(e.Place, "add host or addresses", "endpoint %s: the DNS door cannot hand it out", e.ID)
		case byHTTP && e.URL == "":
			c.warn(e.Place, "add a url", "endpoint %s: the HTTP door cannot hand it out: where it is chosen, redirects go to another endpoint than DNS answers", e.ID)
		case !named && e.URL == "" && inDNS:
			c.warn(e.Place, "give the service hostnames for DNS, or the endpoint a url for HTTP",
				"endpoint %s: no door can hand it out: the service has no hostnames and the endpoint has no url", e.ID)
		}
	}
}

// checkProbe reports what the service's probe cannot do with its endpoints.
func (c *compiler) checkProbe(f fields, s *steering.Service) {
	if s.Probe == nil {
		return
	}
	if s.Probe.Type == steering.ProbeDNS {
		for _, e := range s.Endpoints {
			if e.Host == "" {
				c.fault(e.Place, "give it the host that is asked for, or use another type of probe",
					"endpoint %s: probe %q asks for the answers of a host name, and it has none", e.ID, s.Probe.Name)
			}
		}
	}
	if s.Probe.Type == steering.ProbeTCP && s.Probe.Port == 0 {
		for _, e := range s.Endpoints {
			if e.URL == "" {
				c.fault(e.Place, fmt.Sprintf("give probe %q a port, or the endpoint a url", s.Probe.Name),
					"endpoint %s: probe %q connects by TCP and no port is known", e.ID, s.Probe.Name)
			}
		}
	}
	if needs := detection(s.Probe); s.TTL < needs {
		at := f.home()
		if ttl, ok := f.under("ttl"); ok {
			at = ttl.place()
		}
		c.warn(at, fmt.Sprintf("raise ttl to %s, or probe more often", FormatDuration(needs.Round(time.Second))),
			"%s: ttl %s is shorter than it takes probe %q to see a failure (%s): clients ask again before there is news",
			f.subject, FormatDuration(s.TTL), s.Probe.Name, detectionText(s.Probe))
	}
}
