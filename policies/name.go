package policies

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fairway/steering"
)

// noun is a kind of thing that operators name.
type noun string

// The kinds, as the singular of their section.
const (
	provider  noun = "provider"
	pool      noun = "pool"
	region    noun = "region"
	vantage   noun = "vantage"
	probe     noun = "probe"
	policy    noun = "policy"
	service   noun = "service"
	tsigKey   noun = "TSIG key"
	schedule  noun = "schedule"
	importing noun = "import"
	endpoint  noun = "endpoint" // has no section; declared by the services
)

// plural is the noun's section.
func (n noun) plural() string {
	if n == tsigKey {
		return "tsig"
	}
	if stem, ok := strings.CutSuffix(string(n), "y"); ok {
		return stem + "ies"
	}
	return string(n) + "s"
}

// declarations are the things of one kind that the files declare.
type declarations struct {
	entries map[string]value // by name; endpoints have the value of their list item
	used    map[string]bool
	sorted  []string // the names, when last asked for
}

// declare adds a thing, or reports that its name is taken.
func (c *compiler) declare(kind noun, name string, v value) bool {
	d := c.declared[kind]
	if earlier, taken := d.entries[name]; taken {
		c.fault(v.home(), "keep one of the two, or rename one", "%s %q is defined twice, first at %s", kind, name, earlier.home())
		return false
	}
	d.entries[name] = v
	return true
}

// each returns the declared things of a kind, sorted by name, so that equal
// files give equal revisions whatever their order.
func (c *compiler) each(kind noun) []value {
	d := c.declared[kind]
	sorted := make([]value, 0, len(d.entries))
	for _, name := range c.names(kind) {
		v := d.entries[name].as("%s %q", kind, name)
		v.name = name
		sorted = append(sorted, v)
	}
	return sorted
}

// names returns the declared names of a kind, sorted. It must not be changed.
func (c *compiler) names(kind noun) []string {
	d := c.declared[kind]
	if len(d.sorted) != len(d.entries) { // names are only ever added
		d.sorted = slices.Sorted(maps.Keys(d.entries))
	}
	return d.sorted
}

// known tells whether a name may be used where a thing of this kind is meant,
// and marks it as used.
func (c *compiler) known(kind noun, name string) bool {
	c.declared[kind].used[name] = true
	_, ok := c.declared[kind].entries[name]
	return ok || (kind == region && name == steering.DefaultRegion)
}

// refer reads the name of a declared thing.
func (v value) refer(kind noun) (string, bool) {
	name, ok := v.text()
	if !ok {
		return "", false
	}
	if !v.c.known(kind, name) {
		v.missing(v.place(), kind, name)
		return "", false
	}
	return name, true
}

// missing reports a name that nobody declares. Where a file could not be read,
// the name may well be declared there, so nothing is said.
func (v value) missing(at steering.Place, kind noun, name string) {
	if v.c.partial {
		return
	}
	names := v.c.names(kind)
	if kind == region {
		names = append(slices.Clone(names), steering.DefaultRegion)
	}
	remedy := v.c.declaredNames(kind.plural(), names, name)
	if len(names) == 0 {
		remedy = fmt.Sprintf("no %s is declared: add it under %s", kind, kind.plural())
	}
	v.c.fault(at, remedy, "%s%s %q is not declared", v.about(), kind, name)
}

// refer reads an optional reference; empty when it is missing or wrong.
func (f fields) refer(key string, kind noun) string {
	if v, ok := f.byKey[key]; ok {
		name, _ := v.refer(kind)
		return name
	}
	return ""
}

// referAll reads an optional list of references.
func (f fields) referAll(key string, kind noun) []string {
	var names []string
	for _, v := range f.texts(key) {
		if name, ok := v.refer(kind); ok {
			names = append(names, name)
		}
	}
	return names
}

// checkName reports a name that would not survive as part of a URL, a metric
// label or an endpoint's id.
func (c *compiler) checkName(at steering.Place, kind noun, name string) {
	if !isName(name) {
		c.fault(at, nameRemedy, "%q is not a name for a %s", clip(name), kind)
	}
}

const nameRemedy = "use 1 to 63 of a-z A-Z 0-9 . _ - with a letter or digit first"

func isName(name string) bool {
	ok := name != "" && len(name) <= 63 && isAlnum(name[0])
	for i := range len(name) {
		ok = ok && (isAlnum(name[i]) || strings.IndexByte("._-", name[i]) >= 0)
	}
	return ok
}

func isAlnum(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}

// maxGuesses bounds how many names are compared with wrong ones in one run, so
// that a file full of wrong names takes no longer than one full of right ones.
const maxGuesses = 100_000

// declaredNames is choices for names that the files declare, of which there may
// be many.
func (c *compiler) declaredNames(what string, names []string, wrong string) string {
	if c.guesses += len(names); c.guesses > maxGuesses {
		wrong = ""
	}
	return choices("declared "+what, names, wrong)
}

// choices is the remedy for a wrong word: the right ones, and the nearest.
func choices(label string, words []string, wrong string) string {
	const most = 40
	shown := words
	more := ""
	if len(shown) > most {
		more = fmt.Sprintf(" and %d more", len(shown)-most)
		shown = shown[:most]
	}
	remedy := label + ": " + strings.Join(shown, ", ") + more
	if near := nearest(words, wrong); near != "" {
		remedy += " — did you mean " + quote(near) + "?"
	}
	return remedy
}

// nearest returns the word that wrong was probably meant to be, or nothing.
func nearest(words []string, wrong string) string {
	if wrong == "" || len(wrong) > 100 {
		return ""
	}
	best, at := 1+max(1, len(wrong)/3), ""
	for _, w := range words {
		if len(w) > 100 {
			continue
		}
		if d := distance(strings.ToLower(w), strings.ToLower(wrong)); d < best {
			best, at = d, w
		}
	}
	return at
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours between two words (optimal string alignment).
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, above, row := rows[0], rows[1], rows[2]
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

func quote(s string) string { return strconv.Quote(clip(s)) }
