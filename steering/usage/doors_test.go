package usage

import (
	"math"
	"testing"
	"time"

	"fairway/steering"
)

func handed(endpoint string, count uint64) []steering.Handed {
	return []steering.Handed{{Service: "live", Region: "eu", Rule: "all", Endpoint: endpoint, Count: count}}
}

func TestDoorsAddUpNodes(t *testing.T) {
	var d Doors
	d.Take("one", handed("a", 100), noon)
	d.Take("two", handed("a", 50), noon)
	d.Take("two", handed("a", 50), noon) // retried
	d.Take("one", handed("a", 130), noon)
	d.Take("one", handed("b", 7), noon)
	if a, b := d.Total("live", "eu/all", "a"), d.Total("live", "eu/all", "b"); a != 180 || b != 7 {
		t.Errorf("a was handed out %d times and b %d times, want 180 and 7", a, b)
	}
	d.Take("two", handed("a", 5), noon) // began anew
	if a := d.Total("live", "eu/all", "a"); a != 185 {
		t.Errorf("after a restart %d, want 185", a)
	}
	d.Keep(func(g Group) bool { return g.Service != "live" })
	if a := d.Total("live", "eu/all", "a"); a != 0 || len(d.Flows(noon)) != 0 {
		t.Errorf("a service that went has %d", a)
	}
}

func TestFlowsFollowTheTraffic(t *testing.T) {
	var d Doors
	if d.Flows(noon) != nil {
		t.Error("nothing was heard, and something flows")
	}
	now, count := noon, uint64(0)
	run := func(perSecond uint64, steps int) float64 {
		for range steps {
			now = now.Add(10 * time.Second)
			count += 10 * perSecond
			d.Take("one", handed("a", count), now)
		}
		return d.Flows(now)[Group{"live", "eu/all"}]
	}
	d.Take("one", handed("a", 0), now)
	if got := run(20, 6); math.Abs(got-20) > 1 {
		t.Errorf("after a minute of 20/s: %v", got)
	}
	if got := run(100, 120); math.Abs(got-100) > 5 {
		t.Errorf("after 20 minutes of 100/s: %v", got)
	}
	if got := run(0, 360); got > 0.01 {
		t.Errorf("after an hour of silence: %v", got)
	}
}

func TestDoorsAreBounded(t *testing.T) {
	var d Doors
	for i := range mostNodes {
		if !d.Take(string(rune('a'+i)), handed("a", 1), noon) {
			t.Fatalf("node %d is refused", i)
		}
	}
	if d.Take("one too many", handed("a", 1), noon) {
		t.Error("nodes are told apart without end")
	}
	if !d.Take("tomorrow", handed("a", 1), noon.Add(silence+time.Second)) {
		t.Error("nodes that are gone keep others out")
	}
}
