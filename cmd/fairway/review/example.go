package review

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"fairway/steering"
)

// firstOf returns the first number that is in a and, with in set, in b too,
// else not in b; -1 for none.
func firstOf(a, b bitset, in bool) int {
	for w := range a {
		word := a[w]
		if in {
			word &= b[w]
		} else {
			word &^= b[w]
		}
		if word != 0 {
			return 64*w + bits.TrailingZeros64(word)
		}
	}
	return -1
}

// client describes a client of one of a policy's points as an operator knows
// clients.
func (r *reviewer) client(p *used, point int) string {
	cell, a := p.point(point)
	text := r.describe(cell)
	if len(p.ways) > 1 {
		text += wayText(a.way)
	}
	if slices.ContainsFunc(p.askers, func(o asker) bool { return o.service != a.service }) {
		text += " service=" + a.service.Key
	}
	if !a.now.IsZero() {
		text += " at " + a.now.Format("Mon 15:04 MST")
	}
	return text
}

// wayText says how clients ask.
func wayText(w *steering.Way) string {
	text := " door=" + w.Door.String()
	if w.Source != steering.SourceClient {
		text += " source=" + w.Source.String()
	}
	for _, test := range w.Passed {
		text += " path " + test
	}
	return text
}

// describe names what is known of a cell's clients, and an address where the
// region is a list of prefixes, which says more than its name.
func (r *reviewer) describe(index uint32) string {
	c := &r.cells[index]
	parts := []string{"region=" + c.Region}
	for _, a := range []struct{ name, value string }{
		{"continent", c.Continent}, {"country", c.Country}, {"subdivision", c.Subdivision},
	} {
		if a.value != "" {
			parts = append(parts, a.name+"="+a.value)
		}
	}
	if c.ASN != 0 {
		parts = append(parts, "asn="+strconv.FormatUint(uint64(c.ASN), 10))
	}
	if c.Family != "" {
		parts = append(parts, "family="+c.Family)
	}
	if c.Prefix.IsValid() {
		parts = append(parts, "prefix="+c.Prefix.String())
	}
	if address := r.address(index); address != "" {
		parts = append(parts, "address="+address)
	}
	return strings.Join(parts, " ")
}

func (r *reviewer) address(index uint32) string {
	region := r.layout.Revision.Region(r.cells[index].Region)
	if region == nil {
		return ""
	}
	for _, p := range region.Prefixes {
		if cell, _ := r.layout.Table.Locate(p.Addr()); cell == index {
			return p.Addr().String()
		}
	}
	return ""
}
