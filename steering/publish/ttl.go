package publish

import (
	"fmt"
	"slices"
	"time"

	"fairway/steering"
)

// ttl is how long an answer may be kept, and why. It shrinks when an endpoint with
// clients is about to be found down, to what its measurements still need for that;
// it grows when nothing but an operator can change the answer. It is whole seconds,
// and never below the service's least nor above its most. All doors hand out the
// same.
func (d *decision) ttl() (time.Duration, string) {
	s := d.service
	least, most := s.TTL, s.TTL
	if s.TTLMin > 0 {
		least = min(s.TTLMin, s.TTL)
	}
	if s.TTLMax > 0 {
		most = max(s.TTLMax, s.TTL)
	}
	near := time.Duration(0)
	var who *steering.Endpoint
	for i := range d.options {
		if h := d.options[i].health; d.entries[i].Share > 0 && h.Near > 0 && (near == 0 || h.Near < near) {
			near, who = h.Near, d.options[i].endpoint
		}
	}
	switch {
	case who != nil && near < s.TTL:
		ttl := max(least, (near + time.Second - 1).Truncate(time.Second))
		switch {
		case d.trace == nil:
			return ttl, ""
		case ttl == s.TTL:
			return ttl, "as configured"
		}
		return ttl, fmt.Sprintf("shortened from %v: %s may be found down in %v", s.TTL, who.ID, near)
	case most > s.TTL && d.settled():
		return most, "lengthened: nothing but an operator can change the answer"
	}
	return s.TTL, "as configured"
}

// settled tells whether neither a measurement, nor traffic, nor time can change
// what is handed out.
func (d *decision) settled() bool {
	if len(d.outcome.Holds) > 0 || len(d.concerns) > 0 || trades(d.group.Rule) || d.timed() {
		return false
	}
	allowed, probed := 0, d.service.Probe != nil
	for i := range d.options {
		o := &d.options[i]
		if o.reason.Code == steering.ReasonDenied {
			continue
		}
		allowed++
		if pool := d.revision.Pool(o.endpoint.Pool); pool != nil && pool.Probe != nil {
			probed = true
		}
		if o.endpoint.Account != nil && o.endpoint.Account.Limited() {
			probed = true // a cap is as good as a measurement
		}
	}
	return !probed || allowed == 1 && d.policy.OnAllDown.Mode != steering.AllDownNone
}

// timed tells whether schedules or rules may change the answer with the time.
func (d *decision) timed() bool {
	return len(d.revision.Schedules) > 0 || slices.ContainsFunc(d.service.Policy.Rules, func(r *steering.Rule) bool { return r.Reads.Time })
}
