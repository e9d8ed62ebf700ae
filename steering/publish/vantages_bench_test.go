package publish

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"fairway/steering"
)

// BenchmarkVantages is what five seconds of measurements cost control, where every
// vantage measures every endpoint once in that time: taken in, judged, decided,
// published. cpu-% is of one processor, MiB what is held when windows are full.
func BenchmarkVantages(b *testing.B) {
	for _, size := range []struct{ services, vantages int }{{5, 50}, {10, 50}, {20, 50}, {20, 25}} {
		f := fleet{services: size.services, regions: 20, endpoints: 10}
		b.Run(fmt.Sprintf("endpoints=%d/vantages=%d", f.services*f.endpoints, size.vantages), func(b *testing.B) {
			layout := f.layout(b, "h1", 0.1)
			names := make([]string, size.vantages)
			for v := range names {
				names[v] = fmt.Sprint("v", v)
				layout.Revision.Vantages = append(layout.Revision.Vantages, steering.Vantage{
					Name: names[v], Region: layout.Revision.Regions[v%len(layout.Revision.Regions)].Name,
				})
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			l, err := New(Config{Layout: layout, Publish: func(*steering.Snapshot) {}})
			if err != nil {
				b.Fatal(err)
			}
			now := time.Now()
			step := func() {
				for part := range 10 { // rounds of half a second
					now = now.Add(500 * time.Millisecond)
					for v := part; v < len(names); v += 10 {
						var batch []steering.Measurement
						for _, s := range layout.Revision.Services {
							for e, endpoint := range s.Endpoints {
								batch = append(batch, steering.Measurement{
									Subject: endpoint.Subject(), Vantage: names[v], At: now, Address: netip.AddrFrom4([4]byte{192, 0, 2, 1}),
									Outcome: steering.OutcomeOK, Phases: steering.Phases{TTFB: time.Duration(10+(e*7+v*3+now.Second())%40) * time.Millisecond},
								})
							}
						}
						l.observe(batch)
					}
					l.round(now, 0)
				}
			}
			for range 15 {
				step()
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ResetTimer()
			begin := processorTime()
			for b.Loop() {
				step()
			}
			cpu := (processorTime() - begin).Seconds() / float64(b.N)
			b.ReportMetric(cpu*1000, "cpu-ms/5s")
			b.ReportMetric(100*cpu/5, "cpu-%")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
		})
	}
}
