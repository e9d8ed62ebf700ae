package rum

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"fairway/steering"
)

// Beacon is the body of POST /beacon/v1/{service}: what an app tells of one session
// since its last beacon. Everything but what it has to say may be left out.
type Beacon struct {
	Session string        `json:"session"` // any id of the playback; never a person's
	Reports []BeaconEntry `json:"reports"`
}

// BeaconEntry is about one endpoint, named by one of the first three.
type BeaconEntry struct {
	URL      string `json:"url,omitempty"`     // of anything that was loaded from it
	Pathway  string `json:"pathway,omitempty"` // as in the steering manifest
	Endpoint string `json:"endpoint,omitempty"`

	Requests   int     `json:"requests,omitempty"` // for segments and playlists, those that failed too
	Failures   int     `json:"failures,omitempty"` // of them; what the player gave up by itself is none
	TTFBMs     float64 `json:"ttfb_ms,omitempty"`  // median
	Throughput float64 `json:"throughput_kbps,omitempty"`
	PlayingMs  float64 `json:"playing_ms,omitempty"`
	StalledMs  float64 `json:"stalled_ms,omitempty"`
	StartMs    float64 `json:"start_ms,omitempty"` // from the order to play to the first frame
	Fatal      bool    `json:"fatal,omitempty"`    // playback ended in an error
	Switched   bool    `json:"switched,omitempty"` // the player left it by itself
}

// Bounds on what one entry can say, so that it counts for no more than a session
// can have seen since its last beacon.
const (
	maxEntries     = 16
	maxEntryCounts = 100
)

// Beacon takes in a beacon and returns the HTTP status for it. One that is no JSON is
// 400: nobody sends beacons but who can mend them.
func (k *Collector) Beacon(s *steering.Snapshot, service int, client netip.Addr, query string, body []byte) int {
	var b Beacon
	if json.Unmarshal(body, &b) != nil || len(b.Reports) > maxEntries || len(b.Session) > maxSession {
		k.counts.unread.Add(1)
		return http.StatusBadRequest
	}
	if !k.signed(s, service, query) {
		return http.StatusNoContent
	}
	r := k.reporter(s, service, client)
	for i := range b.Reports {
		if r.admit(b.Session) {
			r.entry(b.Session, &b.Reports[i])
		}
	}
	return http.StatusNoContent
}

func (r *reporter) entry(session string, e *BeaconEntry) {
	at := -1
	switch {
	case e.Endpoint != "":
		at = r.service.index(e.Endpoint)
	case e.Pathway != "":
		at = r.service.pathway(e.Pathway)
	case e.URL != "":
		at = r.service.find(e.URL)
	}
	if at < 0 {
		r.counts.unknown.Add(1)
		return
	}
	r.add(at, session, func(c *Cell) {
		requests := float64(min(max(e.Requests, e.Failures, 0), maxEntryCounts))
		c.Requests += requests
		c.Failures += min(float64(max(e.Failures, 0)), requests)
		if e.TTFBMs >= 2 {
			c.TTFB.add(min(e.TTFBMs, maxWait))
		}
		if e.Throughput > 0 {
			c.Throughput.add(clampRate(e.Throughput * 1000))
		}
		c.Playing += seconds(e.PlayingMs)
		if stalled := seconds(e.StalledMs); stalled > 0 {
			c.Stalled += stalled
			c.Stalls++
		}
		c.begin(time.Duration(min(max(e.StartMs, 0), maxWait) * float64(time.Millisecond)))
		if e.Fatal {
			c.Fatal++
		}
		if e.Switched {
			c.Switched++
		}
	})
}

// seconds is a number of milliseconds of which no more is believed than may pass
// between two reports.
func seconds(ms float64) float64 { return min(max(ms, 0)/1000, maxPause.Seconds()) }
