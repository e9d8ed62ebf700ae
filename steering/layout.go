package steering

import (
	"errors"
	"slices"
)

// Layout joins a revision with the network map: which rule each service
// follows in each cell. It is made when one of the two changes, by every node
// for itself, and never changes.
type Layout struct {
	Revision *Revision
	Table    Table
	Services []*ServiceLayout // as Revision.Services
	byKey    map[string]int
	byHost   map[string]int
}

// ServiceLayout is a service with its groups. Services that share a policy
// share Groups and ByCell.
type ServiceLayout struct {
	Service *Service
	Groups  []Group
	ByCell  []uint32 // cell → index into Groups
	seed    uint64
}

// Group is the cells of one region in which the same rule matches: the unit
// that is decided together.
type Group struct {
	Region string
	Rule   *Rule
}

// Key names the group within its service, the same on every node and after a
// restart.
func (g Group) Key() string { return groupKey(g.Region, g.Rule.Name) }

func groupKey(region, rule string) string { return region + "/" + rule }

// NewLayout evaluates every policy's rules over the table's cells.
func NewLayout(revision *Revision, table Table) (*Layout, error) {
	if revision == nil || table == nil {
		return nil, errors.New("layout: a revision and a table are needed")
	}
	l := &Layout{
		Revision: revision,
		Table:    table,
		byKey:    make(map[string]int, len(revision.Services)),
		byHost:   make(map[string]int, len(revision.Services)),
	}
	type grouping struct {
		groups []Group
		byCell []uint32
	}
	policies := make(map[*Policy]grouping, len(revision.Policies))
	for i, service := range revision.Services {
		g, done := policies[service.Policy]
		if !done {
			g.groups, g.byCell = groupCells(service.Policy, table.Cells())
			policies[service.Policy] = g
		}
		l.Services = append(l.Services, &ServiceLayout{
			Service: service, Groups: g.groups, ByCell: g.byCell, seed: hashString(service.Key),
		})
		l.byKey[service.Key] = i
		for _, host := range service.Hostnames {
			l.byHost[host] = i
		}
	}
	return l, nil
}

// groupCells finds the rule of every cell and numbers the groups in the order
// of their first cell.
func groupCells(policy *Policy, cells []Cell) ([]Group, []uint32) {
	var groups []Group
	index := make(map[Group]uint32)
	byCell := make([]uint32, len(cells))
	for i := range cells {
		at := slices.IndexFunc(policy.Rules, func(r *Rule) bool { return r.When == nil || r.When(&cells[i]) })
		if at < 0 {
			panic("steering: policy " + policy.Name + " has no rule that always matches")
		}
		g := Group{Region: cells[i].Region, Rule: policy.Rules[at]}
		n, known := index[g]
		if !known {
			n = uint32(len(groups))
			index[g] = n
			groups = append(groups, g)
		}
		byCell[i] = n
	}
	return groups, byCell
}

// ByKey returns the index of the service with this key, -1 for none.
func (l *Layout) ByKey(key string) int {
	if i, ok := l.byKey[key]; ok {
		return i
	}
	return -1
}

// ByHost returns the index of the service with this hostname, -1 for none. The
// name is fully qualified and lower case.
func (l *Layout) ByHost(host string) int {
	if i, ok := l.byHost[host]; ok {
		return i
	}
	return -1
}
