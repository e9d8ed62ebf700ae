package publish

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/estimate"
)

// BenchmarkEstimates is what score: auto costs control each time that it looks at what
// fetches cost: of a tenth of the services something was told, in so many regions. Beside
// it a score that is written down, where everything is decided anew. cpu-ms/op is of one
// processor.
func BenchmarkEstimates(b *testing.B) {
	for _, size := range []struct {
		services, regions, told int
		auto                    bool
	}{{100, 250, 20, true}, {100, 250, 250, true}, {100, 250, 0, false}, {1000, 250, 20, true}, {1000, 250, 0, false}} {
		f := fleet{services: size.services, regions: size.regions, endpoints: 8, columns: 20}
		b.Run(fmt.Sprintf("auto=%t/%dx%dx8/told=%d", size.auto, size.services, size.regions, size.told), func(b *testing.B) {
			l, layout := f.standing(b)
			if size.auto {
				for _, p := range layout.Revision.Policies {
					p.Rules[0].Auto, p.Rules[0].Score, p.Rules[0].Split = true, nil, steering.SplitSpec{Kind: steering.SplitBest}
					p.Auto = steering.Auto{Failure: 2 * time.Second, Explore: 0.01, Players: true}
				}
				l.main.follow()
				l.estimates.configure(layout.Revision)
			}
			now := time.Now()
			tell := func(of func(service int) bool) {
				regions := layout.Revision.RegionNames()[:size.told]
				for i, s := range layout.Revision.Services {
					if !of(i) {
						continue
					}
					for e, endpoint := range s.Endpoints {
						for r, region := range regions {
							ms := 3 + 0.01*float64((7*i+13*e+29*r+now.Second())%50)
							l.estimates.players([]estimate.Players{{Endpoint: endpoint.ID, Region: region, At: now, Tries: 10, LogMs: 10 * ms, LogMsSq: 10 * ms * ms}})
						}
					}
				}
			}
			look := func() {
				now = now.Add(time.Second)
				if size.auto {
					l.main.estimated(l.estimates.book.Table(now))
				} else {
					l.markAll()
				}
				l.main.decide(nil, now)
			}
			tell(func(int) bool { return true })
			look()
			var held runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&held)
			b.ReportAllocs()
			b.ResetTimer()
			begin := processorTime()
			for n := 0; b.Loop(); n++ {
				tell(func(service int) bool { return service%10 == n%10 })
				look()
			}
			b.ReportMetric(float64((processorTime()-begin).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(held.HeapAlloc)/(1<<20), "MiB-held")
		})
	}
}
