package consulstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fairway/steering"
	"fairway/steering/store"

	consul "github.com/hashicorp/consul/api"
)

const (
	stateHead   = "state"
	stateFolder = "state/"
)

const (
	// keepDeltas is how many of the newest deltas stay in the head when a base is
	// written: a reader who is not further behind never reads a base again.
	keepDeltas = 32
	// mostDeltas is after how many of them another base is written.
	mostDeltas = 64
	// inHead is how large a delta may be that travels in the head, so that those who
	// watch the heads need not ask for it.
	inHead = 32 << 10
	// leastBase is up to which size deltas are no reason for a base, however small
	// that is.
	leastBase = 256 << 10
)

// stateRef is the head of the state: a base, which is a state as of then, and the
// deltas that lead from there to now. Contents have names: that of a base at which a
// chain begins, and from there on each is named by the one before and the delta.
type stateRef struct {
	Generation uint64 `json:"generation"`
	Root       blob   `json:"root"`             // of the base
	Base       string `json:"base,omitempty"`   // name of what the base holds
	From       string `json:"from,omitempty"`   // name of what the first delta changes; it may come before the base
	Deltas     []blob `json:"deltas,omitempty"` // the newest last
	Last       []byte `json:"last,omitempty"`   // the newest delta itself, where it is small
	Books      blob   `json:"books,omitempty"`  // of what providers carried: only control nodes read them
}

// after names what a delta makes of what has a name.
func after(name string, delta blob) string {
	return nameOf([]byte(name + " " + strings.Join(delta, " ")))[:16]
}

// names are those of what the deltas lead through, from the first to now.
func (r *stateRef) names() []string {
	names := []string{r.From}
	for _, d := range r.Deltas {
		names = append(names, after(names[len(names)-1], d))
	}
	return names
}

// since gives the deltas that lead from what has a name to now; false when there is
// no such way.
func (r *stateRef) since(name string) ([]blob, bool) {
	at := slices.Index(r.names(), name)
	if at < 0 {
		return nil, false
	}
	return r.Deltas[at:], true
}

// upright fills in what heads of before there were deltas do not say.
func (r stateRef) upright() stateRef {
	if r.Base == "" {
		r.Base = baseName(r.Root)
		r.From = r.Base
	}
	return r
}

func baseName(root blob) string { return nameOf([]byte(strings.Join(root, " ")))[:16] }

// author is what this store, as the one that writes states, knows of the stored
// one; guarded by Store.writing.
type author struct {
	index  uint64 // of the head as this store wrote it; 0 = what is stored is another's, or not known
	ref    stateRef
	state  steering.State       // as stored
	packed base                 // of ref.Root
	grown  int                  // octets of the deltas since
	stored pieceSet             // pieces that are surely there
	books  *steering.UsageState // of ref.Books
}

// PutState implements store.Store.
func (s *Store) PutState(ctx context.Context, state steering.State) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.writable(ctx); err != nil {
		return err
	}
	state.Services = maps.Clone(state.Services) // the caller may change its own
	for {
		w := &s.author
		if w.index == 0 {
			h, err := readHeadNow[stateRef](ctx, s, stateHead)
			if err != nil {
				return err
			}
			*w = author{ref: h.Value.upright(), stored: make(pieceSet)}
			if h.index > 0 && state.Generation < h.Value.Generation {
				return staleState(state, h.Value)
			}
			done, err := s.putBase(ctx, state, stateRef{}, h.index)
			if done || err != nil {
				return err
			}
			continue
		}
		if state.Generation < w.ref.Generation {
			return staleState(state, w.ref)
		}
		done, err := s.putNext(ctx, state)
		if err != nil {
			w.index = 0 // what became of it is not known
			return err
		}
		if done {
			return nil
		}
		w.index = 0 // somebody else wrote, or Consul was emptied
	}
}

func staleState(state steering.State, stored stateRef) error {
	return fmt.Errorf("put state of generation %d over %d: %w", state.Generation, stored.Generation, store.ErrStale)
}

