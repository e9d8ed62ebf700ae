package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"fairway/dnsserver/dnssec"
	"fairway/policies"
	"fairway/steering/acme"
	"fairway/steering/certs"
	"fairway/steering/store"
)

// The store has certificates with their keys in one folder, sealed where a secret is
// named, and what doors answer an authority in another.
const (
	acmeFolder      = "acme"
	challengeFolder = "acme-challenges"
)

// newACME makes what obtains certificates and loads them; nil where the files ask for none,
// or the node has no use for any.
func (n *node) newACME(c policies.Node) (*acme.Keeper, error) {
	a := c.ACME
	if a == nil || !n.roles.control && !n.roles.doors() {
		return nil, nil
	}
	config := acme.Config{
		Names: a.Names, Directory: a.Directory, Email: a.Email, Profile: a.Profile, Settle: a.Settle,
		Kind:    map[string]acme.Kind{"dns": acme.DNS, "http": acme.HTTP, "alpn": acme.ALPN}[a.Challenge],
		Publish: n.publishChallenge, Withdraw: n.withdrawChallenge,
		Leads:     func() bool { return n.leads() && !n.released.Load() },
		UserAgent: "fairway/" + version(), Logger: n.log.With("part", "acme"),
	}
	var problems []error
	var err error
	config.Vault, err = n.acmeVault(a)
	problems = append(problems, err)
	if a.CAFile != "" {
		config.Roots, err = certs.Authority(a.CAFile)
		problems = append(problems, err)
	}
	if a.KeyFile != "" && n.roles.control {
		config.Binding.KeyID = a.KeyID
		config.Binding.MAC, err = readPrivate(a.KeyFile, "acme.eab key")
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("acme: %w", err)
	}
	if !n.roles.control {
		n.log.Info("certificates are loaded from the store: the node with the role control obtains them", "names", a.Names)
	}
	return acme.New(config)
}

// acmeVault is where certificates are kept.
func (n *node) acmeVault(a *policies.ACME) (acme.Vault, error) {
	plain := &storeVault{store: n.store, folder: acmeFolder, versions: make(map[string]uint64)}
	if a.SecretFile == "" {
		return plain, nil
	}
	secret, err := os.ReadFile(a.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	sealed, err := dnssec.Seal(plain, secret)
	if err != nil || n.replica != nil {
		return sealed, err
	}
	return &laterSealed{sealed, plain}, nil
}

// laterSealed reads what was kept before it was to be sealed, which it is with the next
// change. A fleet's store is not read so: there what nobody sealed may be anybody's.
type laterSealed struct {
	dnssec.Vault
	plain dnssec.Vault
}

// Load implements acme.Vault.
func (v *laterSealed) Load(name string) ([]byte, error) {
	data, err := v.Vault.Load(name)
	if err == nil {
		return data, nil
	}
	if plain, failed := v.plain.Load(name); failed == nil && json.Valid(plain) {
		return plain, nil
	}
	return nil, err
}

// publishChallenge has every door that shares the store answer a challenge.
func (n *node) publishChallenge(ctx context.Context, c acme.Challenge) error {
	data, err := json.Marshal(c)
	if err == nil {
		err = n.putChallenge(ctx, c, data)
	}
	return err
}

func (n *node) withdrawChallenge(ctx context.Context, c acme.Challenge) error {
	return n.putChallenge(ctx, c, nil)
}

func (n *node) putChallenge(ctx context.Context, c acme.Challenge, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	name := string(c.Type) + "." + dnssec.FileName(c.Domain)
	held, err := n.store.Values(ctx, challengeFolder)
	if err != nil {
		return fmt.Errorf("the challenge for %s cannot be published: %w", c.Domain, err)
	}
	if len(data) == 0 && len(held[name].Data) == 0 {
		return nil
	}
	if _, err := n.store.PutValue(ctx, challengeFolder, name, store.Value{Version: held[name].Version, Data: data}); err != nil {
		return fmt.Errorf("the challenge for %s cannot be published: %w", c.Domain, err)
	}
	return n.takeChallenges(ctx)
}

// takeChallenges has this node's doors answer the challenges that are in the store.
func (n *node) takeChallenges(ctx context.Context) error {
	n.challenging.Lock()
	defer n.challenging.Unlock()
	values, err := n.store.Values(ctx, challengeFolder)
	if err != nil {
		return err
	}
	var open []acme.Challenge
	for name, v := range values {
		var c acme.Challenge
		if err := json.Unmarshal(v.Data, &c); err != nil {
			n.log.Error("an ACME challenge in the store cannot be read", "name", name, "err", err)
			continue
		}
		if time.Now().Before(c.Until) {
			open = append(open, c)
		}
	}
	slices.SortFunc(open, func(a, b acme.Challenge) int {
		return slices.Compare([]string{a.Domain, a.Token}, []string{b.Domain, b.Token})
	})
	if !n.board.Set(open) || n.dns == nil {
		return nil
	}
	n.dns.SetTransient(n.board.TXT())
	n.primary.Hurry()
	return nil
}

// expiriesEvery is how often it is looked whether a challenge is over that nobody withdrew.
const expiriesEvery = 30 * time.Second

// followValues takes up challenges and certificates that any node stores.
func (n *node) followValues(ctx context.Context) error {
	changes := n.store.Watch(ctx)
	tick := time.NewTicker(expiriesEvery)
	defer tick.Stop()
	for {
		if err := n.takeChallenges(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("ACME challenges cannot be taken up: those of before are answered", "err", err)
		}
		if n.acme != nil {
			n.acme.Changed()
		}
		for changed := false; !changed; {
			select {
			case change, open := <-changes:
				if !open {
					return nil
				}
				changed = change.Values
			case <-tick.C:
				changed = true
			}
		}
	}
}
