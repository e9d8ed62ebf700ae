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
type memo[K comparable, V any] struct {
	read   atomic.Pointer[map[K]V]
	create func(K) V

	mu     sync.Mutex
	all    map[K]V
	misses int
}

func newMemo[K comparable, V any](create func(K) V) *memo[K, V] {
	m := &memo[K, V]{create: create}
	m.forget()
	return m
}

// peek returns the value of a key that get has known for a while.
func (m *memo[K, V]) peek(key K) (v V, known bool) {
	v, known = (*m.read.Load())[key]
	return v, known
}

func (m *memo[K, V]) get(key K) V {
	if v, known := m.peek(key); known {
		return v
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, known := m.all[key]
	if !known {
		v = m.create(key)
		m.all[key] = v
	}
	m.misses++
	if m.misses >= len(m.all) {
		fresh := maps.Clone(m.all)
		m.read.Store(&fresh)
		m.misses = 0
	}
	return v
}

// forget drops everything.
func (m *memo[K, V]) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all, m.misses = make(map[K]V), 0
	empty := make(map[K]V)
	m.read.Store(&empty)
}
