package policytest

import (
	"slices"

	"fairway/policies"
	"fairway/steering"
)

// named is a provider or an endpoint of a service.
type named struct {
	place    steering.Place
	name     string
	provider bool
}

// named reads the name of a provider or an endpoint that the service has.
func (p *parser) named(v value, name string, service *steering.Service) (named, bool) {
	n := named{place: v.at, name: name}
	if service == nil {
		return n, false
	}
	var words []string
	for _, e := range service.Endpoints {
		n.provider = n.provider || e.Provider == name
		words = append(words, e.ID)
		if !slices.Contains(words, e.Provider) {
			words = append(words, e.Provider)
		}
	}
	if n.provider {
		return n, true
	}
	if e := endpointOf(service, name); e != nil {
		n.name = e.ID
		return n, true
	}
	p.fault(v.at, policies.Choices("providers and endpoints of service "+service.Key, words, name), "%s%q is neither", v.label(), name)
	return n, false
}

// means tells whether an endpoint is meant.
func (n named) means(e *steering.Endpoint) bool {
	if n.provider {
		return e.Provider == n.name
	}
	return e.ID == n.name
}

func (n named) endpoints(s *steering.Service) []*steering.Endpoint {
	var meant []*steering.Endpoint
	for _, e := range s.Endpoints {
		if n.means(e) {
			meant = append(meant, e)
		}
	}
	return meant
}
