package main

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/token"
)

// signers make the tokens of all providers that need some. It never shows a
// secret: errors name files and variables.
type signers struct {
	last map[*steering.Tokens]*token.Signer // of the configurations in force
	of   atomic.Pointer[map[*steering.Tokens]*token.Signer]
}

func newSigners() *signers {
	s := &signers{}
	s.of.Store(&map[*steering.Tokens]*token.Signer{})
	return s
}

// set loads the keys that configurations name; a nil one names none. Those that
// cannot be loaded leave their providers without tokens. What was in force until
// now goes on signing, since doors answer from it until the next generation is
// there. It is for one caller at a time.
func (s *signers) set(configurations ...*configuration) error {
	all := make(map[*steering.Tokens]*token.Signer)
	var problems []error
	for _, c := range configurations {
		if c == nil {
			continue
		}
		loaded, err := loadSigners(c.Revision)
		problems = append(problems, err)
		maps.Copy(all, loaded)
	}
	both := maps.Clone(all)
	maps.Copy(both, s.last)
	s.last = all
	s.of.Store(&both)
	return errors.Join(problems...)
}

// loadTokens loads the keys of what is in force, where this node needs them.
func (n *node) loadTokens(configurations ...*configuration) {
	if n.signers == nil {
		return
	}
	if err := n.signers.set(configurations...); err != nil {
		n.log.Error("tokens cannot be made: until this is mended clients of these providers get 503 from redirects, and probes that sign are not made", "err", err)
	}
}

// signProbe adds the token of a provider to what a probe asks for: that of the
// configuration in force, or of the one on trial.
func (n *node) signProbe(provider, url string) (string, error) {
	for _, c := range []*configuration{n.config.Load(), n.canary.Load()} {
		if c == nil {
			continue
		}
		for _, p := range c.Revision.Providers {
			if p.Name == provider && p.Tokens != nil {
				return n.signers.Sign(&steering.Endpoint{Provider: provider, Account: p}, url, netip.Addr{}, "")
			}
		}
	}
	return "", fmt.Errorf("provider %s has no tokens", provider)
}

// Sign adds the token of an endpoint's provider.
func (s *signers) Sign(e *steering.Endpoint, url string, client netip.Addr, session string) (string, error) {
	if e.Account == nil || e.Account.Tokens == nil {
		return url, nil
	}
	signer := (*s.of.Load())[e.Account.Tokens]
	if signer == nil {
		return "", fmt.Errorf("%s: the keys of provider %s are not loaded", e.Account.Tokens.Place, e.Provider)
	}
	return signer.Sign(token.Request{URL: url, Client: client, Session: session}, time.Now())
}

// loadSigners makes the signers of a revision, and tells all that is wrong.
func loadSigners(r *steering.Revision) (map[*steering.Tokens]*token.Signer, error) {
	made := make(map[*steering.Tokens]*token.Signer)
	var problems []error
	for _, p := range r.Providers {
		if p.Tokens == nil {
			continue
		}
		signer, err := loadSigner(p.Tokens)
		if err != nil {
			problems = append(problems, tokenError{p, err})
			continue
		}
		made[p.Tokens] = signer
	}
	return made, errors.Join(problems...)
}

// tokenError tells why a provider's tokens cannot be made.
type tokenError struct {
	provider *steering.Provider
	cause    error
}

func (e tokenError) Error() string {
	return fmt.Sprintf("%s: provider %q: %v", e.provider.Tokens.Place, e.provider.Name, e.cause)
}

// unusableTokens warns of providers whose tokens cannot be made here: keys are
// needed on nodes with the roles http and probe only.
func unusableTokens(r *steering.Revision) (findings policies.Findings) {
	for _, p := range r.Providers {
		if p.Tokens == nil {
			continue
		}
		if _, err := loadSigner(p.Tokens); err != nil {
			findings = append(findings, policies.Finding{
				Place: p.Tokens.Place, Severity: policies.Warning, Message: fmt.Sprintf("provider %q: its tokens cannot be made here: %v", p.Name, err),
				Remedy: "put the key there on every node with the role http or probe; redirects to this provider are 503 without, and probes are not made",
			})
		}
	}
	return findings
}

func loadSigner(t *steering.Tokens) (*token.Signer, error) {
	c := token.Config{
		Scheme: token.Scheme(t.Scheme), TTL: t.TTL, Cover: token.Cover(t.Cover), Prefix: t.Prefix, Param: t.Param,
		InPath: t.InPath, BindClient: t.BindClient, Hash: token.Hash(t.Hash), Issuer: t.Issuer,
	}
	var problems []error
	for _, k := range t.Keys {
		secret, err := readKey(k)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		c.Keys = append(c.Keys, token.Key{ID: k.ID, From: k.From, Secret: []byte(secret)})
	}
	if t.Salt != (steering.TokenKey{}) {
		salt, err := readKey(t.Salt)
		problems = append(problems, err)
		c.Salt = salt
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return token.New(c)
}

// readKey reads a secret where the configuration says that it is.
func readKey(k steering.TokenKey) (string, error) {
	if k.File != "" {
		return readPrivate(k.File, "key")
	}
	secret := strings.TrimSpace(os.Getenv(k.Env))
	if secret == "" {
		return "", fmt.Errorf("the variable %s is empty or not set: set it in the service's environment", k.Env)
	}
	return secret, nil
}

// tokenFiles are the files that hold keys, whose change matters.
func tokenFiles(r *steering.Revision) []string {
	var files []string
	for _, p := range r.Providers {
		if p.Tokens == nil {
			continue
		}
		for _, k := range append([]steering.TokenKey{p.Tokens.Salt}, p.Tokens.Keys...) {
			if k.File != "" {
				files = append(files, k.File)
			}
		}
	}
	return files
}
