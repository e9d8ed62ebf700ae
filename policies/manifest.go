package policies

import (
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// The defaults of a service's manifests.
const (
	defaultManifestCache   = 2 * time.Second
	defaultManifestStale   = 5 * time.Minute
	defaultManifestTimeout = 2 * time.Second
)

// manifests reads how a service's manifests are made steerable; nil when they are
// not handed out.
func (c *compiler) manifests(of fields, s *steering.Service) *steering.Manifests {
	v, ok := of.under("manifest")
	if !ok {
		return nil
	}
	f, ok := v.as("manifest of %s", of.subject).fields("origins door steering cache stale timeout on_error query cmcd")
	if !ok {
		return nil
	}
	m := &steering.Manifests{
		Fresh:    f.duration("cache", defaultManifestCache, 0, time.Hour),
		Stale:    f.duration("stale", defaultManifestStale, 0, 7*24*time.Hour),
		Timeout:  f.duration("timeout", defaultManifestTimeout, 50*time.Millisecond, 8*time.Second),
		Redirect: f.choice("on_error", "refuse", "refuse", "redirect") == "redirect",
		Place:    v.home(),
	}
	switch f.choice("steering", "declared", "declared", "shared", "none", "redirect") {
	case "shared":
		m.Shared = true
	case "none":
		m.Unsteered = true
	case "redirect":
		m.Unsteered, m.Redirected = true, true
	}
	if door, ok := f.under("door"); ok {
		m.Door, _ = door.baseURL()
	}
	for _, item := range f.oneOrMore("query") {
		if name, ok := item.parameter(); ok {
			m.Query = append(m.Query, name)
		}
	}
	slices.Sort(m.Query)
	if cmcd, ok := f.under("cmcd"); ok {
		m.CMCD = cmcd.as("cmcd of the %s", f.subject).cmcd()
	}
	if stated, ok := f.under("origins"); ok {
		for _, item := range f.oneOrMore("origins") {
			if origin, ok := item.baseURL(); ok {
				m.Origins = append(m.Origins, origin)
			}
		}
		if len(m.Origins) == 0 && stated.node.Tag == "!!seq" && len(stated.node.Content) == 0 {
			stated.fault("name at least one origin", "is empty")
		}
	} else {
		c.manifestsOf[s.Key] = f
	}
	if !m.Redirected && !slices.ContainsFunc(s.Endpoints, func(e *steering.Endpoint) bool { return e.Pathway != "" && e.URL != "" }) {
		c.warn(v.home(), "give endpoints a pathway and a url", "%s: no endpoint has both a pathway and a url: no manifest can be made steerable", f.subject)
	}
	return m
}

// parameter reads the name of a query parameter that an origin gets.
func (v value) parameter() (string, bool) {
	s, ok := v.text()
	if ok && (s == "s" || strings.HasPrefix(s, "CMCD") || strings.ContainsAny(s, "&=# ")) {
		v.fault("name a parameter of your origin", "%q is not one that can be passed on", clip(s))
		return "", false
	}
	return s, ok
}

// cmcd reads what MPDs ask players to report.
func (v value) cmcd() *steering.CMCD {
	f, _ := v.fields("version mode keys")
	d := &steering.CMCD{
		Version: int(f.integer("version", 1, 1, 2)),
		Header:  f.choice("mode", "query", "query", "header") == "header",
	}
	for _, item := range f.oneOrMore("keys") {
		key, ok := item.text()
		if ok && strings.ContainsFunc(key, func(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }) {
			item.fault("write a key of CTA-5004, such as br or sid", "%q is not a CMCD key", clip(key))
			continue
		}
		d.Keys = append(d.Keys, key)
	}
	return d
}

// originsOfManifests gives manifests that name no origins those of their
// endpoints' pools, in the order of the endpoints, each followed by its fallbacks.
func (c *compiler) originsOfManifests(services []*steering.Service, pools []*steering.Pool) {
	byName := make(map[string]*steering.Pool, len(pools))
	for _, p := range pools {
		byName[p.Name] = p
	}
	for _, s := range services {
		f, ok := c.manifestsOf[s.Key]
		if !ok || s.Manifests == nil {
			continue
		}
		walked := make(map[string]bool)
		for _, e := range s.Endpoints {
			for p := byName[e.Pool]; p != nil && !walked[p.Name]; p = byName[p.Fallback] {
				walked[p.Name] = true
				for _, origin := range p.Origins {
					if !slices.Contains(s.Manifests.Origins, origin) {
						s.Manifests.Origins = append(s.Manifests.Origins, origin)
					}
				}
			}
		}
		if len(walked) == 0 {
			c.fault(f.home(), "add origins: [https://origin.example], or give the endpoints a pool", "%s: nobody says where its manifests are", f.subject)
		}
	}
}
