package publish

import (
	"fmt"
	"math"
	"slices"
	"time"

	"fairway/steering"
)

// What is asked for is known only when it has been carried and reported, and viewers
// follow slowly: who waits until a cap is reached is over it for a minute. So caps are
// held against what is asked for now or, if that is more, expected: by the operator, in
// a schedule, and by how the traffic of earlier days went on from this hour.

const (
	// expectBefore is how long before a schedule opens its crowd counts: about as long
	// as slow resolvers keep answers.
	expectBefore = 5 * time.Minute
	// expectAfter is how long after that it counts though it has not come.
	expectAfter = 30 * time.Minute
	// expectAhead is how far ahead the traffic of earlier days is looked at.
	expectAhead = 10 * time.Minute
	// mostGrowth is the most that earlier days may add.
	mostGrowth = 1.25
)

// expected is the crowd of one opening of a schedule.
type expected struct {
	schedule *steering.Schedule
	from     time.Time
	asked    [][2]float64 // by group: before it
}

// of is what a group is expected to ask for, if that is more than what it does.
func (e *expected) of(group int, asks [2]float64) [2]float64 {
	for unit := range asks {
		asks[unit] = max(asks[unit], e.asked[group][unit]*e.schedule.Demand)
	}
	return asks
}

// expect looks for schedules whose crowd counts now. What is asked for before one is
// noted when its time begins; where nothing was known then, nothing is expected.
func (t *track) expect(now time.Time) {
	coming := make(map[int]*expected)
	for _, s := range t.layout.Revision.Schedules {
		from, to, opens := s.Window.Opening(now)
		if s.Demand <= 1 || !opens || now.Before(from.Add(-expectBefore)) || !now.Before(soonest(to, from.Add(expectAfter))) {
			continue
		}
		for i, sl := range t.layout.Services {
			if !slices.ContainsFunc(s.Services, func(c *steering.Service) bool { return c.Key == sl.Service.Key }) {
				continue
			}
			e := t.coming[i]
			if e == nil || !e.from.Equal(from) || len(e.asked) != len(sl.Groups) {
				if !now.Before(from) {
					continue
				}
				e = &expected{schedule: s, from: from, asked: make([][2]float64, len(sl.Groups))}
				for g, group := range sl.Groups {
					e.asked[g] = t.demand.of(group, t.part(i, g))
				}
			}
			coming[i] = e
		}
	}
	t.coming = coming
}

// asks is what a group asks for, or is expected to.
func (t *track) asks(service, group int) [2]float64 {
	of := t.demand.of(t.layout.Services[service].Groups[group], t.part(service, group))
	if e := t.coming[service]; e != nil {
		return e.of(group, of)
	}
	return of
}

// comingText says what is expected of a service, empty when nothing is.
func (t *track) comingText(service int) string {
	e := t.coming[service]
	if e == nil {
		return ""
	}
	return fmt.Sprintf(", with %.3g times the traffic that schedule %s expects at %s", e.schedule.Demand, e.schedule.Name, e.from.Format("15:04"))
}

// days is how the traffic of each region goes by the time of day, UTC: means of half
// hours, of which those of earlier days count less and less.
type days struct {
	regions map[string]*[halfHours]float64
	slot    int       // the half hour that is being added up; -1 = none yet
	sums    demand    // of it
	n       float64   // looks in it
	since   time.Time // when the first of them was
}

const halfHours = 48

// restoredDays go on from what was stored; nil = they begin anew.
func restoredDays(state *steering.UsageState) *days {
	d := &days{regions: make(map[string]*[halfHours]float64), slot: -1}
	if state == nil {
		return d
	}
	for region, list := range state.Days {
		if len(list) != halfHours {
			continue
		}
		day := new([halfHours]float64)
		for i, x := range list {
			if x >= 0 && !math.IsInf(x, 1) {
				day[i] = x
			}
		}
		d.regions[region] = day
	}
	return d
}

// store puts them into a state, to four digits.
func (d *days) store(state *steering.UsageState) {
	if len(d.regions) == 0 {
		return
	}
	state.Days = make(map[string][]float64, len(d.regions))
	for region, day := range d.regions {
		list := make([]float64, halfHours)
		for i, x := range day {
			if x > 0 {
				unit := math.Pow(10, math.Floor(math.Log10(x))-3)
				list[i] = math.Round(x/unit) * unit
			}
		}
		state.Days[region] = list
	}
}

// learn takes in what the regions ask for.
func (d *days) learn(seen demand, now time.Time) {
	slot := int(now.UTC().Hour()*2 + now.UTC().Minute()/30)
	if slot != d.slot {
		d.close(now)
		d.slot, d.sums, d.n, d.since = slot, make(demand, len(seen)), 0, now
	}
	d.n++
	for region, of := range seen {
		sum := d.sums[region]
		d.sums[region] = [2]float64{sum[bits] + of[bits], sum[requests] + of[requests]}
	}
}

// close takes over the half hour that is over, unless most of it was missed.
func (d *days) close(now time.Time) {
	if d.slot < 0 || now.Sub(d.since) < 20*time.Minute || now.Sub(d.since) > 40*time.Minute {
		return
	}
	for region, sum := range d.sums {
		mean := sum[bits] / d.n
		if mean == 0 {
			mean = sum[requests] / d.n
		}
		if mean <= 0 {
			continue
		}
		day := d.regions[region]
		if day == nil {
			day = new([halfHours]float64)
			d.regions[region] = day
		}
		if old := day[d.slot]; old > 0 {
			mean = (old + mean) / 2
		}
		day[d.slot] = mean
	}
}

// hour is a time of day between the middles of two half hours.
type hour struct {
	before, after int
	part          float64 // of the way from one to the other
}

func hourOf(now time.Time) hour {
	now = now.UTC()
	x := float64(now.Hour()*3600+now.Minute()*60+now.Second())/1800 - 0.5
	low := math.Floor(x)
	return hour{(int(low) + halfHours) % halfHours, (int(low) + 1) % halfHours, x - low}
}

// usual is the traffic at a time of day; 0 = one of its half hours is not known.
func (h hour) usual(day *[halfHours]float64) float64 {
	a, b := day[h.before], day[h.after]
	if a <= 0 || b <= 0 {
		return 0
	}
	return a + (b-a)*h.part
}

// growth is by how much more a region asked for a while after this time of earlier
// days; 1 where that is not known, or less.
func (d *days) growth(region string, is, will hour) float64 {
	day := d.regions[region]
	if day == nil {
		return 1
	}
	before, after := is.usual(day), will.usual(day)
	if before <= 0 || after <= 0 {
		return 1
	}
	return min(max(after/before, 1), mostGrowth)
}

// ahead is what regions will ask for, where earlier days say that it becomes more.
func (d *days) ahead(seen demand, now time.Time) demand {
	next := make(demand, len(seen))
	is, will := hourOf(now), hourOf(now.Add(expectAhead))
	for region, of := range seen {
		growth := d.growth(region, is, will)
		next[region] = [2]float64{of[bits] * growth, of[requests] * growth}
	}
	return next
}
