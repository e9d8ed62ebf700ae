package usage

import (
	"slices"
	"time"

	"fairway/steering"
)

// Book holds the traffic of all providers. The zero Book is empty.
type Book struct {
	accounts map[string]*account
}

// account is one provider's part.
type account struct {
	ledgers map[string]*ledger // by region
	months  []*month           // the newest last, two at most
	closed  int64              // Unix second before which every bin is closed
	bins    bins               // of all ledgers' slots
	regions []string           // of the last standing, sorted
}

// ledger is the open samples of one region, and where its counting begins.
type ledger struct {
	slots  []slot // by time, none within another
	from   int64  // an opening stands for what is before
	joined int64  // every bin before is one slot; 0 = some may not be
	sums   sums   // of the slots
}

// sums are the bytes of a ledger's slots, in a month and before it. They are kept up
// as slots come in, and counted anew after any other change.
type sums struct {
	month      int64 // when it begins
	in, before float64
	counted    bool
}

// bins are the bytes of an account's slots by bins, from the first one on; kept up as
// the sums are.
type bins struct {
	first   int64
	bytes   []float64
	counted bool
}

// recount has sums and bins counted anew.
func (a *account) recount(l *ledger) { a.bins.counted, l.sums.counted = false, false }

// added keeps sums and bins up with a new slot.
func (a *account) added(l *ledger, s slot) {
	if s.at >= l.sums.month {
		l.sums.in += s.bytes
	} else {
		l.sums.before += s.bytes
	}
	if i := (s.at - a.bins.first) / binSeconds; s.at < a.bins.first || i > int64(len(a.bins.bytes)) {
		a.bins.counted = false
	} else if i == int64(len(a.bins.bytes)) {
		a.bins.bytes = append(a.bins.bytes, s.bytes)
	} else {
		a.bins.bytes[i] += s.bytes
	}
}

// slot is a sample, in Unix seconds.
type slot struct {
	at, span        int64
	bytes, requests float64
}

// month is what is closed of a billing month.
type month struct {
	begin int64
	end   int64
	first int64              // Unix second of the first sample of it
	bytes map[string]float64 // by region
	peaks []float64          // the highest rates over a bin, in bit/s, highest first
}

// mostPeaks is how many peaks are kept of a month: one in twenty of 31 days, and
// the next one, which is the percentile.
const mostPeaks = 450

// binSeconds is Bin in Unix seconds.
const binSeconds = int64(Bin / time.Second)

// Effect says what became of samples.
type Effect struct {
	Added    int `json:"added"`
	Replaced int `json:"replaced"` // the span was there, or parts of it
	Known    int `json:"known"`    // left out: a longer span holds it, or the time is closed
}

// Add takes samples that Check has passed.
func (b *Book) Add(samples []Sample) Effect {
	var e Effect
	for i := range samples {
		s := &samples[i]
		a := b.account(s.Provider)
		l := a.ledger(s.Region)
		at := s.Start.Unix()
		if at < a.closed || at < l.from {
			e.Known++
			continue
		}
		in := slot{at, int64(s.Span / time.Second), s.Bytes, s.Requests}
		switch l.put(in) {
		case added:
			e.Added++
			a.added(l, in)
		case replaced:
			e.Replaced++
			a.recount(l)
		case known:
			e.Known++
		}
		m := a.month(at)
		if m.first == 0 || at < m.first {
			m.first = at
		}
	}
	return e
}

// Begin takes an opening that Check has passed. One without a region stands for
// all regions.
func (b *Book) Begin(o Opening) {
	a := b.account(o.Provider)
	until := o.Until.Unix()
	m := a.month(until - 1)
	a.ledger(o.Region)
	for region, l := range a.ledgers {
		if o.Region == "" || region == o.Region {
			l.from = max(l.from, until)
			l.slots = slices.DeleteFunc(l.slots, func(s slot) bool { return s.at < until })
			a.recount(l)
			delete(m.bytes, region)
		}
	}
	if o.Region == "" {
		a.closed = max(a.closed, until)
	}
	m.bytes[o.Region] = o.Bytes
	if m.first == 0 || m.first > m.begin {
		m.first = m.begin
	}
}

func (b *Book) account(provider string) *account {
	a := b.accounts[provider]
	if a == nil {
		if b.accounts == nil {
			b.accounts = make(map[string]*account)
		}
		a = &account{ledgers: make(map[string]*ledger)}
		b.accounts[provider] = a
	}
	return a
}

