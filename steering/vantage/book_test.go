package vantage

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fairway/steering"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func batch(boot string, sequence uint64) Sender {
	return Sender{Vantage: "fra", Boot: boot, Sequence: sequence, Sent: now}
}

func take(t *testing.T, b *Book, s Sender, at time.Time) error {
	t.Helper()
	end, err := b.Begin(s, at)
	if err == nil {
		end(true)
	}
	return err
}

func TestEachBatchCountsOnce(t *testing.T) {
	b := New()
	for _, step := range []struct {
		boot     string
		sequence uint64
		want     error
	}{
		{"a", 0, nil}, {"a", 7, nil}, // what was before our start is no gap
		{"a", 7, ErrRepeated}, {"a", 8, nil}, {"a", 11, nil}, {"a", 9, ErrRepeated}, {"a", 0, nil},
		{"b", 1, nil}, {"b", 1, ErrRepeated}, {"a", 11, ErrRepeated}, {"a", 12, nil},
	} {
		if err := take(t, b, batch(step.boot, step.sequence), now); !errors.Is(err, step.want) {
			t.Errorf("batch %d of %s: %v, want %v", step.sequence, step.boot, err, step.want)
		}
	}
	row := b.Rows(now)["fra"]
	if row.Batches != 5 || row.Repeated != 4 || row.Gaps != 2 || row.Runs != 2 {
		t.Errorf("%+v", row)
	}
	if later := b.Rows(now.Add(2 * time.Minute))["fra"]; later.Runs != 0 {
		t.Errorf("two minutes later %d agents report", later.Runs)
	}
}

func TestABatchThatWasNotTakenMayComeAgain(t *testing.T) {
	b := New()
	end, err := b.Begin(batch("a", 1), now)
	if err != nil {
		t.Fatal(err)
	}
	end(false)
	if err := take(t, b, batch("a", 1), now); err != nil {
		t.Error(err)
	}
}

func TestOtherTimesAreRefused(t *testing.T) {
	b := New()
	for _, off := range []time.Duration{-30 * time.Minute, -MaxSkew - 1, MaxSkew + 1, 30 * time.Minute} {
		if err := take(t, b, batch("a", 1), now.Add(off)); !errors.Is(err, ErrSkew) {
			t.Errorf("%v apart: %v", off, err)
		}
		greeting := batch("a", 0)
		if err := take(t, b, greeting, now.Add(off)); err != nil {
			t.Errorf("a greeting, %v apart: %v", off, err)
		}
	}
	if err := take(t, b, batch("a", 1), now.Add(MaxSkew)); err != nil || b.Rows(now)["fra"].Skewed != 4 {
		t.Errorf("%v, %+v", err, b.Rows(now)["fra"])
	}
}

// TestRunsAreBounded: an agent that is restarted for ever fills no memory, and the
// run that is heard of longest ago is forgotten first.
func TestRunsAreBounded(t *testing.T) {
	b := New()
	for i := range 100 {
		at := now.Add(time.Duration(i) * time.Second)
		s := batch(string(rune('A'+i)), 1)
		s.Sent = at
		if err := take(t, b, s, at); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.senders["fra"].runs); n != maxRuns {
		t.Errorf("%d runs are remembered", n)
	}
}

func TestIll(t *testing.T) {
	b := New()
	s := batch("a", 0)
	s.Condition = steering.Condition{Ill: true, Fine: 1, Of: 3, Need: 2, Why: "https://x.example/: timeout"}
	take(t, b, s, now)
	if ill := b.Ill(); len(ill) != 1 || ill["fra"] != "2 of 3 references fail, 2 must answer (https://x.example/: timeout)" {
		t.Errorf("%v", ill)
	}
	take(t, b, batch("a", 0), now)
	if ill := b.Ill(); len(ill) != 0 {
		t.Errorf("%v", ill)
	}
}

// TestOneOfManyRepetitionsCounts: a batch that comes on many connections at once is
// taken once.
func TestOneOfManyRepetitionsCounts(t *testing.T) {
	b := New()
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if end, err := b.Begin(batch("a", 1), now); err == nil {
				taken.Add(1)
				end(true)
			}
		})
	}
	all.Wait()
	if taken.Load() != 1 {
		t.Errorf("taken %d times", taken.Load())
	}
}
