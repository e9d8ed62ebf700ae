package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/mholt/acmez/v3"
	protocol "github.com/mholt/acmez/v3/acme"
)

// obtainWithin bounds one attempt, from the order to the certificate.
const obtainWithin = 5 * time.Minute

// client asks an authority by ACME.
type client struct {
	config Config
	acmez  acmez.Client
}

func newClient(c Config) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots}
	made := &client{config: c}
	made.acmez = acmez.Client{
		Client: &protocol.Client{
			Directory: c.Directory, UserAgent: c.UserAgent, PollTimeout: obtainWithin,
			HTTPClient: &http.Client{Transport: transport, Timeout: 30 * time.Second},
		},
		ChallengeSolvers: map[string]acmez.Solver{string(c.Kind): solver{c}},
	}
	return made
}

// Obtain implements authority.
func (c *client) Obtain(ctx context.Context, name string, replaced *x509.Certificate) (chain, key []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, obtainWithin)
	defer cancel()
	account, err := c.account(ctx)
	if err != nil {
		return nil, nil, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	csr, err := acmez.NewCSR(private, []string{name})
	if err != nil {
		return nil, nil, err
	}
	order, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, nil, err
	}
	order.Profile, order.Replaces = c.config.Profile, replaced
	chains, err := c.acmez.ObtainCertificate(ctx, order)
	var problem protocol.Problem
	if errors.As(err, &problem) && problem.Type == protocol.ProblemTypeAccountDoesNotExist {
		// The authority was made anew: so is the account, with the next attempt.
		return nil, nil, errors.Join(err, c.forget())
	}
	if err != nil {
		return nil, nil, err
	}
	if len(chains) == 0 {
		return nil, nil, errors.New("the authority gave no certificate")
	}
	key, err = encode(private)
	return chains[0].ChainPEM, key, err
}

// Window implements authority (RFC 9773).
func (c *client) Window(ctx context.Context, leaf *x509.Certificate) (window, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	info, err := c.acmez.GetRenewalInfo(ctx, leaf)
	if err != nil {
		return window{}, err
	}
	w := window{start: info.SuggestedWindow.Start, end: info.SuggestedWindow.End}
	if info.RetryAfter != nil {
		w.again = *info.RetryAfter
	}
	return w, nil
}

// savedAccount is an account with an authority. Whoever has its key can get certificates
// for the names, and revoke them, for as long as the authority takes them for ours.
type savedAccount struct {
	Account protocol.Account `json:"account"`
	Key     []byte           `json:"key"` // PEM
}

// accountName is where the account with the configured authority is kept.
func (c *client) accountName() string {
	of := sha256.Sum256([]byte(c.config.Directory + "\n" + c.config.Binding.KeyID))
	return "account." + hex.EncodeToString(of[:8])
}

// account is the one that is kept, or a new one.
func (c *client) account(ctx context.Context) (protocol.Account, error) {
	data, err := c.config.Vault.Load(c.accountName())
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(data) == 0: // the latter: it was forgotten
		return c.register(ctx)
	case err != nil:
		return protocol.Account{}, err
	}
	var kept savedAccount
	if err := json.Unmarshal(data, &kept); err != nil {
		return protocol.Account{}, fmt.Errorf("what is kept as the account is none: %w", err)
	}
	if kept.Account.PrivateKey, err = decode(kept.Key); err != nil {
		return protocol.Account{}, err
	}
	if kept.Account.Location == "" || contactOf(kept.Account) == c.contact() {
		return kept.Account, nil
	}
	kept.Account.Contact = c.contacts()
	changed, err := c.acmez.UpdateAccount(ctx, kept.Account)
	if err != nil {
		return protocol.Account{}, fmt.Errorf("tell the authority of another email: %w", err)
	}
	changed.PrivateKey, changed.Location = kept.Account.PrivateKey, kept.Account.Location
	return changed, c.saveAccount(changed, kept.Key)
}

// register makes an account. That its terms are agreed to, the configuration says.
func (c *client) register(ctx context.Context) (protocol.Account, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return protocol.Account{}, err
	}
	account := protocol.Account{Contact: c.contacts(), TermsOfServiceAgreed: true, PrivateKey: private}
	if b := c.config.Binding; b.KeyID != "" {
		if err := account.SetExternalAccountBinding(ctx, c.acmez.Client, protocol.EAB{KeyID: b.KeyID, MACKey: b.MAC}); err != nil {
			return account, err
		}
	}
	if account, err = c.acmez.NewAccount(ctx, account); err != nil {
		return account, fmt.Errorf("register an account: %w", err)
	}
	key, err := encode(private)
	if err != nil {
		return account, err
	}
	c.config.Logger.Info("registered an account", "directory", c.config.Directory, "account", account.Location)
	return account, c.saveAccount(account, key)
}

func (c *client) saveAccount(a protocol.Account, key []byte) error {
	data, err := json.Marshal(savedAccount{a, key})
	if err != nil {
		return err
	}
	return c.config.Vault.Save(c.accountName(), data)
}

// forget has the next attempt register an account.
func (c *client) forget() error { return c.config.Vault.Save(c.accountName(), nil) }

func (c *client) contacts() []string {
	if c.config.Email == "" {
		return nil
	}
	return []string{c.contact()}
}

func (c *client) contact() string {
	if c.config.Email == "" {
		return ""
	}
	return "mailto:" + c.config.Email
}

func contactOf(a protocol.Account) string {
	if len(a.Contact) == 0 {
		return ""
	}
	return a.Contact[0]
}

func encode(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func decode(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the account's key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the account's key: %w", err)
	}
	return key.(crypto.Signer), nil
}

// solver has the doors answer.
type solver struct{ Config }

// Present implements acmez.Solver.
func (s solver) Present(ctx context.Context, asked protocol.Challenge) error {
	return s.Publish(ctx, challengeOf(asked))
}

// Wait implements acmez.Waiter.
func (s solver) Wait(ctx context.Context, _ protocol.Challenge) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.Settle):
		return nil
	}
}

// CleanUp implements acmez.Solver. It must succeed also when the attempt's time is over.
func (s solver) CleanUp(ctx context.Context, asked protocol.Challenge) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.Withdraw(ctx, challengeOf(asked))
}

func challengeOf(asked protocol.Challenge) Challenge {
	return Challenge{
		Type: Kind(asked.Type), Domain: asked.Identifier.Value, Token: asked.Token, KeyAuthorization: asked.KeyAuthorization,
		Until: time.Now().Add(challengeLife),
	}
}
