package sim

import (
	"fmt"
	"time"
)

// timeline asks how soon viewers are away from a CDN that died, by how often it is
// probed and by the TTL.
func timeline(v *Inquiry) (Finding, error) {
	f := Finding{
		Text: fmt.Sprintf("A CDN dies at once in a region, and stays dead: how long until four in five of its viewers are elsewhere, over %d outages a row, by DNS where one resolver in ten "+
			"keeps answers for 300 s. *By the book* are others' documented defaults, computed: interval × failures that it takes, and the TTL; no resolver that stretches it, no time until "+
			"an answer is everywhere.", v.Outages),
		Head: []string{"who", "probes every", "TTL", "decided p50", "p95", "four in five p50", "p95"},
	}
	intervals := []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}
	ttls := []time.Duration{5 * time.Second, 20 * time.Second, time.Minute}
	v.parts = len(intervals) * len(ttls)
	plot := &Plot{X: "probes every, seconds", Y: "seconds until four in five are elsewhere, p50", LogX: true}
	for _, ttl := range ttls {
		line := Line{Name: "TTL " + ttl.String()}
		for _, every := range intervals {
			base := v.Base
			base.TTL, base.Probes.Every = ttl, every
			e, err := Evacuate(Outages{Base: base, Count: v.Outages, Seed: v.Seeds[0], Candidate: Ships()[0], Progress: v.told, Workers: v.Workers})
			if err != nil {
				return f, err
			}
			f.row("fairway", every.String(), ttl.String(), Quantile(e.Detected, 0.5).String(), Quantile(e.Detected, 0.95).String(),
				Quantile(e.Moved, 0.5).String(), Quantile(e.Moved, 0.95).String())
			line.Points = append(line.Points, [2]float64{every.Seconds(), Quantile(e.Moved, 0.5).Seconds()})
			v.next()
		}
		plot.Lines = append(plot.Lines, line)
	}
	for _, o := range others() {
		f.row(o.who+", by the book", o.every.String(), o.ttl.String(), o.decided().String(), "", (o.decided() + o.ttl).String(), "")
		plot.Lines = append(plot.Lines, Line{o.who, [][2]float64{{o.every.Seconds(), (o.decided() + o.ttl).Seconds()}}})
	}
	f.Plot = plot
	return f, nil
}

// documented is what a service's documentation says of its failover.
type documented struct {
	who   string
	every time.Duration
	fails int           // in a row until it counts
	wait  time.Duration // for the last of them, and until the answer is another one
	ttl   time.Duration
}

// decided is how long it takes until another answer is given.
func (d *documented) decided() time.Duration { return time.Duration(d.fails)*d.every + d.wait }

func others() []documented {
	return []documented{
		{"Azure Traffic Manager, default", 30 * time.Second, 3, 10 * time.Second, time.Minute},
		{"Azure Traffic Manager, fast", 10 * time.Second, 1, 5 * time.Second, time.Minute},
		{"Route 53, default", 30 * time.Second, 3, 0, time.Minute},
		{"Akamai GTM", 10 * time.Second, 1, 15 * time.Second, time.Minute},
	}
}
