package usage

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"fairway/steering"
)

// GB is what a GB has of bytes in prices and commits.
const GB = 1e9

// Stale is how old the newest sample may be for its rate to be the rate of now.
const Stale = 15 * time.Minute

// Standing is what is known of the providers' traffic at one moment. It never
// changes. A nil Standing knows nothing.
type Standing struct {
	At       time.Time
	Accounts map[string]*Account
}

// Account is one provider's traffic.
type Account struct {
	Volume
	Regions   map[string]Volume // as far as they are told apart
	Peaks     []float64         // of this month's five-minute rates the highest, in bit/s, highest first
	First     time.Time         // of this month's samples; zero = there is none
	LastMonth float64           // bytes
}

// Volume is the traffic of a provider, or of a region of it.
type Volume struct {
	MonthBytes float64   // of this month, so far
	BPS, RPS   float64   // now; 0 unless Known
	Known      bool      // the rates are those of now
	Newest     time.Time // the end of the newest sample
}

// Account returns a provider's traffic, nil when nothing is known of it.
func (s *Standing) Account(provider string) *Account {
	if s == nil {
		return nil
	}
	return s.Accounts[provider]
}

// Volume returns the traffic of a provider in a region; the zero Volume when
// nothing is known of it.
func (s *Standing) Volume(provider, region string) Volume {
	a := s.Account(provider)
	if a == nil {
		return Volume{}
	}
	return a.Regions[region]
}

// MonthGB is the volume of this month, 0 when nothing is known.
func (a *Account) MonthGB() float64 {
	if a == nil {
		return 0
	}
	return a.MonthBytes / GB
}

// Estimate is the volume at the end of the month in GB, if it goes on as it did
// since the first sample; 0 when nothing is known.
func (a *Account) Estimate(now time.Time) float64 {
	if a == nil || a.First.IsZero() {
		return 0
	}
	begin := steering.MonthOf(now)
	rest := begin.Add(steering.MonthLength(now)).Sub(now)
	seen := max(now.Sub(a.First), Bin)
	return a.MonthGB() * (1 + float64(rest)/float64(seen))
}

// P95 is the 95th percentile of this month's five-minute rates so far, in bit/s:
// the highest twentieth does not count.
func (a *Account) P95(now time.Time) float64 {
	bins := int(now.Sub(steering.MonthOf(now)) / Bin)
	if a == nil || bins/20 >= len(a.Peaks) {
		return 0
	}
	return a.Peaks[bins/20]
}

// BurstsUsed is how many of this month's five-minute rates were above a rate.
func (a *Account) BurstsUsed(bps float64) int {
	if a == nil {
		return 0
	}
	n := slices.IndexFunc(a.Peaks, func(p float64) bool { return p <= bps })
	if n < 0 {
		n = len(a.Peaks)
	}
	return n
}

// BurstsFree is how many five-minute rates of a month do not count.
func BurstsFree(now time.Time) int { return int(steering.MonthLength(now)/Bin) / 20 }

// Standing sums the book up.
func (b *Book) Standing(now time.Time) *Standing {
	s := &Standing{At: now, Accounts: make(map[string]*Account, len(b.accounts))}
	begin := steering.MonthOf(now).Unix()
	for provider, a := range b.accounts {
		s.Accounts[provider] = a.standing(begin, now)
	}
	return s
}

func (a *account) standing(begin int64, now time.Time) *Account {
	sum := &Account{Regions: make(map[string]Volume, len(a.ledgers))}
	var peaks []float64
	for _, m := range a.months {
		if m.begin == begin {
			peaks = m.peaks
			if m.first > 0 {
				sum.First = time.Unix(m.first, 0).UTC()
			}
			for region, bytes := range m.bytes {
				sum.Regions[region] = Volume{MonthBytes: bytes}
			}
		} else {
			for _, bytes := range m.bytes {
				sum.LastMonth += bytes
			}
		}
	}
	for region, l := range a.ledgers {
		v := sum.Regions[region]
		l.count(begin)
		v.MonthBytes += l.sums.in
		sum.LastMonth += l.sums.before
		l.rates(&v, now)
		sum.Regions[region] = v
	}
	sum.Peaks = a.peaks(begin, now.Unix(), peaks)
	if len(a.regions) != len(sum.Regions) { // none is ever taken away
		a.regions = slices.Sorted(maps.Keys(sum.Regions))
	}
	sum.add(a.regions)
	return sum
}

// count brings the sums of a ledger up to its slots.
func (l *ledger) count(month int64) {
	if l.sums.counted && l.sums.month == month {
		return
	}
	l.sums = sums{month: month, counted: true}
	for i := range l.slots {
		if s := &l.slots[i]; s.at >= month {
			l.sums.in += s.bytes
		} else {
			l.sums.before += s.bytes
		}
	}
}

// peaks adds the bins of a month that are over, but not closed, to its closed peaks.
func (a *account) peaks(month, now int64, closed []float64) []float64 {
	a.countBins()
	open := make([]float64, 0, len(a.bins.bytes))
	for i, bytes := range a.bins.bytes {
		at := a.bins.first + int64(i)*binSeconds
		if at >= month && at+binSeconds <= now && bytes > 0 { // a bin that is not over yet is none
			open = append(open, rate(bytes))
		}
	}
	slices.SortFunc(open, func(a, b float64) int { return cmp.Compare(b, a) })
	all := make([]float64, 0, len(open)+len(closed))
	for len(open)+len(closed) > 0 && len(all) < mostPeaks {
		from := &open
		if len(open) == 0 || len(closed) > 0 && closed[0] >= open[0] {
			from = &closed
		}
		all, *from = append(all, (*from)[0]), (*from)[1:]
	}
	return all
}