func (a *account) ledger(region string) *ledger {
	l := a.ledgers[region]
	if l == nil {
		l = new(ledger)
		a.ledgers[region] = l
	}
	return l
}

// month returns the month of a Unix second, which is made if need be.
func (a *account) month(at int64) *month {
	if n := len(a.months) - 1; n >= 0 && a.months[n].begin <= at && at < a.months[n].end {
		return a.months[n]
	}
	day := time.Unix(at, 0)
	begin := steering.MonthOf(day).Unix()
	i := slices.IndexFunc(a.months, func(m *month) bool { return m.begin >= begin })
	if i >= 0 && a.months[i].begin == begin {
		return a.months[i]
	}
	if i < 0 {
		i = len(a.months)
	}
	m := &month{begin: begin, end: begin + int64(steering.MonthLength(day)/time.Second), bytes: make(map[string]float64)}
	a.months = slices.Insert(a.months, i, m)
	return m
}

// what became of a slot.
type effect int

const (
	added effect = iota
	replaced
	known
)

// put takes a slot in, as the package comment says.
func (l *ledger) put(s slot) effect {
	from := l.after(s.at)
	to := from
	for to < len(l.slots) && l.slots[to].at < s.at+s.span {
		to++
	}
	if to > from && l.slots[from].span > s.span {
		return known
	}
	if s.at < l.joined {
		l.joined = 0
	}
	l.slots = slices.Replace(l.slots, from, to, s)
	if to > from {
		return replaced
	}
	return added
}

// after is the first slot that ends after a time: mostly what is reported is new, and
// there is none.
func (l *ledger) after(at int64) int {
	if n := len(l.slots); n == 0 || l.slots[n-1].at+l.slots[n-1].span <= at {
		return n
	}
	i, _ := slices.BinarySearchFunc(l.slots, at, func(have slot, at int64) int { return int(have.at + have.span - 1 - at) })
	return i
}

// Advance closes what has been open for long enough, joins fine grains and forgets
// old months.
func (b *Book) Advance(now time.Time) {
	closed := now.Add(-Open).Truncate(Bin).Unix()
	joined := now.Add(-fine).Truncate(Bin).Unix()
	oldest := steering.MonthOf(steering.MonthOf(now).Add(-time.Hour)).Unix()
	for _, a := range b.accounts {
		a.close(closed)
		for _, l := range a.ledgers {
			l.join(joined)
		}
		a.months = slices.DeleteFunc(a.months, func(m *month) bool { return m.begin < oldest })
	}
}

// close moves every bin before a time into its month.
func (a *account) close(before int64) {
	if before <= a.closed {
		return
	}
	bins := make(map[int64]float64)
	for region, l := range a.ledgers {
		n := 0
		for n < len(l.slots) && l.slots[n].at < before {
			s := &l.slots[n]
			bins[s.at-s.at%binSeconds] += s.bytes
			a.month(s.at).bytes[region] += s.bytes
			n++
		}
		if n > 0 {
			l.slots = slices.Delete(l.slots, 0, n)
			a.recount(l)
		}
	}
	for at, bytes := range bins {
		a.month(at).peak(rate(bytes))
	}
	a.closed = before
}

// rate is the bit/s of bytes that were carried in a bin.
func rate(bytes float64) float64 { return bytes * 8 / Bin.Seconds() }

// peak shows a bin's rate to the peaks.
func (m *month) peak(rate float64) {
	if rate <= 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(m.peaks, rate, func(have, r float64) int {
		switch {
		case have > r:
			return -1
		case have < r:
			return 1
		}
		return 0
	})
	m.peaks = slices.Insert(m.peaks, i, rate)
	if len(m.peaks) > mostPeaks {
		m.peaks = m.peaks[:mostPeaks]
	}
}

// join makes one slot of those of each bin that ends before a time.
func (l *ledger) join(before int64) {
	if before == l.joined {
		return
	}
	l.joined = before
	joined := make([]slot, 0, len(l.slots))
	for i, s := range l.slots {
		bin := s.at - s.at%binSeconds
		if bin+binSeconds > before {
			joined = append(joined, l.slots[i:]...)
			break
		}
		if n := len(joined) - 1; n >= 0 && joined[n].at == bin {
			joined[n].bytes += s.bytes
			joined[n].requests += s.requests
			continue
		}
		joined = append(joined, slot{bin, binSeconds, s.bytes, s.requests})
	}
	l.slots = joined
}
