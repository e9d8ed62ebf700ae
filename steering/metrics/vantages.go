package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"fairway/steering"
)

// Vantage is what is known of one vantage: what it says of itself and, of an agent
// elsewhere, how it reports.
type Vantage struct {
	Name      string
	Condition steering.Condition
	Agent     *Agent // nil = this node probes as it
}

// Agent is how an agent reports.
type Agent struct {
	Heard, Offset                   float64 // Unix time; seconds
	Buffered, Agents                int
	Dropped, Withheld               uint64
	Batches, Repeated, Gaps, Skewed uint64
}

// vantages shows them when scraped. Their names are those of the configuration.
type vantages struct{ now func() []Vantage }

func vantageDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("fairway_vantage_"+name, help, []string{"vantage"}, nil)
}

var (
	vantageIll        = vantageDesc("ill", "1 while the vantage says that too few of its references answer: what it measures does not count.")
	vantageReferences = vantageDesc("references_answering", "References that answer at the vantage.")
	vantageHeard      = vantageDesc("heard_timestamp_seconds", "When the vantage's agent was last heard of, in Unix time.")
	vantageOffset     = vantageDesc("clock_offset_seconds", "By how much this node's clock is ahead of the agent's. Times are corrected for it.")
	vantageBuffered   = vantageDesc("buffered_measurements", "Measurements that wait at the agent for this node.")
	vantageAgents     = vantageDesc("agents", "Agents that reported as the vantage within the last minute. More than 1 is a mistake.")
	vantageDropped    = vantageDesc("dropped_total", "Measurements that the agent gave up for want of room, since it began.")
	vantageWithheld   = vantageDesc("withheld_total", "Measurements that the agent did not send since it was ill, since it began.")
	vantageBatches    = vantageDesc("batches_total", "Batches taken from the agent.")
	vantageRepeated   = vantageDesc("repeated_total", "Batches that came again and were not counted again.")
	vantageGaps       = vantageDesc("gaps_total", "Batches that never came.")
	vantageRefused    = vantageDesc("skewed_total", "Batches refused since they were sent at another time: the clocks had come apart, or it was a replay.")
)

func (v *vantages) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		vantageIll, vantageReferences, vantageHeard, vantageOffset, vantageBuffered, vantageAgents,
		vantageDropped, vantageWithheld, vantageBatches, vantageRepeated, vantageGaps, vantageRefused,
	} {
		c <- d
	}
}

func (v *vantages) Collect(c chan<- prometheus.Metric) {
	for _, one := range v.now() {
		show := func(d *prometheus.Desc, kind prometheus.ValueType, value float64) {
			c <- prometheus.MustNewConstMetric(d, kind, value, one.Name)
		}
		if one.Condition.Of > 0 {
			ill := 0.0
			if one.Condition.Ill {
				ill = 1
			}
			show(vantageIll, prometheus.GaugeValue, ill)
			show(vantageReferences, prometheus.GaugeValue, float64(one.Condition.Fine))
		}
		if a := one.Agent; a != nil {
			show(vantageHeard, prometheus.GaugeValue, a.Heard)
			show(vantageOffset, prometheus.GaugeValue, a.Offset)
			show(vantageBuffered, prometheus.GaugeValue, float64(a.Buffered))
			show(vantageAgents, prometheus.GaugeValue, float64(a.Agents))
			show(vantageDropped, prometheus.CounterValue, float64(a.Dropped))
			show(vantageWithheld, prometheus.CounterValue, float64(a.Withheld))
			show(vantageBatches, prometheus.CounterValue, float64(a.Batches))
			show(vantageRepeated, prometheus.CounterValue, float64(a.Repeated))
			show(vantageGaps, prometheus.CounterValue, float64(a.Gaps))
			show(vantageRefused, prometheus.CounterValue, float64(a.Skewed))
		}
	}
}
