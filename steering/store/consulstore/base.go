package consulstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"fairway/steering"

	"github.com/cespare/xxhash/v2"
	consul "github.com/hashicorp/consul/api"
)

// stateRoot is a state with the places of its buckets in their stead. Bucket i
// holds the services, or the subjects of health, whose names hash to i.
type stateRoot struct {
	State    steering.State `json:"state"` // without services, health and books
	Services []blob         `json:"services"`
	Canary   []blob         `json:"canary,omitempty"` // services of the revision on trial
	Health   []blob         `json:"health,omitempty"`
	Regions  map[string]int `json:"regions,omitempty"` // the columns of health
}

// names are all pieces that the root refers to.
func (r *stateRoot) names() []string {
	return slices.Concat(slices.Concat(r.Services...), slices.Concat(r.Canary...), slices.Concat(r.Health...))
}

// base is a state in pieces.
type base struct {
	root                     blob
	services, canary, health buckets
	state                    steering.State // that was packed
	size                     int            // of all pieces
}

// next packs another state. Buckets in which nothing changed are taken over as they
// are, so that only the others are packed, and sent.
func (b *base) next(state steering.State) (base, []piece, error) {
	made := base{state: state}
	root := stateRoot{State: state}
	root.State.Services, root.State.Health, root.State.Usage = nil, steering.HealthTable{}, nil
	var all []piece
	var err error
	packs := newPacker()
	is := steering.GroupRecords.Is
	if made.services, err = fill(packs, b.services, b.state.Services, state.Services, is, &all); err != nil {
		return made, nil, err
	}
	_, before := b.state.Health.Parts()
	var rows map[steering.Subject][]*steering.Health
	root.Regions, rows = state.Health.Parts()
	if made.health, err = fill(packs, b.health, before, rows, sameRow, &all); err != nil {
		return made, nil, err
	}
	if state.Canary != nil {
		var before map[string]steering.GroupRecords
		if b.state.Canary != nil {
			before = b.state.Canary.Services
		}
		if made.canary, err = fill(packs, b.canary, before, state.Canary.Services, is, &all); err != nil {
			return made, nil, err
		}
		trial := *state.Canary
		trial.Services = nil
		root.State.Canary = &trial
	}
	root.Services, root.Canary, root.Health = made.services.names, made.canary.names, made.health.names
	data, err := json.Marshal(root)
	if err != nil {
		return made, nil, fmt.Errorf("pack state: %w", err)
	}
	names, pieces := packs.pack(data)
	made.root, made.size = names, made.services.size()+made.canary.size()+made.health.size()+sizeOf(pieces)
	return made, append(all, pieces...), nil
}

func sameRow(a, b []*steering.Health) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// pieces are the names of all pieces of the base.
func (b *base) pieces() pieceSet {
	set := make(pieceSet)
	set.add(b.root...)
	for _, in := range []buckets{b.services, b.canary, b.health} {
		for _, names := range in.names {
			set.add(names...)
		}
	}
	return set
}

// buckets is a map cut by the hash of its keys.
type buckets struct {
	names []blob
	sizes []int
}

func (b buckets) size() int {
	sum := 0
	for _, n := range b.sizes {
		sum += n
	}
	return sum
}

func sizeOf(pieces []piece) int {
	sum := 0
	for _, p := range pieces {
		sum += len(p.data)
	}
	return sum
}

// fill cuts a map into buckets and packs those that are not as they were.
func fill[K ~string, V any](packs packer, was buckets, before, now map[K]V, same func(a, b V) bool, all *[]piece) (buckets, error) {
	if len(now) == 0 {
		return buckets{}, nil
	}
	count := bucketsFor(len(now))
	made := buckets{names: make([]blob, count), sizes: make([]int, count)}
	stale := make([]bool, count)
	if len(was.names) == count {
		copy(made.names, was.names)
		copy(made.sizes, was.sizes)
	} else {
		for i := range stale {
			stale[i] = true
		}
	}
	of := func(key K) uint64 { return xxhash.Sum64String(string(key)) % uint64(count) }
	for key, value := range now {
		if old, known := before[key]; !known || !same(old, value) {
			stale[of(key)] = true
		}
	}
	for key := range before {
		if _, still := now[key]; !still {
			stale[of(key)] = true
		}
	}
	contents := make([]map[K]V, count)
	for key, value := range now {
		if i := of(key); stale[i] {
			if contents[i] == nil {
				contents[i] = make(map[K]V)
			}
			contents[i][key] = value
		}
	}
	for i := range stale {
		if !stale[i] {
			continue
		}
		data, err := json.Marshal(contents[i])
		if err != nil {
			return made, fmt.Errorf("pack state: %w", err)
		}
		names, pieces := packs.pack(data)
		made.names[i], made.sizes[i] = names, sizeOf(pieces)
		*all = append(*all, pieces...)
	}
	return made, nil
}

