package consulstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"fairway/steering/store"

	consul "github.com/hashicorp/consul/api"
)

const (
	revisionsHead   = "revisions"
	revisionsFolder = "revisions/"
	filesFolder     = "files/"
)

// storedRevision is a revision with the places of its files in their stead.
type storedRevision struct {
	Form     int            `json:"form"`
	Revision store.Revision `json:"revision"` // without files
	Files    []storedFile   `json:"files"`
}

type storedFile struct {
	Name string `json:"name"`
	Data blob   `json:"data"`
}

func revisionKey(n uint64) string { return fmt.Sprintf("%s%010d", revisionsFolder, n) }

// PutRevision implements store.Store.
func (s *Store) PutRevision(ctx context.Context, r store.Revision) (uint64, error) {
	if r.Hash == "" || len(r.Files) == 0 {
		return 0, errors.New("revision: a hash and at least one file are required")
	}
	if err := s.writable(ctx); err != nil {
		return 0, err
	}
	kept, pieces := packRevision(r)
	if err := s.putPieces(ctx, filesFolder, pieces); err != nil {
		return 0, err
	}
	for {
		number, done, err := s.tryRevision(ctx, kept)
		if err == nil && done {
			err = s.mendPieces(ctx, pieces)
		}
		if err != nil || done {
			return number, err
		}
	}
}

func packRevision(r store.Revision) (storedRevision, []piece) {
	kept := storedRevision{Form: form, Revision: r}
	kept.Revision.Files = nil
	var all []piece
	for _, f := range r.Files {
		names, pieces := pack(f.Data)
		kept.Files, all = append(kept.Files, storedFile{f.Name, names}), append(all, pieces...)
	}
	return kept, all
}

// mendPieces stores those pieces again that another writer has pruned with an old
// revision, before this one's record was there. From then on none is: see prune.
func (s *Store) mendPieces(ctx context.Context, pieces []piece) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var o consul.QueryOptions
	keys, _, err := s.kv.Keys(s.prefix+filesFolder, "", o.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("look for the files of a revision in consul: %w", err)
	}
	var missing []piece
	for _, p := range pieces {
		if !slices.Contains(keys, s.prefix+filesFolder+p.name) {
			missing = append(missing, p)
		}
	}
	return s.putPieces(ctx, filesFolder, missing)
}

// tryRevision gives a revision the next number, if nobody else takes it first.
func (s *Store) tryRevision(ctx context.Context, kept storedRevision) (number uint64, done bool, err error) {
	h, err := readHeadNow[uint64](ctx, s, revisionsHead)
	if err != nil {
		return 0, false, err
	}
	if newest, known, err := s.newestUpTo(ctx, h.Value); err == nil && known {
		a, b := newest.Revision, kept.Revision
		if a.Hash == b.Hash && a.Author == b.Author && a.Reason == b.Reason && a.Parent == b.Parent {
			return a.Number, true, nil
		}
	}
	number = h.Value + 1
	kept.Revision.Number = number
	data, err := json.Marshal(kept)
	if err != nil {
		return 0, false, err
	}
	op, err := h.put(revisionsHead, number)
	if err != nil {
		return 0, false, err
	}
	done, err = s.commit(ctx, op, &consul.KVTxnOp{Verb: consul.KVSet, Key: revisionKey(number), Value: data})
	if done {
		s.prune(ctx, number)
	}
	return number, done, err
}

// LatestRevision implements store.Store.
func (s *Store) LatestRevision(ctx context.Context) (store.Revision, bool, error) {
	if err := s.readable(ctx); err != nil {
		return store.Revision{}, false, err
	}
	h, err := readHead[uint64](ctx, s, revisionsHead)
	if err != nil {
		return store.Revision{}, false, err
	}
	kept, known, err := s.newestUpTo(ctx, h.Value)
	if err != nil || !known {
		return store.Revision{}, false, err
	}
	r, err := s.whole(ctx, kept)
	return r, err == nil, err
}

// newestUpTo is the newest revision that can be read, looking back as far as
// revisions are kept.
func (s *Store) newestUpTo(ctx context.Context, number uint64) (storedRevision, bool, error) {
	var damage error
	for n := number; n > 0 && n+uint64(s.keep) > number; n-- {
		kept, known, err := s.readRevision(ctx, n)
		if known {
			return kept, true, nil
		}
		if ctx.Err() != nil {
			return kept, false, err
		}
		damage = errors.Join(damage, err)
	}
	return storedRevision{}, false, damage
}

// Revisions implements store.Store.
func (s *Store) Revisions(ctx context.Context) ([]store.Revision, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	all, err := s.allRevisions(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]store.Revision, 0, len(all))
	for _, kept := range all {
		list = append(list, kept.Revision)
	}
	return list, nil
}

