package sim

import (
	"net/netip"
	"time"

	"fairway/steering"
	"fairway/steering/estimate"
	"fairway/steering/publish"
	"fairway/steering/usage"
)

// fairway is the product itself: its configuration, health, policy, publish loop and
// snapshot, turned by hand.
type fairway struct {
	name    string
	world   *World
	layout  *steering.Layout
	loop    publish.Hand
	rum     bool
	asn     bool
	clients []place // by ASN
	batch   []steering.Measurement
	samples []usage.Sample
	told    []estimate.Players
	last    *steering.Snapshot
	index   map[*steering.Endpoint]int
}

// place is where an ASN's viewers are in the layout: groups, each with a share.
type place []steering.Part

// newFairway makes a candidate ready for a world.
func newFairway(w *World, c Candidate) (*fairway, error) {
	layout, err := compile(w, c)
	if err != nil {
		return nil, err
	}
	f := &fairway{name: c.Name, world: w, layout: layout, rum: c.RUM, asn: c.ASN, index: make(map[*steering.Endpoint]int)}
	for i, e := range layout.Revision.Services[0].Endpoints {
		f.index[e] = i
	}
	for g := range w.G {
		client := w.Client(g)
		cell, _ := layout.Table.Locate(client)
		f.clients = append(f.clients, layout.Services[0].Parts(cell, steering.Query{Client: client, Door: steering.DoorDNS, Source: steering.SourceClient}))
	}
	f.loop, err = publish.ByHand(publish.Config{Layout: layout, Publish: func(*steering.Snapshot) {}}, w.Now())
	return f, err
}

func (f *fairway) Name() string { return f.name }

// Steer hands over what came in and reads what the doors would answer.
func (f *fairway) Steer(s *Sight, want []float64) {
	f.observe(s)
	f.report(s)
	f.players(s)
	f.loop.Turn(s.Now)
	snapshot := f.loop.View().Snapshot
	if snapshot == f.last {
		return
	}
	f.last = snapshot
	for g, parts := range f.clients {
		row := want[g*s.CDNs : (g+1)*s.CDNs]
		clear(row)
		for _, p := range parts {
			for _, c := range snapshot.Split(0, p.Group).Picks() {
				row[f.index[c.Endpoint]] += p.Share * c.Weight
			}
		}
	}
}

// observe makes measurements of what probes saw.
func (f *fairway) observe(s *Sight) {
	f.batch = f.batch[:0]
	endpoints := f.layout.Revision.Services[0].Endpoints
	for _, p := range s.Probes {
		r, k := p.Vantage/s.Vantages, p.Vantage%s.Vantages
		m := steering.Measurement{
			Subject: endpoints[p.CDN].Subject(), Vantage: vantageName(r, k), Region: regionName(r), Address: cdnAddress(p.CDN),
			At: Epoch.Add(p.At), Outcome: steering.OutcomeOK,
		}
		if p.OK {
			m.Phases.TTFB = time.Duration(p.Ms * float64(time.Millisecond))
		} else {
			m.Outcome, m.Status = steering.OutcomeStatus, 503
		}
		f.batch = append(f.batch, m)
	}
	f.loop.Observe(f.batch)
}

// report tells what CDNs say that they carried.
func (f *fairway) report(s *Sight) {
	if s.Carried == nil {
		return
	}
	span := f.world.Usage.Every
	f.samples = f.samples[:0]
	add := func(region string, cdn int, gbps float64) {
		f.samples = append(f.samples, usage.Sample{
			Provider: cdnName(cdn), Region: region, Start: s.Until.Add(-span), Span: span,
			Bytes: gbps * 1e9 / 8 * span.Seconds(), Requests: gbps * 100 * span.Seconds(),
		})
	}
	for r := range s.Regions {
		for c := range s.CDNs {
			sum := 0.0
			for a := range s.Groups {
				gbps := s.Carried[(r*s.Groups+a)*s.CDNs+c]
				if f.asn {
					add(partName(r, a), c, gbps)
				}
				sum += gbps
			}
			if !f.asn {
				add(regionName(r), c, sum)
			}
		}
	}
	f.loop.Report(f.samples)
}

// players hands on what players told.
func (f *fairway) players(s *Sight) {
	if !f.rum {
		return
	}
	f.told = f.told[:0]
	for _, r := range s.Reports {
		region := regionName(r.Group / s.Groups)
		if f.asn {
			region = partName(r.Group/s.Groups, r.Group%s.Groups)
		}
		f.told = append(f.told, estimate.Players{
			Endpoint: f.layout.Revision.Services[0].Endpoints[r.CDN].ID, Region: region, At: Epoch.Add(r.At),
			Tries: float64(r.N), Fails: float64(r.Errors), LogMs: r.LogMs, LogMsSq: r.LogMsSq,
		})
	}
	f.loop.Players(f.told)
}

// decide is what a door answers a viewer now, for tests.
func (f *fairway) decide(client netip.Addr) steering.Decision {
	return f.loop.View().Snapshot.Decide(steering.Query{Client: client, Door: steering.DoorDNS, Source: steering.SourceClient})
}
