package agent

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairway/probes"
	"fairway/steering"
)

func someWork() *Work {
	return &Work{
		Version: WorkVersion, Revision: "abc", Vantage: steering.Vantage{Name: "fra", Region: "eu", Bind: netip.MustParseAddr("192.0.2.1")},
		Targets: []probes.Target{{
			Subject: "endpoint live/a", Host: "a.example", Port: 443, Secure: true, Path: "/x?y=1", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::1")},
			Probe: &steering.Probe{
				Name: "p", Type: steering.ProbeHTTPS, Path: "/x", Every: time.Second, Status: []steering.StatusRange{{From: 200, To: 299}}, CAFile: "/etc/ca.pem",
				DNS: steering.DNSRules{Within: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, Media: steering.MediaRules{MinRate: 1},
			},
		}},
		Probing:     steering.Probing{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		References:  steering.References{Targets: []string{"https://r.example/"}, Need: 1},
		Subnet:      netip.MustParsePrefix("198.51.100.0/24"),
		Authorities: map[string][]byte{"/etc/ca.pem": []byte("-----BEGIN…")},
	}
}

// TestWorkCrossesTheWire: what arrives is what was sent, and has its tag.
func TestWorkCrossesTheWire(t *testing.T) {
	sent := someWork()
	text, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	got := new(Work)
	if err := json.Unmarshal(text, got); err != nil || !reflect.DeepEqual(sent, got) {
		t.Errorf("%v\nsent %+v\ngot  %+v", err, sent, got)
	}
	before, _ := sent.Tag()
	after, _ := got.Tag()
	got.Targets[0].Probe.Every = 2 * time.Second
	if changed, _ := got.Tag(); before != after || changed == before {
		t.Errorf("tags %s %s %s", before, after, changed)
	}
	folder := t.TempDir()
	aim, err := sent.Aim(folder)
	if err != nil || len(aim.Targets) != 1 || len(aim.References.Targets) != 1 || !aim.Subnets["eu"].IsValid() {
		t.Fatalf("%v, %+v", err, aim)
	}
	if pem, err := os.ReadFile(aim.Targets[0].Probe.CAFile); err != nil || string(pem) != "-----BEGIN…" || sent.Targets[0].Probe.CAFile != "/etc/ca.pem" {
		t.Errorf("authorities %q, %v", pem, err)
	}
	sent.Version = 2
	if _, err := sent.Aim(folder); err == nil {
		t.Error("an assignment of a later version is taken")
	}
}

// office hands out an assignment, keeps questions until it changes, and may be away.
type office struct {
	*station
	mu      sync.Mutex
	away    bool
	work    *Work
	changed chan struct{}
	asked   int
}

func (o *office) Assignment(ctx context.Context, _, after string, wait time.Duration, into any) (string, bool, error) {
	over := time.After(wait)
	for {
		o.mu.Lock()
		o.asked++
		away, work, changed := o.away, o.work, o.changed
		o.mu.Unlock()
		if away {
			return "", false, errors.New("away")
		}
		if tag, _ := work.Tag(); tag != after {
			text, _ := json.Marshal(work)
			return tag, true, json.Unmarshal(text, into)
		}
		select {
		case <-ctx.Done():
			return "", false, ctx.Err()
		case <-over:
			return after, false, nil
		case <-changed:
		}
	}
}

func (o *office) change(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
	close(o.changed)
	o.changed = make(chan struct{})
}

// TestFollower: changes are taken up at once, another control node is asked when one
// is away, and the last assignment outlives a restart at which nobody answers.
func TestFollower(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first := &office{station: newStation(0), work: someWork(), changed: make(chan struct{})}
		second := &office{station: newStation(0), work: someWork(), changed: make(chan struct{})}
		var mu sync.Mutex
		var taken []*Work
		run := func(d time.Duration, during func()) {
			ctx, stop := context.WithTimeout(t.Context(), d)
			defer stop()
			f := &Follower{Control: []Control{first, second}, Vantage: "fra", Folder: folder, Logger: slog.New(slog.DiscardHandler), Take: func(w *Work) error {
				mu.Lock()
				defer mu.Unlock()
				taken = append(taken, w)
				return nil
			}}
			go during()
			f.Run(ctx)
		}
		count := func() int { mu.Lock(); defer mu.Unlock(); return len(taken) }
		run(10*time.Minute, func() {
			time.Sleep(time.Minute)
			first.change(func() { w := someWork(); w.Revision = "def"; first.work = w })
			time.Sleep(time.Second)
			if count() != 2 {
				t.Errorf("a second after the change %d were taken", count())
			}
			first.change(func() { first.away = true })
			time.Sleep(time.Minute)
			if count() != 3 { // the other one has not changed
				t.Errorf("after another was asked %d were taken", count())
			}
		})
		if first.asked > 60 || second.asked > 60 {
			t.Errorf("asked %d and %d times in ten minutes", first.asked, second.asked)
		}
		second.change(func() { second.away = true })
		before := count()
		run(time.Minute, func() {})
		if count() != before+1 || taken[before].Revision != "abc" {
			t.Errorf("a start at which nobody answers took %d", count()-before)
		}
	})
	if _, err := os.Stat(filepath.Join(folder, "assignment.json")); err != nil {
		t.Error(err)
	}
}
