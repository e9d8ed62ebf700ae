//go:build slow

package probes

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"fairway/steering"
)

// TestBrokenSlowly: what takes its time to be told, and what is no failure.
func TestBrokenSlowly(t *testing.T) {
	watchBroken(t, "broken slowly", []broken{delayed(t), lossy(t)})
}

// delayed is a path that has become 300 ms longer, which no single probe minds. The
// usual level is learned from 60 measurements of each vantage.
func delayed(t *testing.T) broken {
	l := &link{}
	server := handle(t, listen(t, "127.0.0.1:0"), func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("#EXTM3U")) })
	c := aimed("300 ms of delay, with drift: 3", steering.ProbeHTTP, relayTCP(t, server, l))
	c.learns = 65
	c.probe.Drift = 3
	c.verdict, c.named, c.stated, c.needs = steering.Degraded, "times its usual level", 10*brokenEvery, 99
	c.breaks = func() { l.delay.Store(int64(300 * time.Millisecond)) }
	return c
}

// lossy loses every fifth packet, which QUIC makes up for.
func lossy(t *testing.T) broken {
	ca := newAuthority(t, "test CA")
	var isBroken atomic.Bool
	relay := relayUDP(t, quick(t, ca.issue(t, later(), "cdn.example"), saysHost), func(n int64) bool { return isBroken.Load() && n%5 == 0 })
	c := aimed("every fifth packet is lost (HTTP/3)", steering.ProbeHTTP3, relay)
	c.probe.CAFile, c.probe.Timeout = ca.file, 10*time.Second
	c.verdict, c.named, c.needs, c.stated = steering.Healthy, "3 of 3 vantages ok", 99, atOnce
	c.breaks = func() { isBroken.Store(true) }
	return c
}
