package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fairway/steering"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, c Config) *Ring {
	t.Helper()
	if c.Folder == "" {
		c.Folder = t.TempDir()
	}
	r, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func state(n int) Entry {
	at := start.Add(time.Duration(n) * time.Minute)
	health := steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{
		"endpoint live/a": {"eu": {Verdict: steering.Healthy, Samples: n, Newest: at}},
	})
	return Entry{At: at, State: &steering.State{Generation: uint64(n), Health: health}}
}

func (r *Ring) mustAppend(t testing.TB, e Entry) {
	t.Helper()
	if err := r.Append(e); err != nil {
		t.Fatal(err)
	}
}

func generations(t testing.TB, r *Ring) []uint64 {
	t.Helper()
	var got []uint64
	err := r.Between(start.Add(-time.Hour), start.Add(1000*time.Hour), func(e *Entry) bool {
		got = append(got, e.State.Generation)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestKept: what was written is read again, by time, also by another process, and
// what is written after a restart stands behind it.
func TestKept(t *testing.T) {
	folder := t.TempDir()
	r := open(t, Config{Folder: folder})
	for n := range 150 {
		r.mustAppend(t, state(n))
	}
	changed := Entry{At: start.Add(90*time.Minute + time.Second), Changes: []Change{{Subject: "endpoint live/a", Region: "eu", From: steering.Healthy, To: steering.Down, Evidence: "2 of 3"}}}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, Config{Folder: folder})
	r.mustAppend(t, state(150))
	if got := generations(t, r); len(got) != 151 || got[0] != 0 || got[150] != 150 {
		t.Errorf("%v", got)
	}
	e, err := r.At(start.Add(100*time.Minute+30*time.Second), time.Hour)
	if err != nil || e.State.Generation != 100 || e.State.Health.Get("endpoint live/a", "eu").Samples != 100 {
		t.Errorf("at 100.5 minutes: %+v, %v", e, err)
	}
	if _, err := r.At(start.Add(-time.Minute), time.Hour); !errors.Is(err, ErrNothing) {
		t.Errorf("before the first: %v", err)
	}
	r.mustAppend(t, changed) // a clock that went backwards
	n := 0
	_ = r.Between(changed.At, changed.At, func(e *Entry) bool { n += len(e.Changes); return true })
	if n != 1 {
		t.Errorf("%d changes", n)
	}
}

// TestTornTail: whatever a crash leaves at the end of a segment costs what was being
// written, and no more.
func TestTornTail(t *testing.T) {
	folder := t.TempDir()
	r := open(t, Config{Folder: folder})
	for n := range 5 {
		r.mustAppend(t, state(n))
	}
	r.Close()
	files, _ := filepath.Glob(filepath.Join(folder, "*"+suffix))
	whole, err := os.ReadFile(files[0])
	if err != nil || len(files) != 1 {
		t.Fatal(err, files)
	}
	for cut := len(whole) - 1; cut > len(whole)*4/5; cut -= 7 {
		if err := os.WriteFile(files[0], whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if got := generations(t, r); len(got) != 4 {
			t.Fatalf("cut at %d of %d: %v", cut, len(whole), got)
		}
	}
	damaged := append([]byte(nil), whole...)
	damaged[len(whole)*9/10] ^= 1
	os.WriteFile(files[0], damaged, 0o600)
	if got := generations(t, r); len(got) != 4 {
		t.Errorf("damaged: %v", got)
	}
	r = open(t, Config{Folder: folder})
	r.mustAppend(t, state(10))
	if got := generations(t, r); len(got) != 5 || got[4] != 10 {
		t.Errorf("after a restart: %v", got)
	}
}

// TestBounds: no more octets, and no more time, than configured.
func TestBounds(t *testing.T) {
	r := open(t, Config{MaxBytes: 4096})
	for n := range 2000 {
		r.mustAppend(t, state(n))
	}
	total := int64(0)
	list, _ := r.segments()
	for _, s := range list {
		total += s.size
	}
	if got := generations(t, r); total > 4096+1024 || len(got) < 8 || got[len(got)-1] != 1999 {
		t.Errorf("%d octets of %d entries, the newest %v", total, len(got), got[len(got)-1:])
	}
	r = open(t, Config{Keep: 5 * time.Hour})
	for n := range 2000 {
		r.mustAppend(t, state(n))
	}
	if got := generations(t, r); got[0] < 2000-60*7 || got[0] > 2000-60*5 {
		t.Errorf("the oldest is %d", got[0])
	}
}

// TestNoRoom: where nothing can be written Append says so, and goes on when it can.
func TestNoRoom(t *testing.T) {
	folder := t.TempDir()
	r := open(t, Config{Folder: folder})
	r.mustAppend(t, state(0))
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0) // every write: ENOSPC
	if err != nil {
		t.Fatal(err)
	}
	r.file.Close()
	r.file = full
	if err := r.Append(state(1)); err == nil {
		t.Fatal("written to a full disk")
	}
	r.Close()
	r.mustAppend(t, state(2))
	if got := generations(t, r); fmt.Sprint(got) != "[0 2]" {
		t.Errorf("%v", got)
	}
}

// BenchmarkAppend: a minute of 200 endpoints in 20 regions.
func BenchmarkAppend(b *testing.B) {
	r := open(b, Config{})
	rows := make(map[steering.Subject]map[string]steering.Health)
	for e := range 200 {
		row := make(map[string]steering.Health)
		for region := range 20 {
			row[fmt.Sprint("region-", region)] = steering.Health{
				Verdict: steering.Healthy, Since: start, Samples: 36, Availability: 1, P50: time.Duration(20e6 + 1e5*e + 7e4*region), P95: time.Duration(60e6 + 3e5*e + 5e4*region),
				Newest: start, Vantages: 3, Quorum: 2, Confidence: 1, Reason: steering.HealthOK, Evidence: "3 of 3 vantages ok",
			}
		}
		rows[steering.Subject(fmt.Sprint("endpoint live/", e))] = row
	}
	e := Entry{At: start, State: &steering.State{Health: steering.HealthTable{}.With(rows)}}
	b.ResetTimer()
	for b.Loop() {
		if err := r.Append(e); err != nil {
			b.Fatal(err)
		}
		e.At = e.At.Add(time.Second)
	}
	list, _ := r.segments()
	total := int64(0)
	for _, s := range list {
		total += s.size
	}
	b.ReportMetric(float64(total)/float64(b.N), "octets/minute")
}

// TestSparse: states come so far apart, and every change comes; what stands in front of
// an entry tells when it is of, or leaving out would read everything.
func TestSparse(t *testing.T) {
	r := open(t, Config{})
	for n := range 180 {
		r.mustAppend(t, state(n))
		if n%50 == 7 {
			r.mustAppend(t, Entry{At: start.Add(time.Duration(n)*time.Minute + time.Second), Changes: []Change{{Subject: "endpoint live/a", Region: "eu", To: steering.Down}}})
		}
	}
	var states []uint64
	changes := 0
	err := r.Sparse(start.Add(10*time.Minute), start.Add(100*time.Minute), 30*time.Minute, func(e *Entry) bool {
		changes += len(e.Changes)
		if e.State != nil {
			states = append(states, e.State.Generation)
		}
		return true
	})
	if err != nil || fmt.Sprint(states) != "[10 40 70 100]" || changes != 1 {
		t.Errorf("%v and %d changes, %v", states, changes, err)
	}
	for _, e := range []Entry{state(3), {At: start, Changes: []Change{{Subject: "s"}}}} {
		text, err := json.Marshal(e)
		if at, is, told := glance(text); err != nil || !told || !at.Equal(e.At) || is != (e.State != nil) {
			t.Errorf("a glance at %.60s tells %v, %t, %t", text, at, is, told)
		}
	}
}

// TestCurves: each point tells the worst that was known in its time, and a verdict that
// came and went between two states as well.
func TestCurves(t *testing.T) {
	c := NewCurves(start, start.Add(5*time.Minute), "endpoint live/", "eu")
	at := func(minutes float64) time.Time { return start.Add(time.Duration(minutes * float64(time.Minute))) }
	known := func(minutes float64, rows map[steering.Subject]steering.Verdict) *Entry {
		all := make(map[steering.Subject]map[string]steering.Health)
		for subject, v := range rows {
			all[subject] = map[string]steering.Health{"eu": {Verdict: v, Samples: 12, Availability: 0.5, P50: 20 * time.Millisecond, P95: 90 * time.Millisecond, Newest: at(minutes)}}
		}
		return &Entry{At: at(minutes), State: &steering.State{Health: steering.HealthTable{}.With(all)}}
	}
	c.Add(known(0.1, map[steering.Subject]steering.Verdict{"endpoint live/b": steering.Healthy, "endpoint live/a": steering.Healthy, "endpoint vod/a": steering.Down}))
	c.Add(&Entry{At: at(1.2), Changes: []Change{
		{At: at(1.2), Subject: "endpoint live/a", Region: "eu", To: steering.Down, Evidence: "2 of 3"}, {At: at(1.2), Subject: "endpoint live/a", Region: "na", To: steering.Down},
	}})
	c.Add(known(1.4, map[steering.Subject]steering.Verdict{"endpoint live/b": steering.Degraded, "endpoint live/a": steering.Healthy}))
	c.Add(known(3, map[steering.Subject]steering.Verdict{"endpoint live/a": steering.Healthy}))
	c.Add(known(9, map[steering.Subject]steering.Verdict{"endpoint live/a": steering.Down})) // after all
	c.Done()
	if len(c.Rows) != 2 || c.Rows[0].Subject != "endpoint live/a" || c.Rows[0].Verdicts != "hx h  " || c.Rows[1].Verdicts != "hd    " {
		t.Errorf("%+v", c.Rows)
	}
	if a := c.Rows[0]; fmt.Sprint(a.P50Ms) != "[20 20 0 20 0 0]" || a.P95Ms[3] != 90 || a.Availability[1] != 0.5 {
		t.Errorf("%+v", a)
	}
	if len(c.Changes) != 1 || c.Changes[0].Evidence != "2 of 3" {
		t.Errorf("changes %+v", c.Changes)
	}
	if week := NewCurves(start, start.Add(7*24*time.Hour), "", ""); week.points > mostPoints+1 || week.Step != 2520 {
		t.Errorf("a week has %d points of %v s", week.points, week.Step)
	}
}