// putNext stores a state after the one that this store wrote last: as a delta where
// it can, and as a base where that is better. False when the head has changed since.
func (s *Store) putNext(ctx context.Context, state steering.State) (bool, error) {
	w := &s.author
	delta, ok := steering.Difference(&w.state, &state)
	if !ok {
		return s.putBase(ctx, state, stateRef{}, w.index)
	}
	ref := w.ref
	ref.Generation, ref.Last = state.Generation, nil
	ops, err := s.putBooks(ctx, &ref, state.Usage)
	if err != nil {
		return false, err
	}
	delta.State.Usage = nil
	data, err := json.Marshal(delta)
	if err != nil {
		return false, fmt.Errorf("pack what changed: %w", err)
	}
	names, pieces := pack(data)
	size := sizeOf(pieces)
	if 2*size > max(w.packed.size, leastBase) {
		return s.putBase(ctx, state, stateRef{}, w.index)
	}
	ref.Deltas = append(slices.Clone(ref.Deltas), names)
	if size <= inHead {
		ref.Last = pieces[0].data
		ops = append(ops, &consul.KVTxnOp{Verb: consul.KVSet, Key: stateFolder + names[0], Value: pieces[0].data})
	} else if err := s.putPieces(ctx, stateFolder, pieces); err != nil {
		return false, err
	}
	done, err := s.putRef(ctx, ref, w.index, ops...)
	if !done || err != nil {
		return false, err
	}
	w.state, w.books, w.grown = state, state.Usage, w.grown+size
	w.stored.add(names...)
	if len(ref.Deltas) >= mostDeltas || w.grown > max(w.packed.size, leastBase) {
		if done, err := s.putBase(ctx, state, ref, w.index); err != nil {
			s.warn(fmt.Errorf("no new base of the state: who begins reads a long chain of changes: %w", err))
		} else if !done {
			w.index = 0
		}
	}
	return true, nil
}

// putRef replaces the head, if it is still the one with this index, together with
// what else is to be written.
func (s *Store) putRef(ctx context.Context, ref stateRef, index uint64, more ...*consul.KVTxnOp) (bool, error) {
	op, err := head[stateRef]{index: index}.put(stateHead, ref)
	if err != nil {
		return false, err
	}
	written, err := s.commitAt(ctx, append([]*consul.KVTxnOp{op}, more...)...)
	if written == 0 || err != nil {
		return false, err
	}
	s.author.index, s.author.ref = written, ref
	return true, nil
}

// putBase writes a base. It ends the chain and begins another, or, where chain is
// what leads to the state, puts the base in place of that one's older half.
func (s *Store) putBase(ctx context.Context, state steering.State, chain stateRef, index uint64) (bool, error) {
	w := &s.author
	packed, pieces, err := w.packed.next(state)
	if err != nil {
		return false, err
	}
	if err := s.putNew(ctx, pieces); err != nil {
		return false, err
	}
	ref := stateRef{Generation: state.Generation, Root: packed.root, Base: baseName(packed.root), Books: w.ref.Books}
	ref.From = ref.Base
	if chain.Deltas != nil {
		names := chain.names()
		at := max(0, len(chain.Deltas)-keepDeltas)
		ref.Base, ref.From, ref.Deltas, ref.Last = names[len(names)-1], names[at], chain.Deltas[at:], chain.Last
	}
	ops, err := s.putBooks(ctx, &ref, state.Usage)
	if err != nil {
		return false, err
	}
	done, err := s.putRef(ctx, ref, index, ops...)
	if !done || err != nil {
		return false, err
	}
	w.state, w.books, w.packed, w.grown = state, state.Usage, packed, 0
	s.discard(ctx)
	return true, nil
}

// putBooks stores what providers carried, where that is another than before. What
// is small goes with the head.
func (s *Store) putBooks(ctx context.Context, ref *stateRef, books *steering.UsageState) ([]*consul.KVTxnOp, error) {
	w := &s.author
	if books == nil {
		ref.Books = nil
		return nil, nil
	}
	if w.index > 0 && w.books == books {
		return nil, nil
	}
	data, err := json.Marshal(books)
	if err != nil {
		return nil, fmt.Errorf("pack the books: %w", err)
	}
	names, pieces := pack(data)
	ref.Books = names
	if w.stored.has(names[0]) {
		return nil, nil
	}
	if len(pieces) == 1 && len(pieces[0].data) <= inHead {
		return []*consul.KVTxnOp{{Verb: consul.KVSet, Key: stateFolder + names[0], Value: pieces[0].data}}, nil
	}
	return nil, s.putNew(ctx, pieces)
}

