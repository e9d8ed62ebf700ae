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
	groups    map[groupName]bool // see addGroups
}

type groupName struct{ service, region, rule string }

func namesOf(revisions ...*steering.Revision) *names {
	n := &names{
		endpoints: make(map[string]*steering.Endpoint), services: make(map[string]bool), regions: make(map[string]bool),
		pools: make(map[string]bool), vantages: make(map[string]string), providers: make(map[string]bool), groups: make(map[groupName]bool),
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
	return n.services[labels.service] && n.regions[labels.region] &&
		(labels.endpoint == "" || n.endpoints[labels.endpoint] != nil && n.endpoints[labels.endpoint].Service == labels.service)
}

// addGroups adds the groups that are decided in a snapshot.
func (n *names) addGroups(snapshot *steering.Snapshot) {
	if snapshot == nil {
		return
	}
	for _, sl := range snapshot.Layout.Services {
		for _, group := range sl.Groups {
			n.groups[groupName{sl.Service.Key, group.Region, group.Name()}] = true
		}
	}
}

// handed tells whether a group's count still belongs to something.
func (n *names) handed(key handedKey) bool {
	return n.groups[groupName{key.service, key.region, key.rule}] && (key.endpoint == "" || n.endpoints[key.endpoint] != nil)
}
