package mirror

import (
	"context"
	"reflect"
	"slices"

	"fairway/steering"
	"fairway/steering/store"
)

// read is all of a store but its decisions and the files of its revisions.
func read(ctx context.Context, s store.Store, folders []string) (store.Contents, error) {
	var c store.Contents
	var err error
	if c.Revisions, err = s.Revisions(ctx); err != nil {
		return c, err
	}
	err = c.ReadOrders(ctx, s, folders...)
	return c, err
}

// wanted is what one store is to hold so that it is as another: what is in force gets
// a version that those who follow there believe, and the log keeps what was done there.
func wanted(from, to store.Contents) store.Contents {
	f := *from.InForce
	if now := to.InForce; now != nil && now.Version >= f.Version {
		f.Version = now.Version
		if !reflect.DeepEqual(f, *now) {
			f.Version++
		}
	}
	from.InForce = &f
	from.Log = joined(from.Log, to.Log)
	return from
}

// joined are the newest entries of two logs, in their order, each once.
func joined(a, b []steering.OverrideEvent) []steering.OverrideEvent {
	all := slices.Clone(a)
	for _, e := range b {
		if !slices.ContainsFunc(a, func(o steering.OverrideEvent) bool { return reflect.DeepEqual(e, o) }) {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b steering.OverrideEvent) int { return a.At.Compare(b.At) })
	return all[max(0, len(all)-store.KeptLog):]
}

// has tells whether a store holds what is wanted of it.
func has(c, want store.Contents) bool {
	for _, r := range want.Revisions {
		if !lists(c, r) {
			return false
		}
	}
	return reflect.DeepEqual(c.InForce, want.InForce) && alike(c.Overrides, want.Overrides) && alike(c.Log, want.Log) && alike(c.Values, want.Values)
}

func lists(c store.Contents, r store.Revision) bool {
	return slices.ContainsFunc(c.Revisions, func(o store.Revision) bool { return o.Number == r.Number && o.Hash == r.Hash })
}

func alike[T any](a, b []T) bool { return len(a)+len(b) == 0 || reflect.DeepEqual(a, b) }
