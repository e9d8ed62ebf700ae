package publish

import "fairway/steering"

// decide runs one decision by itself.
func decide(ev *evidence, service *steering.Service, group steering.Group, prev *slot, trace *[]steering.StageTrace) (*slot, *chain) {
	if ev.revision == nil {
		ev.revision = new(steering.Revision)
	}
	d := newDecider(ev)
	d.begin(service, nil)
	return d.decide(ev.spot(group), prev, trace), &d.chain
}
