package probes

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"fairway/steering"
)

// digest stands for an object's bytes.
type digest = [32]byte

// book remembers what bytes an object had wherever it was fetched, to find the
// place that has others. It is used from many goroutines.
type book struct {
	mu     sync.Mutex
	groups map[string]*group
}

// group is the objects of one service or pool that should be alike everywhere.
type group struct {
	order   []string // of objects, the oldest first
	objects map[string]map[source]digest
}

// source is a place that an object was fetched from.
type source struct {
	subject steering.Subject
	address netip.Addr
}

// Bounds of a book: objects that are remembered per group, which are segments of
// the last minute or so, and places per object.
const (
	maxObjects = 16
	maxSources = 4096
)

func newBook() *book { return &book{groups: make(map[string]*group)} }

// compare enters what an object has here, and says whether it is known to be other
// bytes than everywhere else. owner is what the object is part of, name its name
// there.
func (a *attempt) compare(owner, name string, bytes digest) error {
	if a.group == "" {
		return nil
	}
	object := clip(strings.TrimPrefix(owner+" "+name, " "))
	key := a.group + "\x00" + a.probe.Name
	v := a.book.enter(key, owner+"\x00"+name, source{a.subject, a.address}, bytes)
	switch {
	case v.wrong:
		return failed(steering.OutcomeParity, fmt.Sprintf("%s has other bytes here (sha256 %s…) than at %d of %d places (%s…)",
			pathOnly(object), short(bytes), v.agree, v.places, short(v.truth)))
	case v.open:
		a.note = clip(fmt.Sprintf("%s differs between CDNs, and no majority says which is right: %s… here", pathOnly(object), short(bytes)))
	}
	return nil
}

func short(d digest) string { return hex.EncodeToString(d[:4]) }

// pathOnly leaves out a query, which may hold a token.
func pathOnly(s string) string {
	s, _, _ = strings.Cut(s, "?")
	return s
}

// finding is what is known of an object at one place.
type finding struct {
	wrong  bool // others agree on other bytes
	open   bool // others have other bytes, and nobody has a majority
	truth  digest
	agree  int // places that have the right bytes
	places int // that were asked
}

// enter writes down what an object is at a place.
func (b *book) enter(key, object string, from source, bytes digest) finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.groups[key]
	if g == nil {
		g = &group{objects: make(map[string]map[source]digest)}
		b.groups[key] = g
	}
	seen := g.objects[object]
	if seen == nil {
		seen = make(map[source]digest)
		g.objects[object] = seen
		g.order = append(g.order, object)
		if len(g.order) > maxObjects {
			delete(g.objects, g.order[0])
			g.order = slices.Delete(g.order, 0, 1)
		}
	}
	if _, known := seen[from]; known || len(seen) < maxSources {
		seen[from] = bytes
	}
	return judge(seen, from)
}

// judge finds out who is wrong. First the addresses of each subject vote, then the
// subjects: a CDN with many addresses is one voice, and what most CDNs have is
// right. A single CDN's addresses have only each other.
func judge(seen map[source]digest, at source) finding {
	bySubject := make(map[steering.Subject]map[digest]int)
	for from, d := range seen {
		if bySubject[from.subject] == nil {
			bySubject[from.subject] = make(map[digest]int)
		}
		bySubject[from.subject][d]++
	}
	votes := make(map[digest]int)
	for _, counts := range bySubject {
		if d, ok := majority(counts); ok {
			votes[d]++
		}
	}
	f := finding{places: len(seen)}
	truth, ok := majority(votes)
	mine := seen[at]
	if !ok {
		// CDNs disagree one to one; within this one an address may still stand alone.
		own, settled := majority(bySubject[at.subject])
		if truth, ok = own, settled && own != mine; !ok {
			f.open = len(slices.Collect(maps.Keys(votes))) > 1 || !settled
			return f
		}
	}
	f.truth, f.wrong = truth, mine != truth
	for _, d := range seen {
		if d == truth {
			f.agree++
		}
	}
	return f
}

// majority is the digest that more than half have.
func majority(counts map[digest]int) (digest, bool) {
	all := 0
	for _, n := range counts {
		all += n
	}
	for d, n := range counts {
		if 2*n > all {
			return d, true
		}
	}
	return digest{}, false
}
