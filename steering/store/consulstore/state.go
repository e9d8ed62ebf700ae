package consulstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/store"

	"github.com/cespare/xxhash/v2"
	consul "github.com/hashicorp/consul/api"
)

const (
	stateHead   = "state"
	stateFolder = "state/"
)

// stateRef is the head of the state: enough to know whether it is news, and
// where the rest is.
type stateRef struct {
	Generation uint64 `json:"generation"`
	Root       blob   `json:"root"`
}

// stateRoot is a state with the places of its buckets in their stead. Bucket i
// holds the services, or the subjects of health, whose names hash to i.
type stateRoot struct {
	State    steering.State `json:"state"` // without services and health
	Services []blob         `json:"services"`
	Canary   []blob         `json:"canary,omitempty"` // services of the revision on trial
	Health   []blob         `json:"health,omitempty"`
	Regions  map[string]int `json:"regions,omitempty"` // the columns of health
}

// names are all pieces that the root refers to.
func (r *stateRoot) names() []string {
	return slices.Concat(slices.Concat(r.Services...), slices.Concat(r.Canary...), slices.Concat(r.Health...))
}

// PutState implements store.Store.
func (s *Store) PutState(ctx context.Context, state steering.State) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.writable(ctx); err != nil {
		return err
	}
	ref, pieces, err := packState(state)
	if err != nil {
		return err
	}
	for {
		h, err := readHead[stateRef](ctx, s, stateHead)
		if err != nil {
			return err
		}
		if state.Generation < h.Value.Generation {
			return fmt.Errorf("put state of generation %d over %d: %w", state.Generation, h.Value.Generation, store.ErrStale)
		}
		if !slices.Equal(h.Value.Root, s.wrote) {
			clear(s.stored) // somebody else wrote, or Consul was emptied: nothing is sure
		}
		if err := s.putNew(ctx, pieces); err != nil {
			return err
		}
		op, err := h.put(stateHead, ref)
		if err != nil {
			return err
		}
		done, err := s.commit(ctx, op)
		if err != nil {
			return err
		}
		if done {
			s.wrote = ref.Root
			s.discard(ctx, pieces)
			return nil
		}
	}
}

// packState cuts a state into pieces; the last of them are its root.
func packState(state steering.State) (stateRef, []piece, error) {
	root := stateRoot{State: state}
	root.State.Services, root.State.Health = nil, steering.HealthTable{}
	var all []piece
	var err error
	if root.Services, all, err = packBuckets(all, state.Services); err != nil {
		return stateRef{}, nil, err
	}
	var rows map[steering.Subject][]steering.Health
	root.Regions, rows = state.Health.Parts()
	if root.Health, all, err = packBuckets(all, rows); err != nil {
		return stateRef{}, nil, err
	}
	if state.Canary != nil {
		trial := *state.Canary
		if root.Canary, all, err = packBuckets(all, trial.Services); err != nil {
			return stateRef{}, nil, err
		}
		trial.Services = nil
		root.State.Canary = &trial
	}
	data, err := json.Marshal(root)
	if err != nil {
		return stateRef{}, nil, fmt.Errorf("pack state: %w", err)
	}
	names, pieces := pack(data)
	return stateRef{state.Generation, names}, append(all, pieces...), nil
}

