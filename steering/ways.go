package steering

import "slices"

// MaxPaths is how many different tests of paths the rules of one policy may
// hold: each doubles the ways in which a client can ask.
const MaxPaths = 6

// ways tells the clients of a service apart that ask in different ways: through
// another door, with their own address or a resolver's, for another path. Only
// services whose rules read such things have it. What a rule reads is tried for
// every way when the layout is made; a query only looks up which way it is.
type ways struct {
	paths []PathTest
	index []uint16   // number of a way → which of the lists
	lists [][]uint32 // cell → outcome
	list  []Way      // a way for each of the lists
}

// Way is a way of asking.
type Way struct {
	Door     Door
	Source   Source
	Passed   []string // the tests that the asked path passes
	outcomes int      // which of the lists
}

// Facts are what a rule's condition reads of the way.
func (w *Way) Facts(rule *Rule) Facts {
	f := Facts{Door: w.Door, Source: w.Source}
	for i, test := range rule.Reads.Paths {
		if slices.Contains(w.Passed, test.Text) {
			f.Paths |= 1 << i
		}
	}
	return f
}

// of returns the list for a query's way.
func (w *ways) of(q *Query) []uint32 {
	return w.lists[w.index[w.number(q.Door, q.Source, w.passed(q.Path))]]
}

// passed gives the tests that a path passes, one bit each.
func (w *ways) passed(path string) (bits uint64) {
	for i := range w.paths {
		if w.paths[i].Match(path) {
			bits |= 1 << i
		}
	}
	return bits
}

// number numbers the ways.
func (w *ways) number(door Door, source Source, passed uint64) int {
	return (int(door)*int(sourceCount)+int(source))<<len(w.paths) | int(passed)
}

// pathsOf joins the tests of all rules.
func pathsOf(rules []*Rule) []PathTest {
	var all []PathTest
	for _, r := range rules {
		for _, t := range r.Reads.Paths {
			if indexOfPath(all, t.Text) < 0 {
				all = append(all, t)
			}
		}
	}
	return all
}

func indexOfPath(tests []PathTest, text string) int {
	for i := range tests {
		if tests[i].Text == text {
			return i
		}
	}
	return -1
}
