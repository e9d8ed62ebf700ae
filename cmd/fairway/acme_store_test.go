package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairway/dnsserver/dnssec"
	"fairway/policies"
	"fairway/steering/acme"
	"fairway/steering/store"
)

// obtaining is a node as far as it has certificates in a store.
func obtaining(s store.Store) *node {
	return &node{nodeOptions: nodeOptions{log: slog.New(slog.DiscardHandler)}, store: s}
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAcmeVault: with a secret nothing lies open, what lay open before is read and sealed
// with the next change, and another secret opens nothing.
func TestAcmeVault(t *testing.T) {
	s := keysStore(t)
	open, err := obtaining(s).acmeVault(&policies.ACME{})
	if err != nil {
		t.Fatal(err)
	}
	const name = "certificate.*.video.example"
	if err = open.Save(name, []byte(`{"key":"private"}`)); err == nil {
		_, err = open.Load(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := obtaining(s).acmeVault(&policies.ACME{SecretFile: secretFile(t, "0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	data, err := sealed.Load(name)
	if err != nil || string(data) != `{"key":"private"}` {
		t.Fatalf("what lay open is not read: %s, %v", data, err)
	}
	if err := sealed.Save(name, data); err != nil {
		t.Fatal(err)
	}
	values, err := s.Values(t.Context(), acmeFolder)
	if err != nil || len(values) != 1 {
		t.Fatalf("%v, %v", values, err)
	}
	if raw := values[dnssec.FileName(name)].Data; len(raw) == 0 || bytes.Contains(raw, []byte("private")) {
		t.Errorf("the store holds %q", raw)
	}
	other, err := obtaining(s).acmeVault(&policies.ACME{SecretFile: secretFile(t, "fedcba9876543210")})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := other.Load(name); err == nil || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("with another secret: %s, %v", data, err)
	}
	if _, err := obtaining(s).acmeVault(&policies.ACME{SecretFile: secretFile(t, "short")}); err == nil {
		t.Error("a secret of five octets is taken")
	}
}

// TestChallengesInStore: what one node publishes every node answers, until it is withdrawn
// or over; what nobody can read is passed over.
func TestChallengesInStore(t *testing.T) {
	s := keysStore(t)
	leader, door := obtaining(s), obtaining(s)
	challenge := func(domain string, until time.Duration) acme.Challenge {
		return acme.Challenge{Type: acme.HTTP, Domain: domain, Token: "token-" + domain, KeyAuthorization: "proof-" + domain, Until: time.Now().Add(until)}
	}
	answers := func(domain string) string {
		t.Helper()
		if err := door.takeChallenges(t.Context()); err != nil {
			t.Fatal(err)
		}
		answer, _ := door.board.Answer("token-" + domain)
		return answer
	}
	lasting, over := challenge("a.video.example", time.Hour), challenge("b.video.example", -time.Second)
	for _, c := range []acme.Challenge{lasting, over} {
		if err := leader.publishChallenge(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.PutValue(t.Context(), challengeFolder, "broken", store.Value{Data: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	if a, b := answers("a.video.example"), answers("b.video.example"); a != "proof-a.video.example" || b != "" {
		t.Errorf("answers %q, and %q to what is over", a, b)
	}
	for range 2 { // also what is gone already
		if err := leader.withdrawChallenge(t.Context(), lasting); err != nil {
			t.Fatal(err)
		}
	}
	if a := answers("a.video.example"); a != "" {
		t.Errorf("answers %q after it was withdrawn", a)
	}
}