// packBuckets cuts a map into buckets by key.
func packBuckets[K ~string, V any](all []piece, m map[K]V) ([]blob, []piece, error) {
	if len(m) == 0 {
		return nil, all, nil
	}
	buckets := make([]map[K]V, bucketsFor(len(m)))
	for k, v := range m {
		i := xxhash.Sum64String(string(k)) % uint64(len(buckets))
		if buckets[i] == nil {
			buckets[i] = make(map[K]V)
		}
		buckets[i][k] = v
	}
	blobs := make([]blob, len(buckets))
	for i, bucket := range buckets {
		data, err := json.Marshal(bucket)
		if err != nil {
			return nil, nil, fmt.Errorf("pack state: %w", err)
		}
		names, pieces := pack(data)
		blobs[i], all = names, append(all, pieces...)
	}
	return blobs, all, nil
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

// putNew stores the pieces that are not surely there.
func (s *Store) putNew(ctx context.Context, pieces []piece) error {
	var missing []piece
	for _, p := range pieces {
		if !s.stored.has(p.name) {
			missing = append(missing, p)
		}
	}
	if err := s.putPieces(ctx, stateFolder, missing); err != nil {
		return err
	}
	for _, p := range missing {
		s.stored.add(p.name)
	}
	return nil
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

// discard removes what has long been garbage; pieces are those in use. Failures
// leave garbage and nothing worse; it is tried again with the next state.
func (s *Store) discard(ctx context.Context, pieces []piece) {
	used := make(pieceSet, len(pieces))
	for _, p := range pieces {
		used.add(p.name)
	}
	if s.garbage.since == nil {
		s.garbage.since = make(map[string]time.Time)
	}
	if !s.garbage.looked {
		if err := s.findGarbage(ctx); err != nil {
			s.warn(err)
		}
	}
	now := time.Now()
	for name := range s.stored {
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
			delete(s.stored, name)
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

// State implements store.Store.
func (s *Store) State(ctx context.Context) (steering.State, bool, error) {
	for {
		if err := s.readable(ctx); err != nil {
			return steering.State{}, false, err
		}
		h, err := readHead[stateRef](ctx, s, stateHead)
		if err != nil || h.index == 0 {
			return steering.State{}, false, err
		}
		state, err := s.stateOf(ctx, h.Value)
		if gone := (errGone{}); errors.As(err, &gone) {
			// A reader that was away for minutes comes too late for a head; one
			// whose head still stands will never find the piece.
			if again, err := readHead[stateRef](ctx, s, stateHead); err == nil && again.index != h.index {
				continue
			}
		}
		return state, err == nil, err
	}
}

func (s *Store) stateOf(ctx context.Context, ref stateRef) (steering.State, error) {
	s.caching.Lock()
	defer s.caching.Unlock()
	had := s.cache
	s.cache = make(map[string][]byte)
	for _, name := range ref.Root {
		if data, ok := had[name]; ok {
			s.cache[name] = data
		}
	}
	root, err := read[stateRoot](ctx, s, ref.Root)
	if err != nil {
		s.cache = had
		return steering.State{}, err
	}
	// Everything else that is needed, in one go.
	var missing []string
	for _, name := range root.names() {
		if data, ok := had[name]; ok {
			s.cache[name] = data
		} else {
			missing = append(missing, name)
		}
	}
	got, err := s.getPieces(ctx, stateFolder, missing)
	if err != nil {
		s.cache = had
		return steering.State{}, err
	}
	maps.Copy(s.cache, got)
	state := root.State
	if state.Services, err = unpackBuckets[string, steering.GroupRecords](ctx, s, root.Services); err != nil {
		return state, err
	}
	rows, err := unpackBuckets[steering.Subject, []steering.Health](ctx, s, root.Health)
	if err != nil {
		return state, err
	}
	if state.Health, err = steering.HealthOf(root.Regions, rows); err != nil {
		return state, damaged("health of the state: %v", err)
	}
	if state.Canary != nil {
		state.Canary.Services, err = unpackBuckets[string, steering.GroupRecords](ctx, s, root.Canary)
	}
	return state, err
}

func unpackBuckets[K ~string, V any](ctx context.Context, s *Store, blobs []blob) (map[K]V, error) {
	if len(blobs) == 0 {
		return nil, nil
	}
	all := make(map[K]V)
	for _, b := range blobs {
		bucket, err := read[map[K]V](ctx, s, b)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, bucket)
	}
	return all, nil
}

// read unpacks a value from pieces; those that are not in the cache are fetched
// into it. The caller holds caching.
func read[T any](ctx context.Context, s *Store, names blob) (T, error) {
	var value T
	var missing []string
	for _, name := range names {
		if _, ok := s.cache[name]; !ok {
			missing = append(missing, name)
		}
	}
	got, err := s.getPieces(ctx, stateFolder, missing)
	if err != nil {
		return value, err
	}
	maps.Copy(s.cache, got)
	data, err := unpack(inOrder(names, s.cache))
	if err == nil {
		err = json.Unmarshal(data, &value)
	}
	if err != nil {
		return value, damaged("pieces %v of the state: %v", names, err)
	}
	return value, nil
}