// allRevisions is what is stored of every revision, newest first.
func (s *Store) allRevisions(ctx context.Context) ([]storedRevision, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var o consul.QueryOptions
	pairs, _, err := s.kv.List(s.prefix+revisionsFolder, o.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("list revisions in consul: %w", err)
	}
	var list []storedRevision
	for _, pair := range slices.Backward(sound(pairs, s.prefix+revisionsFolder)) {
		var kept storedRevision
		if err := json.Unmarshal(pair.Value, &kept); err != nil || kept.Form != form {
			s.warn(damaged("%s is not a revision as this release writes them (%v)", pair.Key, err))
			continue
		}
		list = append(list, kept)
	}
	return list, nil
}

// Revision implements store.Store.
func (s *Store) Revision(ctx context.Context, number uint64) (store.Revision, error) {
	if err := s.readable(ctx); err != nil {
		return store.Revision{}, err
	}
	kept, known, err := s.readRevision(ctx, number)
	if err == nil && !known {
		err = fmt.Errorf("revision %d: %w", number, store.ErrNotFound)
	}
	if err != nil {
		return store.Revision{}, err
	}
	return s.whole(ctx, kept)
}

func (s *Store) readRevision(ctx context.Context, number uint64) (storedRevision, bool, error) {
	var kept storedRevision
	pair, err := s.get(ctx, revisionKey(number))
	if err != nil || pair == nil {
		return kept, false, err
	}
	if err := json.Unmarshal(pair.Value, &kept); err != nil || kept.Form != form {
		return kept, false, damaged("%s is not a revision as this release writes them (%v)", pair.Key, err)
	}
	return kept, true, nil
}

// whole is the revision with its files.
func (s *Store) whole(ctx context.Context, kept storedRevision) (store.Revision, error) {
	r := kept.Revision
	for _, f := range kept.Files {
		pieces, err := s.getPieces(ctx, filesFolder, f.Data)
		if err != nil {
			return r, err
		}
		data, err := unpack(inOrder(f.Data, pieces))
		if err != nil {
			return r, damaged("file %s of revision %d: %v", f.Name, r.Number, err)
		}
		r.Files = append(r.Files, store.File{Name: f.Name, Data: data})
	}
	return r, nil
}

func inOrder(names blob, pieces map[string][]byte) [][]byte {
	var list [][]byte
	for _, name := range names {
		list = append(list, pieces[name])
	}
	return list
}

// prune removes the oldest revisions, but none that is needed, and the pieces of
// files that only they had. What fails, or comes between, is tried again after the
// next revision.
func (s *Store) prune(ctx context.Context, newest uint64) {
	if newest <= uint64(s.keep) {
		return
	}
	h, err := readHeadNow[uint64](ctx, s, revisionsHead)
	if err != nil {
		return
	}
	all, err := s.allRevisions(ctx)
	if err != nil || len(all) <= s.keep {
		return
	}
	f, err := readHeadNow[store.InForce](ctx, s, inForceHead)
	if err != nil {
		return // rather too many than one too few
	}
	needed := map[uint64]bool{f.Value.Revision: true}
	if f.Value.Canary != nil {
		needed[f.Value.Canary.Revision] = true
	}
	for _, kept := range all {
		if kept.Revision.Number == f.Value.Revision {
			needed[kept.Revision.Parent] = true
		}
	}
	used, unused := make(pieceSet), make(pieceSet)
	var ops []*consul.KVTxnOp
	for i, kept := range all {
		gone := i >= s.keep && !needed[kept.Revision.Number]
		if gone {
			ops = append(ops, &consul.KVTxnOp{Verb: consul.KVDelete, Key: revisionKey(kept.Revision.Number)})
		}
		for _, file := range kept.Files {
			if gone {
				unused.add(file.Data...)
			} else {
				used.add(file.Data...)
			}
		}
	}
	for name := range unused {
		if !used.has(name) {
			ops = append(ops, &consul.KVTxnOp{Verb: consul.KVDelete, Key: filesFolder + name})
		}
	}
	// Only while no revision has come that these lists do not know: it may have
	// pieces that look unused.
	unchanged := func() *consul.KVTxnOp {
		return &consul.KVTxnOp{Verb: consul.KVCheckIndex, Key: "heads/" + revisionsHead, Index: h.index}
	}
	for batch := range slices.Chunk(ops, batchKeys-1) {
		done, err := s.commit(ctx, append([]*consul.KVTxnOp{unchanged()}, batch...)...)
		if err != nil {
			s.warn(fmt.Errorf("old revisions stay: %w", err))
		}
		if err != nil || !done {
			return
		}
	}
}