// putNew stores the pieces that are not surely there.
func (s *Store) putNew(ctx context.Context, pieces []piece) error {
	var missing []piece
	for _, p := range pieces {
		if !s.author.stored.has(p.name) {
			missing = append(missing, p)
		}
	}
	if err := s.putPieces(ctx, stateFolder, missing); err != nil {
		return err
	}
	for _, p := range missing {
		s.author.stored.add(p.name)
	}
	return nil
}

// reader is what was read last; guarded by Store.caching.
type reader struct {
	name   string // of what state holds; empty = nothing was read
	state  steering.State
	pieces map[string][]byte // of the base that was read last
	books  blob
}

// State implements store.Store.
func (s *Store) State(ctx context.Context) (steering.State, bool, error) {
	h, err := readHead[stateRef](ctx, s, stateHead)
	for {
		if err := s.readable(ctx); err != nil {
			return steering.State{}, false, err
		}
		if err != nil || h.index == 0 {
			return steering.State{}, false, err
		}
		state, err := s.stateOf(ctx, h.Value.upright())
		if gone := (errGone{}); errors.As(err, &gone) {
			// A reader that was away for minutes comes too late for a head; one
			// whose head still stands will never find the piece.
			if again, err := readHeadNow[stateRef](ctx, s, stateHead); err == nil && again.index != h.index {
				h = again
				continue
			}
		}
		state.Services = maps.Clone(state.Services)
		return state, err == nil, err
	}
}

// stateOf reads what a head refers to: the deltas since what was read last, or a
// base and the deltas since that.
func (s *Store) stateOf(ctx context.Context, ref stateRef) (steering.State, error) {
	s.caching.Lock()
	defer s.caching.Unlock()
	r := &s.reader
	deltas, near := ref.since(r.name)
	if near && r.name != "" {
		err := s.goOn(ctx, &ref, deltas)
		if err == nil {
			return r.state, s.readBooks(ctx, ref.Books)
		}
		if ctx.Err() != nil {
			return steering.State{}, err
		}
	}
	r.name = ""
	if err := s.readBase(ctx, ref.Root); err != nil {
		return steering.State{}, err
	}
	r.name, r.books = ref.Base, nil
	deltas, near = ref.since(ref.Base)
	if !near {
		r.name = ""
		return steering.State{}, damaged("%sheads/%s has no way from its base to now", s.prefix, stateHead)
	}
	if err := s.goOn(ctx, &ref, deltas); err != nil {
		r.name = ""
		return steering.State{}, err
	}
	return r.state, s.readBooks(ctx, ref.Books)
}

// goOn applies deltas to what was read last. The caller holds caching.
func (s *Store) goOn(ctx context.Context, ref *stateRef, deltas []blob) error {
	var missing []string
	for i, names := range deltas {
		if i < len(deltas)-1 || !ref.holds(names) {
			missing = append(missing, names...)
		}
	}
	got, err := s.getPieces(ctx, stateFolder, missing)
	if err != nil {
		return err
	}
	for i, names := range deltas {
		if i == len(deltas)-1 && ref.holds(names) {
			got[names[0]] = ref.Last
		}
		delta, err := decode[steering.Delta](names, got)
		if err != nil {
			return err
		}
		next, err := delta.Apply(s.reader.state)
		if err != nil {
			return damaged("pieces %v of the state: %v", names, err)
		}
		s.reader.name, s.reader.state = after(s.reader.name, names), next
	}
	return nil
}

// holds tells whether the head has a delta in itself.
func (r *stateRef) holds(names blob) bool {
	return len(names) == 1 && len(r.Last) > 0 && nameOf(r.Last) == names[0]
}

// readBooks reads what providers carried, unless this store is for doors alone. The
// caller holds caching.
func (s *Store) readBooks(ctx context.Context, names blob) error {
	r := &s.reader
	if s.doors || slices.Equal(names, r.books) {
		return nil
	}
	if names == nil {
		r.state.Usage, r.books = nil, nil
		return nil
	}
	got, err := s.getPieces(ctx, stateFolder, names)
	if err != nil {
		return err
	}
	books, err := decode[*steering.UsageState](names, got)
	if err != nil {
		return err
	}
	r.state.Usage, r.books = books, names
	return nil
}

// decode unpacks a value from pieces.
func decode[T any](names blob, pieces map[string][]byte) (T, error) {
	var value T
	data, err := unpack(inOrder(names, pieces))
	if err == nil {
		err = json.Unmarshal(data, &value)
	}
	if err != nil {
		return value, damaged("pieces %v of the state: %v", names, err)
	}
	return value, nil
}
