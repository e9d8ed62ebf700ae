package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"fairway/dnsserver/dnssec"
	"fairway/policies"
	"fairway/steering/store"
)

// newVault makes what keeps the keys of signed zones: a folder, or the store, where
// the keys of a folder are taken over once.
func (n *node) newVault(c policies.Node) (dnssec.Vault, error) {
	folder := dnssec.Folder(cmp.Or(c.KeyFolder, filepath.Join(n.data, "dnssec")))
	if c.KeySecret == "" {
		return folder, nil
	}
	secret, err := os.ReadFile(c.KeySecret)
	if err != nil {
		return nil, fmt.Errorf("dnssec.secret_file: %w", err)
	}
	seal := func(v dnssec.Vault) dnssec.Vault {
		sealed, failed := dnssec.Seal(v, secret)
		if failed != nil {
			err = fmt.Errorf("dnssec.secret_file %s: %w", c.KeySecret, failed)
		}
		return sealed
	}
	if !c.KeysInStore {
		return seal(folder), err
	}
	shared := seal(&storeVault{store: n.store, folder: keysFolder, versions: make(map[string]uint64)})
	if !n.roles.control {
		return shared, err
	}
	return &movedVault{Vault: shared, from: []dnssec.Vault{seal(folder), folder}}, err
}

// storeVault keeps keys among the store's small values. Whoever saves replaces what it
// loaded last and nothing else, so of several nodes that take the same step one
// succeeds, and the others load what it saved.
type storeVault struct {
	store  store.Store
	folder string

	mu       sync.Mutex
	versions map[string]uint64 // of what was loaded last, by zone
}

// keysFolder is where the store has the keys of zones.
const keysFolder = "dnssec"

// keysTimeout bounds one look into the store.
const keysTimeout = 5 * time.Second

// Load implements dnssec.Vault.
func (v *storeVault) Load(zone string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), keysTimeout)
	defer cancel()
	all, err := v.store.Values(ctx, v.folder)
	if err != nil {
		return nil, fmt.Errorf("read the keys of %s from the store: %w", zone, err)
	}
	value := all[dnssec.FileName(zone)]
	v.mu.Lock()
	defer v.mu.Unlock()
	v.versions[zone] = value.Version
	if len(value.Data) == 0 {
		return nil, fmt.Errorf("read the keys of %s from the store: %w", zone, fs.ErrNotExist)
	}
	return value.Data, nil
}

// Save implements dnssec.Vault.
func (v *storeVault) Save(zone string, data []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), keysTimeout)
	defer cancel()
	version, err := v.store.PutValue(ctx, v.folder, dnssec.FileName(zone), store.Value{Version: v.versions[zone], Data: data})
	switch {
	case errors.Is(err, store.ErrConflict):
		return dnssec.ErrConflict
	case err != nil:
		return fmt.Errorf("save the keys of %s in the store: %w", zone, err)
	}
	v.versions[zone] = version
	return nil
}

// movedVault fills a vault with the keys of the ones before it: a zone whose DS is at
// the parent must not get new ones.
type movedVault struct {
	dnssec.Vault
	from []dnssec.Vault
}

// Load implements dnssec.Vault.
func (v *movedVault) Load(zone string) ([]byte, error) {
	data, err := v.Vault.Load(zone)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	var unread error
	for _, from := range v.from {
		old, failed := from.Load(zone)
		if failed == nil {
			return old, v.Save(zone, old)
		}
		if unread == nil && !errors.Is(failed, fs.ErrNotExist) {
			unread = failed
		}
	}
	if unread != nil {
		return nil, unread // there are keys, and making others would break the zone
	}
	return nil, err
}
