package publish

import (
	"context"
	"time"

	"fairway/steering"
)

// SetSignals takes what is known elsewhere, in place of what was, and returns when
// doors answer by it. It may reorder endpoints that are up, and no more.
func (l *Loop) SetSignals(ctx context.Context, t *steering.SignalTable) error {
	return l.order(ctx, func(time.Time) { l.signals = t })
}

// signalled takes in another table: services whose rules read signals are decided
// anew if a value changed.
func (t *track) signalled(table *steering.SignalTable) {
	if t.signals == table {
		return
	}
	changed := !table.SameValues(t.signals)
	t.signals = table
	for i, reads := range t.reads {
		t.services[i].all = t.services[i].all || changed && reads
	}
}

// readSignals gives every option the values that the rule's score reads. Where
// nothing is known of an endpoint, the mean of the service's others stands in: silence
// must make it neither better nor worse than those that are heard of.
func (c *chain) readSignals() {
	for i := range c.options {
		c.options[i].signals = nil
	}
	if len(c.rule.Signals) == 0 {
		return
	}
	whole := ""
	if c.region != nil {
		whole = c.region.Within
	}
	values := make([]float64, len(c.options)*len(c.revision.Signals))
	traces := make([]steering.SignalTrace, len(c.options)*len(c.rule.Signals))
	for i := range c.options {
		o := &c.options[i]
		o.inputs.Signals, values = values[:len(c.revision.Signals)], values[len(c.revision.Signals):]
		o.signals, traces = traces[:len(c.rule.Signals)], traces[len(c.rule.Signals):]
	}
	for at, number := range c.rule.Signals {
		c.readSignal(at, number, whole)
	}
}

// readSignal does it for one signal.
func (c *chain) readSignal(at, number int, whole string) {
	signal := &c.revision.Signals[number]
	sum, heard := 0.0, 0
	for i := range c.options {
		o := &c.options[i]
		trace := steering.SignalTrace{Name: signal.Name, Value: signal.Default, StandIn: steering.SignalDefault}
		if r, known := c.signals.Get(signal.Name, o.endpoint, c.group.Region, whole); known {
			trace = steering.SignalTrace{Name: signal.Name, Value: r.Value, AgeSeconds: max(0, c.now.Sub(r.At).Seconds())}
			sum += r.Value
			heard++
		}
		o.signals[at] = trace
	}
	for i := range c.options {
		o := &c.options[i]
		if trace := &o.signals[at]; trace.StandIn != "" && heard > 0 {
			trace.Value, trace.StandIn = sum/float64(heard), steering.SignalOfOthers
		}
		o.inputs.Signals[number] = o.signals[at].Value
	}
}
