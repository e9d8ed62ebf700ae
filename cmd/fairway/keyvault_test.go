package main

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver/dnssec"
	"fairway/policies"
	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/filestore"
	"fairway/steering/store/replica"
)

// keeping is a node as far as it keeps keys in a store that others share.
func keeping(t *testing.T, s store.Store, control bool) (*dnssec.Keeper, dnssec.Vault) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &node{nodeOptions: nodeOptions{data: t.TempDir()}, store: s}
	n.roles.control = control
	v, err := n.newVault(policies.Node{KeysInStore: true, KeySecret: secret})
	if err != nil {
		t.Fatal(err)
	}
	k, err := dnssec.New(dnssec.Config{Vault: v, Writes: func() bool { return control }})
	if err != nil {
		t.Fatal(err)
	}
	return k, v
}

func keysStore(t *testing.T) store.Store {
	t.Helper()
	s, err := filestore.Open(t.TempDir(), filestore.Options{Writer: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func signedZone() []steering.Zone {
	return []steering.Zone{{Name: "video.example.", DNSSEC: &steering.DNSSEC{
		Algorithm: dns.ECDSAP256SHA256, Validity: 14 * 24 * time.Hour, KeyTTL: time.Hour, Propagation: time.Minute,
		ParentTTL: 24 * time.Hour, ParentPropagation: time.Hour,
	}}}
}

func prepared(t *testing.T, k *dnssec.Keeper) (tags []uint16) {
	t.Helper()
	if err := k.Prepare(signedZone()); err != nil {
		t.Fatal(err)
	}
	for _, key := range k.Status()[0].Keys {
		tags = append(tags, key.Tag)
	}
	return tags
}

// TestKeysInStore: of two nodes that control one makes the keys, either may replace
// them, and everybody signs with what is in the store, where nobody can read it
// without the secret.
func TestKeysInStore(t *testing.T) {
	s := keysStore(t)
	one, _ := keeping(t, s, true)
	two, _ := keeping(t, s, true)
	edge, _ := keeping(t, s, false)
	if tags := prepared(t, edge); len(tags) != 0 {
		t.Fatalf("a node without control made keys: %v", tags)
	}
	first := prepared(t, one)
	for _, k := range []*dnssec.Keeper{two, edge} {
		if tags := prepared(t, k); len(tags) != 1 || tags[0] != first[0] {
			t.Fatalf("keys %v, want %v", tags, first)
		}
	}
	if err := edge.Roll("video.example.", ""); err == nil {
		t.Error("a node without control rolls keys")
	}
	if err := two.Roll("video.example.", ""); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*dnssec.Keeper{one, edge} {
		if tags := prepared(t, k); len(tags) != 2 || tags[0] != first[0] {
			t.Errorf("keys %v after the roll", tags)
		}
	}
	values, err := s.Values(t.Context(), keysFolder)
	if err != nil || len(values) != 1 {
		t.Fatalf("%d values, %v", len(values), err)
	}
	if data := values["video.example"].Data; bytes.Contains(data, []byte("private")) || bytes.Contains(data, []byte("video")) {
		t.Errorf("the keys are not sealed: %s", data)
	}
}

// TestKeysFollowTheLeader: of a fleet's control nodes the one that leads makes and
// replaces keys, and after a take-over the next one does, with the same keys.
func TestKeysFollowTheLeader(t *testing.T) {
	s := keysStore(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	member := func() (*node, *dnssec.Keeper) {
		t.Helper()
		n := &node{nodeOptions: nodeOptions{data: t.TempDir(), log: slog.New(slog.DiscardHandler)}, store: s, replica: new(replica.Store)}
		n.roles.control = true
		k, err := n.newKeeper(&configuration{Configuration: &policies.Configuration{Node: policies.Node{KeysInStore: true, KeySecret: secret}}})
		if err != nil {
			t.Fatal(err)
		}
		return n, k
	}
	one, first := member()
	two, second := member()
	if tags := prepared(t, first); len(tags) != 0 {
		t.Fatalf("a node that does not lead made keys: %v", tags)
	}
	one.leading.Store(true)
	tags := prepared(t, first)
	if got := prepared(t, second); len(tags) != 1 || !slices.Equal(got, tags) {
		t.Fatalf("the leader has keys %v, another node %v", tags, got)
	}
	if err := second.Roll("video.example.", ""); err == nil {
		t.Error("a node that does not lead rolls keys")
	}

	one.leading.Store(false)
	two.leading.Store(true)
	if err := first.Roll("video.example.", ""); err == nil {
		t.Error("who led before rolls keys")
	}
	if err := second.Roll("video.example.", ""); err != nil {
		t.Errorf("who leads now cannot roll: %v", err)
	}
	after := prepared(t, second)
	if got := prepared(t, first); len(after) != 2 || after[0] != tags[0] || !slices.Equal(got, after) {
		t.Errorf("keys %v before; then the leader has %v, another node %v", tags, after, got)
	}
}

// TestKeysConflict: of two nodes that take a step at once, one succeeds, and the
// other goes on with what that one saved.
func TestKeysConflict(t *testing.T) {
	s := keysStore(t)
	one, first := keeping(t, s, true)
	_, second := keeping(t, s, true)
	prepared(t, one)
	data, err := first.Load("video.example.")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Load("video.example."); err != nil {
		t.Fatal(err)
	}
	if err := second.Save("video.example.", data); err != nil {
		t.Fatal(err)
	}
	if err := first.Save("video.example.", data); !errors.Is(err, dnssec.ErrConflict) {
		t.Errorf("the slower one: %v", err)
	}
	if _, err := first.Load("video.example."); err != nil {
		t.Fatal(err)
	}
	if err := first.Save("video.example.", data); err != nil {
		t.Errorf("after another look: %v", err)
	}
}

// TestKeysMove: keys that lie in the folder go into the store, and no others are made,
// nor where those cannot be read.
func TestKeysMove(t *testing.T) {
	s := keysStore(t)
	n := &node{nodeOptions: nodeOptions{data: t.TempDir()}, store: s}
	n.roles.control = true
	plain, err := n.newVault(policies.Node{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := dnssec.New(dnssec.Config{Vault: plain, Writes: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	tags := prepared(t, before)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(n.data, "dnssec", "video.example.json")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	v, err := n.newVault(policies.Node{KeysInStore: true, KeySecret: secret})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Load("video.example."); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("keys that others may have read: %v", err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := dnssec.New(dnssec.Config{Vault: v, Writes: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	if now := prepared(t, after); len(now) != 1 || now[0] != tags[0] {
		t.Errorf("keys %v, were %v", now, tags)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Load("video.example."); err != nil {
		t.Errorf("the store alone: %v", err)
	}
}