// bucketsFor keeps buckets small, of four entries on average, and the root, which
// names them all, small as well.
func bucketsFor(entries int) int {
	n := 1
	for n < 4096 && 4*n < entries {
		n *= 2
	}
	return n
}

// readBase reads a base as a whole; pieces that the one before it had are not
// fetched again. The caller holds caching.
func (s *Store) readBase(ctx context.Context, names blob) error {
	r := &s.reader
	had := r.pieces
	got, err := s.getPieces(ctx, stateFolder, names)
	if err != nil {
		return err
	}
	root, err := decode[stateRoot](names, got)
	if err != nil {
		return err
	}
	pieces := make(map[string][]byte)
	var missing []string
	for _, name := range root.names() {
		if data, ok := had[name]; ok {
			pieces[name] = data
		} else {
			missing = append(missing, name)
		}
	}
	if got, err = s.getPieces(ctx, stateFolder, missing); err != nil {
		return err
	}
	maps.Copy(pieces, got)
	state := root.State
	if state.Services, err = unfill[string, steering.GroupRecords](root.Services, pieces); err != nil {
		return err
	}
	rows, err := unfill[steering.Subject, []*steering.Health](root.Health, pieces)
	if err != nil {
		return err
	}
	if state.Health, err = steering.HealthOf(root.Regions, rows); err != nil {
		return damaged("health of the state: %v", err)
	}
	if state.Canary != nil {
		if state.Canary.Services, err = unfill[string, steering.GroupRecords](root.Canary, pieces); err != nil {
			return err
		}
	}
	r.state, r.pieces = state, pieces
	return nil
}

func unfill[K ~string, V any](blobs []blob, pieces map[string][]byte) (map[K]V, error) {
	if len(blobs) == 0 {
		return nil, nil
	}
	all := make(map[K]V)
	for _, names := range blobs {
		bucket, err := decode[map[K]V](names, pieces)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, bucket)
	}
	return all, nil
}

// garbage is pieces of states that no head names any more, with the time since
// when. Those that a writer before this one left are found once.
type garbage struct {
	since  map[string]time.Time
	looked bool
}

// discardAfter is how long a piece outlives its head: readers may be on their
// way to it.
const discardAfter = 2 * time.Minute

// discard removes what has long been garbage. Failures leave garbage and nothing
// worse; it is tried again with the next base. The caller holds writing.
func (s *Store) discard(ctx context.Context) {
	w := &s.author
	used := w.packed.pieces()
	for _, names := range w.ref.Deltas {
		used.add(names...)
	}
	used.add(w.ref.Books...)
	if s.garbage.since == nil {
		s.garbage.since = make(map[string]time.Time)
	}
	if !s.garbage.looked {
		if err := s.findGarbage(ctx); err != nil {
			s.warn(err)
		}
	}
	now := time.Now()
	for name := range w.stored {
		if _, known := s.garbage.since[name]; !known && !used.has(name) {
			s.garbage.since[name] = now
		}
	}
	var ops []*consul.KVTxnOp
	for name, since := range s.garbage.since {
		switch {
		case used.has(name):
			delete(s.garbage.since, name)
		case now.Sub(since) > discardAfter:
			ops = append(ops, &consul.KVTxnOp{Verb: consul.KVDelete, Key: stateFolder + name})
			delete(s.garbage.since, name)
			delete(w.stored, name)
		}
	}
	for batch := range slices.Chunk(ops, batchKeys) {
		if _, err := s.commit(ctx, batch...); err != nil {
			s.garbage.looked = false // what stayed is found again
			s.warn(fmt.Errorf("old pieces of states stay: %w", err))
			return
		}
	}
}

// findGarbage takes every stored piece for garbage; those in use are taken off
// the list by the caller.
func (s *Store) findGarbage(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var o consul.QueryOptions
	keys, _, err := s.kv.Keys(s.prefix+stateFolder, "", o.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("look for old pieces of states in consul: %w", err)
	}
	now := time.Now()
	for _, key := range keys {
		name := key[len(s.prefix+stateFolder):]
		if _, known := s.garbage.since[name]; !known {
			s.garbage.since[name] = now
		}
	}
	s.garbage.looked = true
	return nil
}
