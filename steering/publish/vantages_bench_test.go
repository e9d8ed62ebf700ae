package publish

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"fairway/steering"
)

// fed is a loop to which every vantage of 20 regions tells what it measures of every
// endpoint, once in five seconds.
type fed struct {
	*Loop
	layout   *steering.Layout
	vantages []string
	now      time.Time
}

func newFed(tb testing.TB, services, vantages int) *fed {
	f := fleet{services: services, regions: 20, endpoints: 10}
	w := &fed{layout: f.layout(tb, "h1", 0.1), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for v := range vantages {
		w.vantages = append(w.vantages, fmt.Sprint("v", v))
		w.layout.Revision.Vantages = append(w.layout.Revision.Vantages, steering.Vantage{
			Name: w.vantages[v], Region: w.layout.Revision.Regions[v%len(w.layout.Revision.Regions)].Name,
		})
	}
	var err error
	if w.Loop, err = New(Config{Layout: w.layout, Publish: func(*steering.Snapshot) {}, began: w.now}); err != nil {
		tb.Fatal(err)
	}
	return w
}

// step is five seconds, in rounds of half a second.
func (w *fed) step() {
	for part := range 10 {
		w.now = w.now.Add(500 * time.Millisecond)
		for v := part; v < len(w.vantages); v += 10 {
			var batch []steering.Measurement
			for _, s := range w.layout.Revision.Services {
				for e, endpoint := range s.Endpoints {
					batch = append(batch, steering.Measurement{
						Subject: endpoint.Subject(), Vantage: w.vantages[v], At: w.now, Address: netip.AddrFrom4([4]byte{192, 0, 2, 1}),
						Outcome: steering.OutcomeOK, Phases: steering.Phases{TTFB: time.Duration(10+(e*7+v*3+w.now.Second())%40) * time.Millisecond},
					})
				}
			}
			w.observe(batch)
		}
		w.round(w.now, 0)
	}
}

// steps are so many times five seconds; fifteen fill the windows.
func (w *fed) steps(n int) {
	for range n {
		w.step()
	}
}

// BenchmarkVantages is what five seconds of measurements cost control: taken in,
// judged, decided, published. cpu-% is of one processor, MiB what is held when windows
// are full.
func BenchmarkVantages(b *testing.B) {
	for _, size := range []struct{ services, vantages int }{{5, 50}, {10, 50}, {20, 50}, {20, 25}} {
		b.Run(fmt.Sprintf("endpoints=%d/vantages=%d", size.services*10, size.vantages), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			w := newFed(b, size.services, size.vantages)
			w.steps(15)
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportAllocs()
			b.ResetTimer()
			begin := processorTime()
			for b.Loop() {
				w.step()
			}
			cpu := (processorTime() - begin).Seconds() / float64(b.N)
			b.ReportMetric(cpu*1000, "cpu-ms/5s")
			b.ReportMetric(100*cpu/5, "cpu-%")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
			runtime.KeepAlive(w)
		})
	}
}

// What measurements cost is in proportion to endpoints × vantages: four times as many
// of either make no measurement dearer.
func TestMeasurementsCostTheSame(t *testing.T) {
	each := func(services, vantages int) (allocations, octets float64) {
		w := newFed(t, services, vantages)
		w.steps(5)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const steps = 2
		w.steps(steps)
		runtime.ReadMemStats(&after)
		n := float64(steps * services * 10 * vantages)
		return float64(after.Mallocs-before.Mallocs) / n, float64(after.TotalAlloc-before.TotalAlloc) / n
	}
	few, small := each(1, 20)
	t.Logf("10 endpoints × 20 vantages: %.2f allocations of %.0f octets for each measurement", few, small)
	for _, more := range [][2]int{{4, 20}, {1, 80}, {4, 80}} {
		allocations, octets := each(more[0], more[1])
		t.Logf("%d × %d: %.2f, %.0f", 10*more[0], more[1], allocations, octets)
		if allocations > 1.1*few || octets > 1.1*small {
			t.Errorf("%d endpoints × %d vantages: %.2f allocations of %.0f octets for each measurement; 10 × 20: %.2f of %.0f",
				10*more[0], more[1], allocations, octets, few, small)
		}
	}
}
