package probes

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"fairway/steering"
)

// BenchmarkHTTP probes a small body over fresh connections, one after the other.
// cpu-probes/s is what one core could do: it counts the CPU time of the
// process, which here plays the server as well, so it is a lower bound.
func BenchmarkHTTP(b *testing.B) {
	body := append([]byte("#EXTM3U\n"), bytes.Repeat([]byte{'x'}, 2000)...)
	server := handle(b, listen(b, "127.0.0.1:0"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		io.Copy(w, bytes.NewReader(body))
	})
	a := at(server, steering.ProbeHTTP, func(_ *Target, p *steering.Probe) { p.BodyContains = "#EXTM3U" })
	p := testProber()
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		if batch := p.probe(b.Context(), a); len(batch) != 1 || !batch[0].OK() {
			b.Fatalf("measured %+v", batch)
		}
	}
	b.ReportMetric(float64(b.N)/(cpuTime(b)-before).Seconds(), "cpu-probes/s")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
