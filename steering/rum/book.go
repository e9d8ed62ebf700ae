package rum

import (
	"cmp"
	"math"
	"slices"
	"time"

	"fairway/steering"
)

// Terms say when cells are evidence, and how much they weigh. What is 0 has its
// default.
type Terms struct {
	// Memory is the time after which a report weighs 1/e, default 150 s.
	Memory time.Duration
	// MinSessions, MinNetworks and MinSamples are what a figure rests on at least;
	// default 30, 10 and 300. With 300 samples of 30 sessions a shift of 20 % in time
	// to first byte is seen four times in five.
	MinSessions, MinNetworks, MinSamples int
	// SessionsPerNetwork is how many sessions one network (/24, /48) counts for at
	// most, default 8.
	SessionsPerNetwork int
	// Shrink is how many sessions weigh as much as what is known of the wider area,
	// default 20.
	Shrink float64
	// MaxNetwork is the largest part of a region's figures that comes from one
	// country and AS, default 0.25; where there are fewer than four, each counts alike
	// at most.
	MaxNetwork float64
	// MaxCells bounds the cells that are kept, default 10,000; those with the fewest
	// reports give way.
	MaxCells int
}

// Memory is the default of Terms.Memory.
const Memory = 150 * time.Second

func (t Terms) orDefault() Terms {
	d := Terms{
		Memory: Memory, MinSessions: 30, MinNetworks: 10, MinSamples: 300, SessionsPerNetwork: 8,
		Shrink: 20, MaxNetwork: 0.25, MaxCells: 10_000,
	}
	t.Memory = cmp.Or(t.Memory, d.Memory)
	t.MinSessions = cmp.Or(t.MinSessions, d.MinSessions)
	t.MinNetworks = cmp.Or(t.MinNetworks, d.MinNetworks)
	t.MinSamples = cmp.Or(t.MinSamples, d.MinSamples)
	t.SessionsPerNetwork = cmp.Or(t.SessionsPerNetwork, d.SessionsPerNetwork)
	t.Shrink = cmp.Or(t.Shrink, d.Shrink)
	t.MaxNetwork = cmp.Or(t.MaxNetwork, d.MaxNetwork)
	t.MaxCells = cmp.Or(t.MaxCells, d.MaxCells)
	return t
}

// Book is what players told of late, on all nodes together.
type Book struct {
	terms   Terms
	cells   map[Key]*entry
	now     time.Time // up to when everything is faded
	rotated time.Time // when crowds were last set aside
}

// entry is a cell with the crowds of the time before.
type entry struct {
	Cell
	sessions, networks Crowd // of the time before
}

// NewBook makes an empty book.
func NewBook(t Terms) *Book { return &Book{terms: t.orDefault(), cells: make(map[Key]*entry)} }

// Add takes in what collectors took. The cells are not kept.
func (b *Book) Add(cells []*Cell, now time.Time) {
	b.Advance(now)
	for _, c := range cells {
		e := b.cells[c.Key]
		if e == nil {
			e = &entry{Cell: Cell{Key: c.Key}}
			b.cells[c.Key] = e
		}
		e.Merge(c)
	}
	b.bound()
}

// bound drops the cells with the fewest reports where there are too many.
func (b *Book) bound() {
	over := len(b.cells) - b.terms.MaxCells
	if over <= 0 {
		return
	}
	entries := make([]*entry, 0, len(b.cells))
	for _, e := range b.cells {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(a.samples(), b.samples()) })
	for _, e := range entries[:over] {
		delete(b.cells, e.Key)
	}
}

// Advance lets what is in the book grow old.
func (b *Book) Advance(now time.Time) {
	if b.now.IsZero() || now.Before(b.now) {
		b.now, b.rotated = now, now
		return
	}
	passed := now.Sub(b.now)
	if passed < time.Second {
		return
	}
	b.now = now
	by := math.Exp(-passed.Seconds() / b.terms.Memory.Seconds())
	rotate := now.Sub(b.rotated) >= 2*b.terms.Memory
	if rotate {
		b.rotated = now
	}
	for key, e := range b.cells {
		e.fade(by)
		if rotate {
			e.sessions, e.networks = e.Sessions, e.Networks
			e.Sessions, e.Networks = Crowd{}, Crowd{}
		}
		if e.samples()+e.Playing+e.Stalled < 0.5 {
			delete(b.cells, key)
		}
	}
}

// Row is what was told of one endpoint in one place, for people: as it was
// told, and as it is believed.
type Row struct {
	Key
	Whole        bool            `json:"whole,omitempty"` // the region, not one network of it
	Sessions     int             `json:"sessions"`
	Networks     int             `json:"networks"`
	Samples      int             `json:"samples"`
	Enough       bool            `json:"enough"` // for figures that count
	Availability float64         `json:"availability"`
	Rebuffering  float64         `json:"rebuffering"`
	TTFBMs       [2]float64      `json:"ttfb_ms"`         // p50, p95
	Throughput   [2]float64      `json:"throughput_kbps"` // p50, p10
	StartMs      [2]float64      `json:"start_ms"`        // p50, p95
	Stalls       float64         `json:"stalls"`
	Fatal        float64         `json:"fatal"`
	Switched     float64         `json:"switched"`
	Believed     steering.Played `json:"believed"`
}

// Judged is a book at one moment.
type Judged struct {
	Table steering.PlayedTable
	Rows  []Row // by service, endpoint, region, country and AS; those of a region as a whole first
}

// Judge says what the book is worth.
func (b *Book) Judge(now time.Time) Judged {
	b.Advance(now)
	services := make(map[string][]*entry)
	for _, e := range b.cells {
		services[e.Service] = append(services[e.Service], e)
	}
	j := Judged{Table: make(steering.PlayedTable)}
	for _, entries := range services {
		b.judgeService(entries, &j)
	}
	slices.SortFunc(j.Rows, func(a, b Row) int { return compareKeys(&a.Key, &b.Key) })
	return j
}
