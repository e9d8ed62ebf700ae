package probes

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fairway/steering"
)

// TestMain plays the server of benchmarks where the program was started as that.
func TestMain(m *testing.M) {
	if os.Getenv("PROBES_BENCHMARK_SERVER") != "" {
		serveBenchmark()
		return
	}
	os.Exit(m.Run())
}

// serveBenchmark serves a small body in the clear and over TLS, says where, and ends
// with its input.
func serveBenchmark() {
	body := append([]byte("#EXTM3U\n"), bytes.Repeat([]byte{'x'}, 2000)...)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	})
	file := os.Getenv("PROBES_BENCHMARK_SERVER")
	certificate, err := tls.LoadX509KeyPair(file, file)
	plain, err1 := net.Listen("tcp", "127.0.0.1:0")
	secure, err2 := net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(err, err1, err2); err != nil {
		fmt.Println(err)
		return
	}
	go http.Serve(plain, handler)
	go http.Serve(tls.NewListener(secure, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}), handler)
	fmt.Println(plain.Addr(), secure.Addr())
	io.Copy(io.Discard, os.Stdin)
}

// benchmarkServer is another process, whose processor time is not ours.
type benchmarkServer struct {
	plain, secure netip.AddrPort
	authority     string
}

func startBenchmarkServer(b *testing.B) (s benchmarkServer) {
	b.Helper()
	ca := newAuthority(b, "benchmark")
	issued := ca.issue(b, later(), "cdn.example")
	key, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "server.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		b.Fatal(err)
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "PROBES_BENCHMARK_SERVER="+file)
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) != 2 {
		b.Fatalf("the server says %q: %v", line, err)
	}
	return benchmarkServer{netip.MustParseAddrPort(words[0]), netip.MustParseAddrPort(words[1]), ca.file}
}

// ways are how the benchmarks probe.
func (s benchmarkServer) ways() []struct {
	name   string
	server netip.AddrPort
	kind   steering.ProbeType
	reuse  bool
} {
	return []struct {
		name   string
		server netip.AddrPort
		kind   steering.ProbeType
		reuse  bool
	}{
		{"http/fresh", s.plain, steering.ProbeHTTP, false}, {"http/reuse", s.plain, steering.ProbeHTTP, true},
		{"https/fresh", s.secure, steering.ProbeHTTPS, false}, {"https/reuse", s.secure, steering.ProbeHTTPS, true},
	}
}

// BenchmarkHTTP is one probe of a small body on one processor. cpu-us is what this
// process used; the server is another one.
func BenchmarkHTTP(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := startBenchmarkServer(b)
	for _, way := range s.ways() {
		b.Run(way.name, func(b *testing.B) {
			a := at(way.server, way.kind, func(t *Target, p *steering.Probe) {
				t.Host, t.Addresses = "cdn.example", []netip.Addr{way.server.Addr()}
				p.BodyContains, p.Reuse, p.CAFile = "#EXTM3U", way.reuse, s.authority
			})
			p := testProber()
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if batch := p.probe(b.Context(), a); len(batch) != 1 || !batch[0].OK() {
					b.Fatalf("measured %+v", batch)
				}
			}
			used := cpuTime(b) - before
			b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-us/probe")
			b.ReportMetric(60*float64(b.N)/used.Seconds(), "probes/cpu-minute")
		})
	}
}

// BenchmarkScheduler is a whole minute's worth of 20,000 probes a minute, in a fifth of
// the time at a fifth of the number: 333 targets × 1 vantage, each once a second, on
// one processor. cpu-% is of that processor.
func BenchmarkScheduler(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	s := startBenchmarkServer(b)
	for _, way := range s.ways() {
		b.Run(way.name, func(b *testing.B) {
			for b.Loop() {
				var done, failed atomic.Int64
				scheduler, err := New(Config{Sink: func(_ context.Context, batch []steering.Measurement) {
					done.Add(1)
					if !batch[0].OK() {
						failed.Add(1)
					}
				}})
				if err != nil {
					b.Fatal(err)
				}
				p := &steering.Probe{Type: way.kind, Every: time.Second, Timeout: 5 * time.Second, BodyContains: "#EXTM3U", Reuse: way.reuse, CAFile: s.authority}
				aim := Aim{Vantages: vantages[:1], Allow: loopback}
				for i := range 333 {
					aim.Targets = append(aim.Targets, Target{
						Subject: steering.EndpointSubject(fmt.Sprint("live/", i)), Probe: p, Host: "cdn.example", Port: int(way.server.Port()), Path: "/",
						Addresses: []netip.Addr{way.server.Addr()}, Secure: way.kind.Secure(),
					})
				}
				scheduler.Set(aim)
				ctx, end := context.WithTimeout(b.Context(), 12*time.Second)
				before, began := cpuTime(b), time.Now()
				scheduler.Run(ctx)
				end()
				took := time.Since(began)
				b.ReportMetric(100*(cpuTime(b)-before).Seconds()/took.Seconds(), "cpu-%")
				b.ReportMetric(float64(done.Load())/took.Minutes(), "probes/minute")
				b.ReportMetric(float64(failed.Load()), "failed")
			}
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
