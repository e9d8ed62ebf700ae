package policies

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// schedules compiles the windows in which services are decided otherwise.
func (c *compiler) schedules(services []*steering.Service) []*steering.Schedule {
	var all []*steering.Schedule
	for _, v := range c.each(schedule) {
		f, _ := v.fields("services zone from to weekly policy ttl weights demand")
		s := &steering.Schedule{Name: v.name, Place: v.home(), TTL: f.seconds("ttl", 0, time.Second, time.Hour)}
		open := f.window(&s.Window)
		if w, ok := f.under("weights"); ok {
			s.Weights = w.as("weights of %s", v.subject).weights()
		}
		if p, ok := f.under("policy"); ok {
			if name, ok := p.refer(policy); ok {
				s.Policy = c.policyNamed[name]
			}
		}
		_, ttl := f.under("ttl")
		_, demand := f.under("demand")
		s.Demand = f.number("demand", 0, 1, mostDemand)
		if s.Policy == nil && !ttl && s.Weights == nil && !demand && len(f.byKey) > 0 && f.byKey["policy"].node == nil {
			v.fault("add policy, ttl, weights or demand: what is other while it is open", "changes nothing")
		}
		f.require("services", "add services: [NAME]")
		for _, item := range f.oneOrMore("services") {
			if key, ok := item.refer(service); ok {
				i := slices.IndexFunc(services, func(x *steering.Service) bool { return x.Key == key })
				s.Services = append(s.Services, c.scheduled(services[i], s))
			}
		}
		if open {
			c.checkOverlaps(s, all)
			all = append(all, s)
		}
	}
	return all
}

// mostDemand is by how many times a crowd may be expected to grow.
const mostDemand = 100

// scheduled is a service as it is while a schedule is open.
func (c *compiler) scheduled(plain *steering.Service, s *steering.Schedule) *steering.Service {
	form := *plain
	form.Schedule = s.Name
	if s.TTL > 0 {
		form.TTL = s.TTL
	}
	if s.Policy != nil {
		form.Policy = s.Policy
		c.checkPolicyOf(&form)
	}
	for _, e := range form.Endpoints {
		w, own := s.Weights[e.ID]
		if !own {
			w, own = s.Weights[e.Provider]
		}
		if own {
			if form.Weights == nil {
				form.Weights = make(map[string]float64)
			}
			form.Weights[e.ID] = w
		}
	}
	return &form
}

// checkOverlaps reports windows of one service that are open at the same time.
func (c *compiler) checkOverlaps(s *steering.Schedule, earlier []*steering.Schedule) {
	for _, other := range earlier {
		shared := ""
		for _, form := range s.Services {
			if slices.ContainsFunc(other.Services, func(x *steering.Service) bool { return x.Key == form.Key }) {
				shared = form.Key
			}
		}
		if shared == "" {
			continue
		}
		if at, both := s.Window.Overlaps(&other.Window); both {
			c.fault(s.Place, "let one end before the other begins, or join them",
				"schedule %q: is open for service %q together with schedule %q at %s, from %s on",
				s.Name, shared, other.Name, other.Place, at.In(s.Window.Zone).Format("2006-01-02 15:04 MST"))
		}
	}
}

// window reads when a schedule is open: once, or every week.
func (f fields) window(w *steering.Window) bool {
	w.Zone = time.UTC
	if v, ok := f.under("zone"); ok {
		name, ok := v.text()
		if !ok {
			return false
		}
		zone, err := loadZone(name)
		if err != nil {
			v.fault("use a name of the IANA database, such as Europe/Berlin or UTC", "%s is no time zone", quote(name))
			return false
		}
		w.Zone = zone
	}
	weekly, isWeekly := f.under("weekly")
	from, isFrom := f.under("from")
	to, isTo := f.under("to")
	switch {
	case isWeekly && (isFrom || isTo):
		weekly.fault("keep one of the two", "weekly excludes from and to")
	case isWeekly:
		return weekly.as("weekly of %s", f.subject).weekly(w)
	case !isFrom || !isTo:
		if !f.broken {
			f.c.fault(f.home(), "add from and to, or weekly: {days: [sat], from: \"18:00\", to: \"23:00\"}", "%s", f.about()+"when it is open is not said")
		}
	default:
		var good, ends bool
		w.From, good = from.moment(w.Zone)
		w.To, ends = to.moment(w.Zone)
		if good && ends && !w.To.After(w.From) {
			to.fault("let it end after it begins", "is not after from")
			return false
		}
		return good && ends
	}
	return false
}

