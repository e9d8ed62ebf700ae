package vantage

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"fairway/steering"
)

// MaxSkew is how far from now a batch may have been sent, by our own clock.
const MaxSkew = 30 * time.Second

// maxRuns is how many runs of one vantage are remembered.
const maxRuns = 4

// Sender is what the sender of a batch says of itself.
type Sender struct {
	Vantage   string
	Boot      string        // names a run of the agent
	Sequence  uint64        // of the batch, from 1; 0 = a greeting, which carries nothing
	Sent      time.Time     // by the control node's clock, as the sender knows it
	Offset    time.Duration // by which the control node's clock is ahead of the sender's
	Buffered  int           // measurements that wait for this control node
	Dropped   uint64        // given up since the sender's start, for want of room
	Withheld  uint64        // not sent since its start, since it was ill
	Version   string
	Condition steering.Condition
}

// What Begin refuses.
var (
	// ErrRepeated is a batch that was taken already: to its sender all is well.
	ErrRepeated = errors.New("this batch was taken already")
	// ErrSkew is a batch from another time: the sender has to measure the clocks anew.
	ErrSkew = errors.New("this batch was sent at another time")
)

// Row is what is known of one vantage.
type Row struct {
	Vantage   string
	Boot      string
	Version   string
	Heard     time.Time // when the last batch or greeting came
	Offset    time.Duration
	Buffered  int
	Dropped   uint64
	Withheld  uint64
	Condition steering.Condition
	Runs      int // that were heard of within the last minute; above 1, two agents report as one vantage

	Batches  uint64 // taken since this control node began
	Repeated uint64
	Gaps     uint64 // numbers that never came
	Skewed   uint64 // refused: from another time
}

// Book is the books of all vantages. Make one with New.
type Book struct {
	mu      sync.Mutex
	senders map[string]*sender
}

// sender is one vantage.
type sender struct {
	taking sync.Mutex // held from Begin to End, so that a repetition waits for the outcome
	row    Row
	runs   []run // the newest last
}

type run struct {
	boot  string
	last  uint64
	heard time.Time
}

// New returns empty books.
func New() *Book { return &Book{senders: make(map[string]*sender)} }

// Begin tells whether a batch is to be taken. When it is, end must be called, and
// told whether it was.
func (b *Book) Begin(s Sender, now time.Time) (end func(taken bool), err error) {
	b.mu.Lock()
	of := b.senders[s.Vantage]
	if of == nil {
		of = &sender{row: Row{Vantage: s.Vantage}}
		b.senders[s.Vantage] = of
	}
	b.mu.Unlock()

	of.taking.Lock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if apart := now.Sub(s.Sent); apart.Abs() > MaxSkew && s.Sequence > 0 {
		of.row.Skewed++
		of.taking.Unlock()
		return nil, fmt.Errorf("%w: %v from now, at most %v are taken", ErrSkew, apart.Round(time.Second), MaxSkew)
	}
	r := of.run(s.Boot, now)
	if s.Sequence > 0 && s.Sequence <= r.last {
		of.row.Repeated++
		of.taking.Unlock()
		return nil, ErrRepeated
	}
	return func(taken bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		defer of.taking.Unlock()
		if taken {
			of.note(&s, now)
		}
	}, nil
}

// run finds a run, or begins one.
func (of *sender) run(boot string, now time.Time) *run {
	at := slices.IndexFunc(of.runs, func(r run) bool { return r.boot == boot })
	if at < 0 {
		if len(of.runs) == maxRuns {
			oldest := 0
			for i := range of.runs {
				if of.runs[i].heard.Before(of.runs[oldest].heard) {
					oldest = i
				}
			}
			of.runs = slices.Delete(of.runs, oldest, oldest+1)
		}
		of.runs = append(of.runs, run{boot: boot})
		at = len(of.runs) - 1
	}
	of.runs[at].heard = now
	return &of.runs[at]
}

// note enters a batch that was taken.
func (of *sender) note(s *Sender, now time.Time) {
	r := of.run(s.Boot, now)
	if s.Sequence > 0 {
		if r.last > 0 {
			of.row.Gaps += s.Sequence - r.last - 1
		}
		r.last = s.Sequence
		of.row.Batches++
	}
	row := &of.row
	row.Boot, row.Version, row.Heard, row.Offset = s.Boot, s.Version, now, s.Offset
	row.Buffered, row.Dropped, row.Withheld, row.Condition = s.Buffered, s.Dropped, s.Withheld, s.Condition
}

// Rows gives what is known of each vantage, by name.
func (b *Book) Rows(now time.Time) map[string]Row {
	b.mu.Lock()
	defer b.mu.Unlock()
	rows := make(map[string]Row, len(b.senders))
	for name, of := range b.senders {
		row := of.row
		for _, r := range of.runs {
			if now.Sub(r.heard) < time.Minute {
				row.Runs++
			}
		}
		rows[name] = row
	}
	return rows
}

// Ill names the vantages that say that they are ill, and why.
func (b *Book) Ill() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ill := make(map[string]string)
	for name, of := range b.senders {
		if of.row.Condition.Ill {
			ill[name] = of.row.Condition.String()
		}
	}
	return ill
}
