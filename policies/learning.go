package policies

import (
	"slices"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// Learning says how we find out where the clients of a resolver are that sends no
// client subnet.
type Learning struct {
	Name      string  // below it are the names that are used once; empty = nothing is learned
	Evidence  int     // client networks that a resolver must have been seen with
	Majority  float64 // the share of them that must be in one region
	Keep      time.Duration
	Resolvers int // that are remembered
}

// The defaults of learning.
const (
	defaultEvidence  = 10
	defaultMajority  = "60%"
	defaultLearnKeep = 7 * 24 * time.Hour
	defaultResolvers = 10_000
)

// learning reads the section learning.
func (c *compiler) learning(zones []steering.Zone) Learning {
	v, ok := c.single("learning")
	if !ok {
		return Learning{}
	}
	f, _ := v.fields("name evidence majority keep resolvers")
	l := Learning{
		Evidence: int(f.integer("evidence", defaultEvidence, 2, 64)), Majority: 0.6,
		Keep: f.duration("keep", defaultLearnKeep, time.Hour, 90*24*time.Hour), Resolvers: int(f.integer("resolvers", defaultResolvers, 1, 1_000_000)),
	}
	if m, ok := f.under("majority"); ok {
		if share, ok := m.percent(); ok {
			if l.Majority = share; share < 0.5 {
				m.fault("use 50% to 100%", "%s of the networks are no majority", m.node.Value)
			}
		}
	}
	name, ok := f.require("name", "add name: learn.cdn.video.example, a name in one of your zones")
	if !ok {
		return l
	}
	if l.Name, ok = name.hostname(); ok && !c.partial {
		checkLearned(name, l.Name, zones)
	}
	return l
}

// checkLearned wants the wildcard by which clients find our HTTP door.
func checkLearned(at value, name string, zones []steering.Zone) {
	var apexes []string
	for _, z := range zones {
		apexes = append(apexes, z.Name)
	}
	apex := zoneOf(name, apexes)
	if apex == "" {
		at.fault("use a name in one of your zones", "%s is in none of the zones", name)
		return
	}
	z := zones[slices.Index(apexes, apex)]
	if len(z.Primaries) > 0 || slices.ContainsFunc(z.Records, func(r steering.Record) bool {
		return r.Name == "*."+name && (r.Type == dns.TypeA || r.Type == dns.TypeAAAA)
	}) {
		return
	}
	at.fault("add to the zone's records {name: \"*."+name+"\", type: A, value: the address of this node's HTTP door}",
		"no address stands for the names below %s", name)
}
