//go:build slow

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
	"fairway/tools/freeport"
)

// TestRealisedSharesOfTwoNodes: one process controls, another answers DNS. A few
// networks ask it for most of what is asked; it tells control what it hands out,
// control corrects the weights within the policy's bound, and the door follows.
func TestRealisedSharesOfTwoNodes(t *testing.T) {
	temp, data, d := t.TempDir(), t.TempDir(), newDoors(t)
	config := write(t, t.TempDir(), "fairway.yaml", contracts(d, `{rules: [{name: all, split: {weights: {alpha: 50, bravo: 30, charlie: 20}}}], correct: 20%}`))
	start(t, temp, "run", "--config", config, "--data", data, "--role", "control")
	other := fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1"))
	start(t, temp, "run", "--config", config, "--data", data, "--role", "dns", "--api", other)
	networks, random := networksIn("5.9.0.0/16", 60), rand.New(rand.NewPCG(1, 2))
	until(t, patience, "the door answers", func() bool { return d.cname("live.video.test.", networks[0]) != "" })
	explained := func() steering.Explanation {
		var x steering.Explanation
		text, _, _ := run(t, temp, "explain", "--service", "live", "--client", "5.9.1.2", "-o", "json", "--api", d.api)
		if err := json.Unmarshal([]byte(text), &x); err != nil {
			t.Fatalf("explain: %v\n%s", err, text)
		}
		return x
	}
	var x steering.Explanation
	until(t, 5*time.Minute, "control corrects what the other node's door hands out", func() bool {
		for range 100 {
			a := networks[int(float64(len(networks))*random.Float64()*random.Float64()*random.Float64())]
			if _, err := d.ask("live.video.test.", dns.TypeA, a); err != nil {
				t.Fatal(err)
			}
		}
		x = explained()
		return x.Stages[len(x.Stages)-1].Stage == "correction"
	})
	for _, e := range x.Endpoints {
		if e.Correction != 0 && (e.Correction < 0.8 || e.Correction > 1.2) {
			t.Errorf("%s is corrected by %v, beyond 20 %%", e.ID, e.Correction)
		}
	}
	t.Logf("%s", x.Stages[len(x.Stages)-1].Note)
	until(t, patience, "the door answers by the corrected weights", func() bool {
		wrong := 0
		for _, a := range networks {
			if d.cname("live.video.test.", a) != hostFor(t, temp, d, a) {
				wrong++
			}
		}
		return wrong == 0
	})
}

// hostFor is where control would send a client.
func hostFor(t *testing.T, temp string, d *doors, client netip.Addr) string {
	text, _, _ := run(t, temp, "explain", "--service", "live", "--client", client.String(), "-o", "json", "--api", d.api)
	var x steering.Explanation
	if err := json.Unmarshal([]byte(text), &x); err != nil || len(x.Endpoints) == 0 {
		return ""
	}
	return x.Endpoints[0].Host[:len(x.Endpoints[0].Host)-1]
}
