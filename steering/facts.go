package steering

import "time"

// Door is what a client comes through.
type Door uint8

// The doors. The zero value is DNS.
const (
	DoorDNS Door = iota
	DoorRedirect
	DoorSteering
	DoorDecide
	doorCount
)

// Doors lists all doors.
func Doors() []Door { return []Door{DoorDNS, DoorRedirect, DoorSteering, DoorDecide} }

// String gives the door's word in rules, metrics and commands.
func (d Door) String() string {
	return [...]string{"dns", "redirect", "steering", "decide"}[d]
}

// DoorNamed returns the door of a word.
func DoorNamed(word string) (Door, bool) {
	for _, d := range Doors() {
		if d.String() == word {
			return d, true
		}
	}
	return 0, false
}

// Source says whose address a query's client is: the client's own, or that of
// the resolver that asks for it.
type Source uint8

// The sources. The zero value is the client's own address.
const (
	SourceClient Source = iota
	SourceResolver
	sourceCount
)

// String gives the source's word in rules and commands.
func (s Source) String() string { return [...]string{"client", "resolver"}[s] }

// Facts are what a condition may read. Conditions never run per query: see ways.
type Facts struct {
	Cell    *Cell
	Service *Service
	Door    Door
	Source  Source
	Paths   uint64    // bit i: the asked path passes the rule's Reads.Paths[i]
	Now     time.Time // in whole minutes
}

// Reading says what a condition reads beside the cell: what is read nowhere
// makes no difference, and costs nothing.
type Reading struct {
	Service, Door, Source, Time bool
	Paths                       []PathTest
}

// PathTest is one question about the path that a client asks for. It runs per
// query, so it neither allocates nor waits.
type PathTest struct {
	Text  string // as it stands in the rule; equal texts are equal tests
	Match func(path string) bool
}

// Matches asks the rule's condition about clients of a cell that ask a service
// as q does at a time: one question at a time, for tests and tools. A rule that
// reads the time matches nobody at no time.
func (r *Rule) Matches(cell *Cell, s *Service, q Query, now time.Time) bool {
	switch {
	case r.When == nil:
		return true
	case r.Reads.Time && now.IsZero():
		return false
	}
	f := Facts{Cell: cell, Service: s, Door: q.Door, Source: q.Source, Now: now.Truncate(time.Minute)}
	for i := range r.Reads.Paths {
		if r.Reads.Paths[i].Match(q.Path) {
			f.Paths |= 1 << i
		}
	}
	return r.When(&f)
}
