package publish

import (
	"time"

	"fairway/steering"
)

// score reads the inputs of every endpoint (explain shows them all) and scores
// it.
func (c *chain) score() {
	cheapest := 0.0
	for i := range c.options {
		price := c.stalls[i].price(c.group.Region)
		c.options[i].inputs.PricePerGB = price
		if price > 0 && (cheapest == 0 || price < cheapest) {
			cheapest = price
		}
	}
	usual := c.usualPlayers()
	for i := range c.options {
		o := &c.options[i]
		o.read(c.service.Weight(o.endpoint), cheapest, c.now)
		o.readPlayers(&usual)
		o.inputs.Load = c.stalls[i].load(c.group.Region)
		o.inputs.Pace, o.inputs.Pull = c.stalls[i].pace.Ratio, c.stalls[i].pace.Pull
	}
	c.readSignals()
	for i := range c.options {
		o := &c.options[i]
		o.score = 1
		switch {
		case c.rule.Auto:
			o.fetch.Estimate, o.fetch.known = c.estimates.At(c.fetches[i], c.fetch)
			o.score = c.auto(o)
		case c.rule.Score != nil:
			o.score = max(0, c.rule.Score(&o.inputs))
		}
	}
	c.note("score", c.rule.ScorePlace, c.rule.ScoreText)
}

// The references of the goodness terms: at these values a term is 0.5.
const (
	latencyRefMs     = 100
	throughputRefBps = 1e6
	rebufferingRef   = 0.01
)

// read fills the inputs of an option, whose price is known.
func (o *option) read(weight, cheapest float64, now time.Time) {
	e, h, price := o.endpoint, o.health, o.inputs.PricePerGB
	o.inputs = steering.Inputs{
		Availability:  h.Availability,
		Throughput:    h.Throughput / (h.Throughput + throughputRefBps),
		Cost:          1,
		P50Ms:         milliseconds(h.P50),
		P95Ms:         milliseconds(h.P95),
		ThroughputBps: h.Throughput,
		PricePerGB:    price,
		Samples:       float64(h.Samples),
		AgeSeconds:    h.Age(now).Seconds(),
		Weight:        weight,
		Provider:      e.Provider,
		Pool:          e.Pool,
	}
	if h.P50 > 0 {
		o.inputs.Latency = latencyRefMs / (latencyRefMs + o.inputs.P50Ms)
	}
	if price > 0 {
		o.inputs.Cost = cheapest / price
	}
}

// usualPlayers is, figure by figure, the mean of the service's endpoints of which
// players told it here. It stands in for the others: silence must make an endpoint
// neither better nor worse than those that are heard of.
func (c *chain) usualPlayers() steering.Inputs {
	mean := func(tell func(*steering.Played) (float64, bool), otherwise float64) float64 {
		sum, heard := 0.0, 0
		for i := range c.options {
			if v, known := tell(&c.options[i].health.Players); known {
				sum += v
				heard++
			}
		}
		if heard == 0 {
			return otherwise
		}
		return sum / float64(heard)
	}
	return steering.Inputs{
		Rebuffering:         mean(rebuffering, 0),
		PlayerAvailability:  mean(playerAvailability, 1),
		PlayerTTFBMs:        mean(playerTTFB, 0),
		PlayerThroughputBps: mean(playerThroughput, 0),
		PlayerStartMs:       mean(playerStart, 0),
	}
}

// readPlayers fills in what only players can tell.
func (o *option) readPlayers(usual *steering.Inputs) {
	told := func(tell func(*steering.Played) (float64, bool), otherwise float64) float64 {
		if v, known := tell(&o.health.Players); known {
			return v
		}
		return otherwise
	}
	o.inputs.Rebuffering = told(rebuffering, usual.Rebuffering)
	o.inputs.Smoothness = rebufferingRef / (rebufferingRef + o.inputs.Rebuffering)
	o.inputs.PlayerAvailability = told(playerAvailability, usual.PlayerAvailability)
	o.inputs.PlayerTTFBMs = told(playerTTFB, usual.PlayerTTFBMs)
	o.inputs.PlayerThroughputBps = told(playerThroughput, usual.PlayerThroughputBps)
	o.inputs.PlayerStartMs = told(playerStart, usual.PlayerStartMs)
}

// What players tell as a score reads it, and whether they tell it.

func rebuffering(p *steering.Played) (float64, bool) { return p.Rebuffering, p.PlayTime > 0 }

func playerAvailability(p *steering.Played) (float64, bool) { return p.Availability, p.Sessions > 0 }

func playerTTFB(p *steering.Played) (float64, bool) { return milliseconds(p.TTFB), p.TTFB > 0 }

func playerThroughput(p *steering.Played) (float64, bool) { return p.Throughput, p.Throughput > 0 }

func playerStart(p *steering.Played) (float64, bool) { return milliseconds(p.Start), p.Start > 0 }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
