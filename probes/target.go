package probes

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"fairway/steering"
)

// Target is one thing to probe from every vantage.
type Target struct {
	Subject   steering.Subject
	Probe     *steering.Probe
	Host      string // name without the final dot, for resolution, SNI and Host; may be a literal address
	Port      int
	Secure    bool         // over TLS
	Path      string       // path and query
	Group     string       // targets whose objects of the same name are the same; empty = of none
	Provider  string       // whose tokens its URLs have; empty = they are open
	Addresses []netip.Addr // where to connect; empty = resolve Host
}

// Targets lists what a revision wants probed: the endpoints of services that
// name a probe, then the origins of pools that do. What has neither a host, nor
// a URL, nor an address is left out; the configuration's check refuses it.
func Targets(r *steering.Revision) []Target {
	var targets []Target
	for _, service := range r.Services {
		if service.Probe == nil {
			continue
		}
		for _, e := range service.Endpoints {
			if t, ok := endpointTarget(e, service.Probe); ok {
				targets = append(targets, t)
			}
		}
	}
	for _, pool := range r.Pools {
		if pool.Probe == nil {
			continue
		}
		seen := make(map[string]bool, len(pool.Origins))
		for _, origin := range pool.Origins {
			base := baseURL(origin)
			if base == nil || seen[origin] {
				continue
			}
			seen[origin] = true
			targets = append(targets, Target{
				Subject: steering.OriginSubject(pool.Name, origin),
				Probe:   pool.Probe,
				Host:    hostOf(base),
				Port:    portOf(pool.Probe, base),
				Secure:  secureOf(pool.Probe, base),
				Group:   "pool " + pool.Name,
				Path:    pathOf(pool.Probe),
			})
		}
	}
	return targets
}

// endpointTarget names the endpoint as players know it: by its CNAME target,
// else by its URL's host, else by its first address.
func endpointTarget(e *steering.Endpoint, p *steering.Probe) (Target, bool) {
	base := baseURL(e.URL)
	t := Target{
		Subject:   e.Subject(),
		Probe:     p,
		Port:      portOf(p, base),
		Secure:    secureOf(p, base),
		Group:     "service " + e.Service,
		Path:      pathOf(p),
		Addresses: e.Addresses,
	}
	if e.Account != nil && e.Account.Tokens != nil {
		t.Provider = e.Provider
	}
	switch {
	case e.Host != "":
		t.Host = strings.TrimSuffix(e.Host, ".")
	case base != nil:
		t.Host = hostOf(base)
	case len(e.Addresses) > 0:
		t.Host = e.Addresses[0].Unmap().String()
	}
	return t, t.Host != ""
}

// portOf is the probe's own port, else that of a URL with the probe's scheme,
// else the scheme's. TCP and media probes have no scheme and take the URL's.
func portOf(p *steering.Probe, base *url.URL) int {
	if p.Port != 0 {
		return p.Port
	}
	scheme := "http"
	if secureOf(p, base) {
		scheme = "https"
	}
	if base != nil && base.Scheme == scheme {
		if port, err := strconv.Atoi(base.Port()); err == nil {
			return port
		}
	}
	if scheme == "http" {
		return 80
	}
	return 443
}

// secureOf tells whether there is TLS: as the type says, else as the URL does,
// which is https unless stated otherwise.
func secureOf(p *steering.Probe, base *url.URL) bool {
	switch p.Type {
	case steering.ProbeHTTP:
		return false
	case steering.ProbeHLS, steering.ProbeDASH, steering.ProbeTCP:
		return base == nil || base.Scheme != "http"
	}
	return true
}

func pathOf(p *steering.Probe) string {
	if p.Path == "" {
		return "/"
	}
	return p.Path
}

func hostOf(base *url.URL) string { return strings.TrimSuffix(base.Hostname(), ".") }

// baseURL parses a base URL; nil when it names no host.
func baseURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	return u
}
