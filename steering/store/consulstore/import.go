package consulstore

import (
	"context"
	"encoding/json"
	"fmt"

	"fairway/steering"
	"fairway/steering/store"

	consul "github.com/hashicorp/consul/api"
)

var _ store.Importer = (*Store)(nil)

// Import implements store.Importer. The heads come last: until then readers see
// what was there before.
func (s *Store) Import(ctx context.Context, c store.Contents) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := s.writable(ctx); err != nil {
		return err
	}
	newest := uint64(0)
	for _, r := range c.Revisions {
		kept, pieces := packRevision(r)
		if err := s.putPieces(ctx, filesFolder, pieces); err != nil {
			return err
		}
		data, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		if _, err := s.commit(ctx, &consul.KVTxnOp{Verb: consul.KVSet, Key: revisionKey(r.Number), Value: data}); err != nil {
			return err
		}
		newest = max(newest, r.Number)
	}
	for _, v := range c.Values {
		if err := setHead(ctx, s, valuesFolder+v.Folder+"/"+v.Name, v.Value); err != nil {
			return err
		}
	}
	if err := setHead(ctx, s, auditKey, c.Log); err != nil {
		return err
	}
	if err := s.importHeads(ctx, c, newest); err != nil {
		return err
	}
	if c.State == nil {
		return nil
	}
	return s.importState(ctx, *c.State)
}

// importHeads has readers see what was imported.
func (s *Store) importHeads(ctx context.Context, c store.Contents, newest uint64) error {
	if c.Overrides == nil {
		c.Overrides = []steering.Override{}
	}
	if err := setHead(ctx, s, "heads/"+overridesHead, c.Overrides); err != nil {
		return err
	}
	if len(c.Values) > 0 {
		count, err := readHeadNow[uint64](ctx, s, valuesHead)
		if err == nil {
			err = setHead(ctx, s, "heads/"+valuesHead, count.Value+1)
		}
		if err != nil {
			return err
		}
	}
	if newest > 0 {
		if err := setHead(ctx, s, "heads/"+revisionsHead, newest); err != nil {
			return err
		}
	}
	if c.InForce == nil {
		return nil
	}
	return setHead(ctx, s, "heads/"+inForceHead, *c.InForce)
}

// importState replaces the state, whatever its generation.
func (s *Store) importState(ctx context.Context, state steering.State) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for {
		h, err := readHeadNow[json.RawMessage](ctx, s, stateHead)
		if err != nil {
			return err
		}
		s.author = author{stored: make(pieceSet)} // what is there may be another's
		if done, err := s.putBase(ctx, state, stateRef{}, h.index); done || err != nil {
			return err
		}
	}
}

// setHead writes a value over whatever is there.
func setHead[T any](ctx context.Context, s *Store, key string, value T) error {
	op, err := head[T]{}.putAt(key, value)
	if err != nil {
		return err
	}
	op.Verb, op.Index = consul.KVSet, 0
	done, err := s.commit(ctx, op)
	if err == nil && !done {
		err = fmt.Errorf("write %s to consul: refused", key)
	}
	return err
}
