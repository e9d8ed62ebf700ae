package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// memo remembers one value per key. Get takes no lock for keys that it has
// known for a while: it reads a map that never changes. New keys go into a
// second map under a lock, and the first is made anew when it has been missed
// as often as there are keys, so that n keys cost O(n) in all. (sync.Map would
// do, but puts keys into interfaces, which allocates.)
//
// In front of the maps lies a table of what was asked for last, which is found by a
// hint, without hashing the key: keys of many words cost more to hash than everything
// else here.
type memo[K comparable, V any] struct {
	recent [recentSize]atomic.Pointer[known[K, V]]
	read   atomic.Pointer[map[K]*known[K, V]]
	create func(K) V

	mu     sync.Mutex
	all    map[K]*known[K, V]
	misses int
}

type known[K comparable, V any] struct {
	key   K
	value V
}

// recentSize is how many keys are found without hashing, at most.
const recentSize = 1 << 10

func newMemo[K comparable, V any](create func(K) V) *memo[K, V] {
	m := &memo[K, V]{create: create}
	m.forget()
	return m
}

// peek returns the value of a key that was got by the same hint not long ago.
func (m *memo[K, V]) peek(hint uint64, key K) (v V, ok bool) {
	if k := m.recent[hint%recentSize].Load(); k != nil && k.key == key {
		return k.value, true
	}
	return v, false
}

// get returns the value of a key. The hint is any number that is always the same for
// the key and mostly another for others; it is best told apart by its lowest bits.
func (m *memo[K, V]) get(hint uint64, key K) V {
	if v, ok := m.peek(hint, key); ok {
		return v
	}
	k := (*m.read.Load())[key]
	if k == nil {
		k = m.learn(key)
	}
	m.recent[hint%recentSize].Store(k)
	return k.value
}

func (m *memo[K, V]) learn(key K) *known[K, V] {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.all[key]
	if k == nil {
		k = &known[K, V]{key, m.create(key)}
		m.all[key] = k
	}
	m.misses++
	if m.misses >= len(m.all) {
		fresh := maps.Clone(m.all)
		m.read.Store(&fresh)
		m.misses = 0
	}
	return k
}

// forget drops everything.
func (m *memo[K, V]) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all, m.misses = make(map[K]*known[K, V]), 0
	empty := make(map[K]*known[K, V])
	m.read.Store(&empty)
	for i := range m.recent {
		m.recent[i].Store(nil)
	}
}
