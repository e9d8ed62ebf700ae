package metrics

import "fairway/steering"

// names is what revisions name, for the labels that may exist.
type names struct {
	endpoints map[string]*steering.Endpoint // by id
	services  map[string]bool
	regions   map[string]bool
	pools     map[string]bool
	vantages  map[string]string // → region
	providers map[string]bool
	layout    *steering.Layout              // whose groups there are; nil = there are none
	groups    map[string]map[groupName]bool // by service, as far as they were asked for
}

type groupName struct{ region, rule string }

func namesOf(revisions ...*steering.Revision) *names {
	n := &names{
		endpoints: make(map[string]*steering.Endpoint), services: make(map[string]bool), regions: make(map[string]bool),
		pools: make(map[string]bool), vantages: make(map[string]string), providers: make(map[string]bool), groups: make(map[string]map[groupName]bool),
	}
	for _, revision := range revisions {
		if revision != nil {
			n.add(revision)
		}
	}
	return n
}

func (n *names) add(revision *steering.Revision) {
	for _, region := range revision.RegionNames() {
		n.regions[region] = true
	}
	for _, service := range revision.Services {
		n.services[service.Key] = true
		for _, e := range service.Endpoints {
			n.endpoints[e.ID] = e
			n.providers[e.Provider] = true
		}
	}
	for _, pool := range revision.Pools {
		n.pools[pool.Name] = true
	}
	for _, v := range revision.Vantages {
		n.vantages[v.Name] = v.Region
	}
}

// decision tells whether a decision's series still belongs to something.
func (n *names) decision(labels decisionLabels) bool {
	return n.services[labels.service] && (labels.region == everywhere || n.regions[labels.region]) &&
		(labels.endpoint == "" || n.endpoints[labels.endpoint] != nil && n.endpoints[labels.endpoint].Service == labels.service)
}

// handed tells whether a group's count still belongs to something.
func (n *names) handed(key handedKey) bool {
	return n.groupsOf(key.service)[groupName{key.region, key.rule}] && (key.endpoint == "" || n.endpoints[key.endpoint] != nil)
}

// groupsOf gives the groups of a service that are decided.
func (n *names) groupsOf(service string) map[groupName]bool {
	groups, asked := n.groups[service]
	if !asked && n.layout != nil {
		if i := n.layout.ByKey(service); i >= 0 {
			groups = make(map[groupName]bool)
			for _, group := range n.layout.Services[i].Groups {
				groups[groupName{group.Region, group.Name()}] = true
			}
		}
		n.groups[service] = groups
	}
	return groups
}
