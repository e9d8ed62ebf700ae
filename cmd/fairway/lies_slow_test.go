//go:build slow

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// liar stands between a node and Consul, and may lie.
type liar struct {
	address string
	asked   atomic.Int64

	mu      sync.Mutex
	lie     http.HandlerFunc
	answers map[string]recorded // what Consul answered first, by path
}

type recorded struct {
	header http.Header
	body   []byte
}

func newLiar(t *testing.T, consul string) *liar {
	t.Helper()
	r := &liar{answers: make(map[string]recorded)}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: consul})
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy.ModifyResponse = r.record
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asked.Add(1)
		r.mu.Lock()
		lie := r.lie
		r.mu.Unlock()
		if lie != nil {
			lie(w, q)
			return
		}
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(func() {
		r.tell(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		server.CloseClientConnections()
		server.Close()
	})
	r.address = server.Listener.Addr().String()
	return r
}

// tell has the relay lie, or pass everything on again (nil).
func (r *liar) tell(lie http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lie = lie
}

// record keeps the first answer to each question.
func (r *liar) record(answer *http.Response) error {
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.answers[answer.Request.URL.Path]; !known && answer.StatusCode == http.StatusOK {
		r.answers[answer.Request.URL.Path] = recorded{answer.Header.Clone(), body}
	}
	return nil
}

// past answers with what was recorded.
func (r *liar) past(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	then, known := r.answers[q.URL.Path]
	r.mu.Unlock()
	if !known {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	maps.Copy(w.Header(), then.header)
	w.Write(then.body)
}

// startThrough runs a node that reaches Consul at another address.
func (f *fleetUnderTest) startThrough(name, consul string) {
	f.t.Helper()
	text, err := os.ReadFile(f.config)
	if err != nil {
		f.t.Fatal(err)
	}
	f.startWith(name, write(f.t, f.temp, name+".yaml", strings.ReplaceAll(string(text), f.consul[0].Address, consul)))
}

func troubled(d *doors, kind string) bool {
	return strings.Contains(d.scrape(), fmt.Sprintf("fairway_fleet_trouble{kind=%q} 1", kind))
}

// TestDoorsOutliveConsul: whatever Consul does, be it gone, stuck, slow, emptied,
// broken or put back, a door answers as before, says so, and does the same after a
// restart; when Consul is itself again, the door follows.
func TestDoorsOutliveConsul(t *testing.T) {
	f := startFleet(t, 1, map[string]string{"control-1": "control", "dns-1": "dns"})
	f.leader("control-1")
	r := newLiar(t, f.consul[0].Address)
	f.roles["dns-2"], f.doors["dns-2"] = "dns", newDoors(t)
	f.doors["dns-2"].token = f.doors["dns-1"].token
	f.startThrough("dns-2", r.address)
	want := f.settled("dns-1", "dns-2")
	index := func(w http.ResponseWriter) { w.Header().Set("X-Consul-Index", "99999999") }
	for _, row := range []struct {
		name, trouble string
		lie           http.HandlerFunc
	}{
		{"hangs up", "away", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"never answers", "away", func(_ http.ResponseWriter, q *http.Request) { io.Copy(io.Discard, q.Body); <-q.Context().Done() }},
		{"answers 500", "away", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "No cluster leader", 500) }},
		{"answers garbage", "away", func(w http.ResponseWriter, _ *http.Request) {
			index(w)
			io.WriteString(w, `[{"Key":"test/heads/state","Value":"Z2FyYmFnZQ=="},{]`)
		}},
		{"answers what is no value", "away", func(w http.ResponseWriter, q *http.Request) {
			index(w)
			fmt.Fprintf(w, `[{"Key":%q,"Value":"Z2FyYmFnZQ==","ModifyIndex":99999999}]`, strings.TrimPrefix(q.URL.Path, "/v1/kv/"))
		}},
		{"is empty", "doubted", func(w http.ResponseWriter, _ *http.Request) { index(w); w.WriteHeader(http.StatusNotFound) }},
	} {
		t.Run(row.name, func(t *testing.T) { f.outlives(t, r, row.lie, row.trouble, want) })
	}

	// Something must have happened before there is a past.
	f.followsDrain(t, "dns-2", want)
	drained := f.settled("dns-1", "dns-2")
	t.Run("shows its past", func(t *testing.T) { f.outlives(t, r, r.past, "doubted", drained) })

	t.Run("is slow", func(t *testing.T) {
		quick := newLiar(t, f.consul[0].Address)
		forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: quick.address})
		r.tell(func(w http.ResponseWriter, q *http.Request) {
			time.Sleep(time.Second)
			forward.ServeHTTP(w, q)
		})
		f.command("control-1", "undrain", providerOf(want["eu"]), "--region", "eu")
		until(t, 2*patience, "the door hears that the drain is over", func() bool { return maps.Equal(cnames(f.doors["dns-2"]), want) })
	})
}

// outlives has Consul lie to one door, until that says so and through a restart.
func (f *fleetUnderTest) outlives(t *testing.T, r *liar, lie http.HandlerFunc, trouble string, want map[string]string) {
	edge := f.doors["dns-2"]
	o := f.watch(500, want, "dns-1", "dns-2")
	r.tell(lie)
	began, before := time.Now(), r.asked.Load()
	until(t, 2*patience, "the door says "+trouble, func() bool { return troubled(edge, trouble) })
	time.Sleep(3 * time.Second) // for what a lie may do later
	if rate := float64(r.asked.Load()-before) / time.Since(began).Seconds(); rate > 20 {
		t.Errorf("%.0f questions a second: a Consul that is broken must not be run down as well", rate)
	}
	o.faultless(t)
	f.nodes["dns-2"].kill()
	f.startThrough("dns-2", r.address)
	until(t, patience, "it answers after a restart", func() bool { return edge.cname("live.fairway.test.", clientIn["eu"]) != "" })
	if now := cnames(edge); !maps.Equal(now, want) {
		t.Errorf("after a restart it answers %v, before %v", now, want)
	}
	r.tell(nil)
	until(t, 2*patience, "it trusts Consul again", func() bool {
		return !troubled(edge, "away") && !troubled(edge, "doubted") && edge.generation() >= f.doors["dns-1"].generation()
	})
}

// followsDrain drains the CDN of a region and waits for a door to leave it.
func (f *fleetUnderTest) followsDrain(t *testing.T, name string, want map[string]string) {
	t.Helper()
	cdn := providerOf(want["eu"])
	f.command("control-1", "drain", cdn, "--region", "eu", "--reason", "test", "--for", "1h")
	until(t, 2*patience, name+" leaves the drained CDN", func() bool {
		now := providerOf(f.doors[name].cname("live.fairway.test.", clientIn["eu"]))
		return now != "" && now != cdn
	})
}
