package origin

import (
	"container/list"
	"time"
)

const (
	mostEntries = 2048
	mostMemory  = 64 << 20 // of all texts together
)

// entry is a text, or a failure, and when it was fetched. It never changes.
type entry struct {
	text   string
	err    error
	at     time.Time
	origin string    // that had it
	failed time.Time // when it could not be renewed; zero = it was not tried
	etag   string
	// modified is the origin's Last-Modified, as it wrote it.
	modified string
}

// holds tells whether the entry answers without a look at the origins.
func (e *entry) holds(r Request) bool {
	switch {
	case e.err != nil:
		return time.Since(e.at) < failedFor
	case time.Since(e.at) < r.Fresh:
		return true
	}
	return e.servesStale(r) && time.Since(e.failed) < failedFor
}

// servesStale tells whether the entry may stand in for origins that do not answer.
func (e *entry) servesStale(r Request) bool {
	return e.err == nil && time.Since(e.at) < r.Fresh+r.Stale
}

// cache keeps the entries that were asked for last.
type cache struct {
	memory int
	byKey  map[string]*list.Element // of *kept
	recent *list.List               // the newest in front
}

type kept struct {
	key string
	*entry
}

func newCache() *cache { return &cache{byKey: make(map[string]*list.Element), recent: list.New()} }

func (c *cache) get(key string) *entry {
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*kept).entry
}

func (c *cache) put(key string, e *entry) {
	if old := c.byKey[key]; old != nil {
		c.drop(old)
	}
	c.byKey[key] = c.recent.PushFront(&kept{key, e})
	c.memory += size(key, e)
	for c.memory > mostMemory || c.recent.Len() > mostEntries {
		c.drop(c.recent.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	k := c.recent.Remove(e).(*kept)
	delete(c.byKey, k.key)
	c.memory -= size(k.key, k.entry)
}

func size(key string, e *entry) int { return 2*len(key) + len(e.text) + 256 }
