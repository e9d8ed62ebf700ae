package consulstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"fairway/steering/store"

	consul "github.com/hashicorp/consul/api"
)

const (
	valuesHead   = "values" // counts the changes, for those who watch the heads
	valuesFolder = "values/"
)

// Values implements store.Store.
func (s *Store) Values(ctx context.Context, folder string) (map[string]store.Value, error) {
	if err := s.readable(ctx); err != nil {
		return nil, err
	}
	if err := store.CheckValue(folder, "name", store.Value{}); err != nil {
		return nil, err
	}
	at := s.prefix + valuesFolder + folder + "/"
	pairs, err := s.list(ctx, at)
	if err != nil {
		return nil, err
	}
	values := make(map[string]store.Value)
	for _, pair := range sound(pairs, at) {
		var h head[store.Value]
		if err := json.Unmarshal(pair.Value, &h); err != nil || h.Form != form {
			s.warn(damaged("%s is not a value as this release writes them (%v)", pair.Key, err))
			continue
		}
		if len(h.Value.Data) > 0 {
			values[strings.TrimPrefix(pair.Key, at)] = h.Value
		}
	}
	return values, nil
}

// PutValue implements store.Store. A removed value leaves its version behind, so
// that no number is given twice.
func (s *Store) PutValue(ctx context.Context, folder, name string, v store.Value) (uint64, error) {
	if err := store.CheckValue(folder, name, v); err != nil {
		return 0, err
	}
	if err := s.writable(ctx); err != nil {
		return 0, err
	}
	key := valuesFolder + folder + "/" + name
	for {
		h, err := readHeadAt[store.Value](ctx, s, key)
		if err != nil {
			return 0, err
		}
		count, err := readHeadNow[uint64](ctx, s, valuesHead)
		if err != nil {
			return 0, err
		}
		seen := h.Value.Version
		if len(h.Value.Data) == 0 {
			seen = 0
		}
		if v.Version != seen {
			return 0, fmt.Errorf("put value %s/%s over version %d, version %d is stored: %w", folder, name, v.Version, seen, store.ErrConflict)
		}
		next := store.Value{Version: h.Value.Version + 1, Data: v.Data}
		op, err := h.putAt(key, next)
		if err != nil {
			return 0, err
		}
		counted, err := count.put(valuesHead, count.Value+1)
		if err != nil {
			return 0, err
		}
		if done, err := s.commit(ctx, op, counted); err != nil || done {
			return next.Version, err
		}
	}
}

// list reads all keys below a prefix.
func (s *Store) list(ctx context.Context, at string) (consul.KVPairs, error) {
	read := func(o consul.QueryOptions) (consul.KVPairs, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		pairs, _, err := s.kv.List(at, o.WithContext(ctx))
		return pairs, err
	}
	pairs, err := read(consul.QueryOptions{})
	if err != nil && ctx.Err() == nil {
		pairs, err = read(consul.QueryOptions{AllowStale: true})
	}
	if err != nil {
		return nil, fmt.Errorf("read %s from consul: %w", at, err)
	}
	return pairs, nil
}