// countBins brings the bins up to the slots of all ledgers.
func (a *account) countBins() {
	if a.bins.counted {
		return
	}
	first, last := int64(0), int64(0)
	for _, l := range a.ledgers {
		if len(l.slots) == 0 {
			continue
		}
		if at := l.slots[0].at; first == 0 || at < first {
			first = at
		}
		last = max(last, l.slots[len(l.slots)-1].at)
	}
	first -= first % binSeconds
	a.bins = bins{first: first, bytes: make([]float64, (last-first)/binSeconds+1), counted: true}
	for _, l := range a.ledgers {
		for _, s := range l.slots {
			a.bins.bytes[(s.at-first)/binSeconds] += s.bytes
		}
	}
}

// rateOver is how many seconds a rate of now is the mean of: long enough for noise,
// short enough for a crowd that comes all at once.
const rateOver = 30

// rates are those of the newest half minute that is reported, or of the newest
// sample where that is longer.
func (l *ledger) rates(v *Volume, now time.Time) {
	if len(l.slots) == 0 {
		return
	}
	last := l.slots[len(l.slots)-1]
	end := last.at + last.span
	v.Newest = time.Unix(end, 0).UTC()
	if now.Sub(v.Newest) > Stale {
		return
	}
	covered := int64(0)
	for i := len(l.slots) - 1; i >= 0 && l.slots[i].at+l.slots[i].span > end-max(rateOver, last.span); i-- {
		s := &l.slots[i]
		covered += s.span
		v.BPS += s.bytes * 8
		v.RPS += s.requests
	}
	v.BPS, v.RPS, v.Known = v.BPS/float64(covered), v.RPS/float64(covered), true
}

// add sums the regions up, always in the same order, so that the same samples make the
// same sums to the last bit. What is reported for all regions together is the account's,
// and no region's.
func (a *Account) add(regions []string) {
	for _, region := range regions {
		v := a.Regions[region]
		a.MonthBytes += v.MonthBytes
		a.BPS += v.BPS
		a.RPS += v.RPS
		a.Known = a.Known || v.Known
		if v.Newest.After(a.Newest) {
			a.Newest = v.Newest
		}
	}
	delete(a.Regions, "")
}

// State gives the book in a form that can be stored.
func (b *Book) State() *steering.UsageState {
	if len(b.accounts) == 0 {
		return nil
	}
	state := &steering.UsageState{Accounts: make(map[string]steering.AccountState, len(b.accounts))}
	for provider, a := range b.accounts {
		out := steering.AccountState{Closed: a.closed, Open: make(map[string]steering.LedgerState, len(a.ledgers))}
		for region, l := range a.ledgers {
			open := steering.LedgerState{From: l.from, Slots: make([][4]float64, 0, len(l.slots))}
			for _, s := range l.slots {
				open.Slots = append(open.Slots, [4]float64{float64(s.at), float64(s.span), s.bytes, s.requests})
			}
			out.Open[region] = open
		}
		for _, m := range a.months {
			stored := steering.MonthState{Begin: m.begin, First: m.first, Bytes: make(map[string]float64, len(m.bytes)), Peaks: make([]float64, 0, len(m.peaks))}
			for region, bytes := range m.bytes {
				stored.Bytes[region] = bytes
			}
			for _, p := range m.peaks {
				stored.Peaks = append(stored.Peaks, math.Round(p))
			}
			out.Months = append(out.Months, stored)
		}
		state.Accounts[provider] = out
	}
	return state
}

// Restore makes a book from a stored state; nil gives an empty one. What is not
// sound in it is left out.
func Restore(state *steering.UsageState) *Book {
	b := new(Book)
	if state == nil {
		return b
	}
	for provider, in := range state.Accounts {
		a := b.account(provider)
		a.closed = in.Closed
		for region, open := range in.Open {
			l := a.ledger(region)
			l.from = open.From
			for _, s := range open.Slots {
				one := slot{int64(s[0]), int64(s[1]), s[2], s[3]}
				if slices.Contains(Spans, time.Duration(one.span)*time.Second) && one.at%one.span == 0 && plausible(one.bytes, one.requests) == nil {
					l.put(one)
				}
			}
		}
		for _, stored := range in.Months {
			m := a.month(stored.Begin)
			m.first = stored.First
			for region, bytes := range stored.Bytes {
				a.ledger(region)
				m.bytes[region] = bytes
			}
			for _, p := range stored.Peaks {
				m.peak(p)
			}
		}
	}
	return b
}

// Load is the part of the tightest cap that the traffic of now takes in a region
// ("" = of the account alone); 0 without a cap, and where the traffic is not known.
func (a *Account) Load(p *steering.Provider, region string) float64 {
	if a == nil || p == nil {
		return 0
	}
	load := loadOf(a.Volume, p.Terms)
	if region != "" {
		load = max(load, loadOf(a.Regions[region], p.Regions[region]))
	}
	return load
}

func loadOf(v Volume, terms steering.Terms) float64 {
	load := 0.0
	if terms.CapGbps > 0 {
		load = v.BPS / 1e9 / terms.CapGbps
	}
	if terms.CapRPS > 0 {
		load = max(load, v.RPS/terms.CapRPS)
	}
	return load
}

// Cost is the price of so many times the volumes of this month, each region by its
// own tariff where it has one.
func (a *Account) Cost(p *steering.Provider, times float64) float64 {
	if a == nil || p == nil {
		return 0
	}
	cost, whole := 0.0, a.MonthGB()
	for region, v := range a.Regions {
		if own := p.Regions[region].PricePerGB; own != nil {
			gb := v.MonthBytes / GB
			cost += own.Cost(gb * times)
			whole -= gb
		}
	}
	return cost + p.PricePerGB.Cost(max(0, whole)*times)
}