// moment reads a date and a time of day in a zone.
func (v value) moment(zone *time.Location) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		t, err := time.ParseInLocation(layout, v.node.Value, zone)
		if err == nil && t.Year() >= 2000 && t.Year() < 2200 {
			return t, v.exists(t, layout)
		}
	}
	v.wrong("a date and a time of day", "write 2026-11-28T18:00, in the schedule's zone")
	return time.Time{}, false
}

// exists tells whether a moment is one of its zone's clock, and not one that is
// skipped when the clock is put forward.
func (v value) exists(t time.Time, layout string) bool {
	if t.Format(layout) == v.node.Value {
		return true
	}
	gap := gapAt(t)
	v.fault(fmt.Sprintf("write %s or later, or a time before %s", gap.after.Format("15:04"), gap.before.Format("15:04")),
		"%s does not exist in %s: the clock is put forward from %s to %s that day",
		v.node.Value, t.Location(), gap.before.Format("15:04"), gap.after.Format("15:04"))
	return false
}

// gap is what a clock skips when it is put forward.
type gap struct{ before, after time.Time }

// gapAt finds the gap that a time of day was moved over: the hours around hold it.
func gapAt(t time.Time) gap {
	for at := t.Add(-4 * time.Hour).Truncate(time.Minute); at.Before(t.Add(4 * time.Hour)); at = at.Add(time.Minute) {
		_, was := at.Add(-time.Minute).Zone()
		if _, is := at.Zone(); is > was {
			return gap{before: at.In(time.FixedZone("", was)), after: at}
		}
	}
	return gap{t, t}
}

// warnOfGap tells of the first day of a weekly window on which it opens or closes at
// another time than it says, since the clock skips that one.
func (v value) warnOfGap(w *steering.Window) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, w.Zone)
	for day := range 366 {
		y, m, d := begin.AddDate(0, 0, day).Date()
		for _, at := range [2]time.Duration{w.Start, w.End} {
			date := d
			if at == w.End && w.End <= w.Start {
				date++
			}
			t := w.Clock(y, m, date, at)
			opens := time.Date(y, m, d, 12, 0, 0, 0, w.Zone).Weekday()
			clock := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
			if !w.Days[opens] || clock == at%(24*time.Hour) {
				continue
			}
			gap := gapAt(t)
			v.warn(fmt.Sprintf("use %s or later, or a time before %s, if that day matters", gap.after.Format("15:04"), gap.before.Format("15:04")),
				"%02d:%02d does not exist in %s on days like %s, when the clock is put forward from %s to %s: %s counts then",
				int(at.Hours()), int(at.Minutes())%60, w.Zone, t.Format(time.DateOnly), gap.before.Format("15:04"), gap.after.Format("15:04"), t.Format("15:04"))
			return
		}
	}
}

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// weekly reads a window that comes again.
func (v value) weekly(w *steering.Window) bool {
	f, ok := v.fields("days from to")
	if !ok {
		return false
	}
	good := true
	if _, given := f.require("days", "add days: [sat, sun]"); !given {
		good = false
	}
	for _, item := range f.oneOrMore("days") {
		at := slices.Index(weekdays[:], strings.ToLower(item.node.Value))
		if at < 0 {
			item.fault(choices("days", weekdays[:], item.node.Value), "%s is no day of the week", quote(item.node.Value))
			good = false
			continue
		}
		w.Days[at] = true
	}
	clock := func(key string) (at time.Duration) {
		c, given := f.require(key, "add "+key+": a time of day, such as \"18:00\"")
		if !given {
			good = false
			return 0
		}
		at, ok := parseClock(c.node.Value)
		if !ok {
			c.wrong("a time of day", "write hours and minutes, such as \"18:00\"")
			good = false
		}
		return at
	}
	w.Start, w.End = clock("from"), clock("to")
	if good && w.Days == [7]bool{} {
		f.fault("name a day", "no day is named")
		return false
	}
	if good {
		v.warnOfGap(w)
	}
	return good
}
