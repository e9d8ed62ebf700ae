package sim

import (
	"fmt"
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
	from    Candidate
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

	// Names by index, which are needed many times.
	regions, parts, cdns, vantages []string
}

// place is where an ASN's viewers are in the layout: groups, each with a share.
type place []steering.Part

// newFairway makes a candidate ready for a world.
func newFairway(w *World, c Candidate, made *tables) (*fairway, error) {
	layout, err := compile(w, c, made)
	if err != nil {
		return nil, err
	}
	f := &fairway{name: c.Name, from: c, world: w, layout: layout, rum: c.RUM, asn: c.ASN, index: make(map[*steering.Endpoint]int)}
	for i, e := range layout.Revision.Services[0].Endpoints {
		f.index[e] = i
	}
	for r := range w.R {
		f.regions = append(f.regions, regionName(r))
		for k := range w.Spec.Vantages {
			f.vantages = append(f.vantages, vantageName(r, k))
		}
	}
	for c := range w.C {
		f.cdns = append(f.cdns, cdnName(c))
	}
	for g := range w.G {
		f.parts = append(f.parts, partName(g/w.A, g%w.A))
		client := w.Client(g)
		cell, _ := layout.Table.Locate(client)
		f.clients = append(f.clients, layout.Services[0].Parts(cell, steering.Query{Client: client, Door: steering.DoorDNS, Source: steering.SourceClient}))
	}
	f.loop, err = publish.ByHand(publish.Config{Layout: layout, Publish: func(*steering.Snapshot) {}}, w.Now())
	return f, err
}

func (f *fairway) Name() string { return f.name }
func (f *fairway) hears() bool  { return f.rum }
func (f *fairway) key() string {
	return fmt.Sprintf("asn %t, rum %t, survey %t, announced %t\n%s", f.from.ASN, f.from.RUM, f.from.Survey, f.from.Announced, f.from.Policies)
}

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
		m := steering.Measurement{
			Subject: endpoints[p.CDN].Subject(), Vantage: f.vantages[p.Vantage], Region: f.regions[p.Vantage/s.Vantages], Address: cdnAddress(p.CDN),
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
			Provider: f.cdns[cdn], Region: region, Start: s.Until.Add(-span), Span: span,
			Bytes: gbps * 1e9 / 8 * span.Seconds(), Requests: gbps * 100 * span.Seconds(),
		})
	}
	for r := range s.Regions {
		for c := range s.CDNs {
			sum := 0.0
			for a := range s.Groups {
				gbps := s.Carried[(r*s.Groups+a)*s.CDNs+c]
				if f.asn {
					add(f.parts[r*s.Groups+a], c, gbps)
				}
				sum += gbps
			}
			if !f.asn {
				add(f.regions[r], c, sum)
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
		region := f.regions[r.Group/s.Groups]
		if f.asn {
			region = f.parts[r.Group]
		}
		f.told = append(f.told, estimate.Players{
			Endpoint: f.layout.Revision.Services[0].Endpoints[r.CDN].ID, Region: region, At: Epoch.Add(r.At),
			Tries: float64(r.N), Fails: float64(r.Errors), LogMs: r.LogMs, LogMsSq: r.LogMsSq,
		})
	}
	f.loop.Players(f.told)
}

// saysDown tells what health says of a CDN in a region as a whole.
func (f *fairway) saysDown(_ *Shape, region, cdn int) bool {
	table := f.loop.View().Health
	row, column := table.Subject(f.layout.Revision.Services[0].Endpoints[cdn].Subject()), table.Column(f.regions[region])
	return table.At(row, column).Verdict == steering.Down
}

// decide is what a door answers a viewer now, for tests.
func (f *fairway) decide(client netip.Addr) steering.Decision {
	return f.loop.View().Snapshot.Decide(steering.Query{Client: client, Door: steering.DoorDNS, Source: steering.SourceClient})
}
