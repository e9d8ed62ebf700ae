package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// cloudFront signs policies: a canned one names a URL and a time and is not sent,
// since CloudFront can make it itself; a custom one may have wildcards and an
// address, and travels along.
type cloudFront struct {
	config *Config
	made   *memo
}

func (c *cloudFront) load(k Key) (any, error) {
	if k.ID == "" {
		return nil, errors.New("a CloudFront key needs its id, the key pair id or public key id that CloudFront shows")
	}
	block, _ := pem.Decode(k.Secret)
	if block == nil {
		return nil, errors.New("a CloudFront key is a private key in PEM")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("a CloudFront key is an RSA or ECDSA private key, as PKCS #1, SEC 1 or PKCS #8 in PEM")
	}
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("a CloudFront key is an RSA or ECDSA key, not %T", key)
}

func (c *cloudFront) sign(key loaded, t target, until time.Time, r Request) (string, error) {
	end := until.Unix()
	if c.config.Scheme == CloudFrontCanned {
		policy := fmt.Sprintf(`{"Statement":[{"Resource":%s,"Condition":{"DateLessThan":{"AWS:EpochTime":%d}}}]}`, quoted(t.origin+t.path+t.query), end)
		signature, err := c.signature(key, policy)
		return fmt.Sprintf("Expires=%d&Signature=%s&Key-Pair-Id=%s", end, signature, key.ID) + c.algorithm(), err
	}
	path, wild := c.config.covered(t)
	resource := t.origin + path
	if wild {
		resource += "*"
	} else {
		resource += t.query
	}
	condition := fmt.Sprintf(`"DateLessThan":{"AWS:EpochTime":%d}`, end)
	if c.config.BindClient && r.Client.IsValid() {
		address := r.Client.Unmap()
		condition = fmt.Sprintf(`"IpAddress":{"AWS:SourceIp":"%s/%d"},`, address, address.BitLen()) + condition
	}
	policy := fmt.Sprintf(`{"Statement":[{"Resource":%s,"Condition":{%s}}]}`, quoted(resource), condition)
	signature, err := c.signature(key, policy)
	return fmt.Sprintf("Policy=%s&Signature=%s&Key-Pair-Id=%s", forURL([]byte(policy)), signature, key.ID) + c.algorithm(), err
}

// algorithm is what CloudFront must be told about the hash; nothing for SHA-1.
func (c *cloudFront) algorithm() string {
	if c.config.Hash == SHA256 {
		return "&Hash-Algorithm=SHA256"
	}
	return ""
}

// signature signs a policy, once for all viewers who get the same.
func (c *cloudFront) signature(key loaded, policy string) (string, error) {
	return c.made.get(key.ID+"\n"+policy, func() (string, error) {
		var hash crypto.Hash
		var sum []byte
		if c.config.Hash == SHA256 {
			s := sha256.Sum256([]byte(policy))
			hash, sum = crypto.SHA256, s[:]
		} else {
			s := sha1.Sum([]byte(policy)) // CloudFront's own choice; it signs a text that we made
			hash, sum = crypto.SHA1, s[:]
		}
		var signature []byte
		var err error
		switch k := key.secret.(type) {
		case *rsa.PrivateKey:
			signature, err = rsa.SignPKCS1v15(nil, k, hash, sum)
		case *ecdsa.PrivateKey:
			signature, err = ecdsa.SignASN1(rand.Reader, k, sum)
		}
		return forURL(signature), err
	})
}

// quoted is a JSON string in which & and its like stay as they are.
func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // of a string: it cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}

// forURL is base64 with the characters that CloudFront puts in place of those
// that a query may not have.
func forURL(data []byte) string {
	return strings.NewReplacer("+", "-", "=", "_", "/", "~").Replace(base64.StdEncoding.EncodeToString(data))
}

// memo remembers the newest signatures.
type memo struct {
	mu       sync.Mutex
	new, old map[string]string // old = the newest half before new
}

// memoSize bounds each of the two halves.
const memoSize = 4096

func newMemo() *memo { return &memo{new: make(map[string]string)} }

func (m *memo) get(key string, make_ func() (string, error)) (string, error) {
	m.mu.Lock()
	made, ok := m.new[key]
	if !ok {
		made, ok = m.old[key]
	}
	m.mu.Unlock()
	if ok {
		return made, nil
	}
	made, err := make_() // two at once make it twice; waiting would be worse
	if err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.new) >= memoSize {
		m.old, m.new = m.new, make(map[string]string)
	}
	m.new[key] = made
	return made, nil
}
