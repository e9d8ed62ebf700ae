package policies

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fairway/steering"
)

// APIToken is a token that the API accepts beside the one in api.token_file. The
// configuration knows its digest alone, and may be shown to anyone.
type APIToken struct {
	Name     string
	SHA256   [][sha256.Size]byte
	Scopes   []string // read, measure, operate, admin
	Vantages []string // whom it may report measurements of; nil = anyone
}

// PeerTLS is how the nodes of a fleet know each other: PEM files.
type PeerTLS struct{ Certificate, Key, CA string }

const tokenScopes = "read measure operate admin"

// TokenLine is a line for api.tokens: a name, the digest of its token, and what it is
// good for. It refuses what would not compile.
func TokenLine(name string, digest [sha256.Size]byte, scopes, vantages []string) (string, error) {
	var wrong []error
	for _, n := range append([]string{name}, vantages...) {
		if !isName(n) {
			wrong = append(wrong, fmt.Errorf("%q is not a name: %s", clip(n), nameRemedy))
		}
	}
	if len(scopes) == 0 {
		wrong = append(wrong, fmt.Errorf("a token without a scope is good for nothing: give it some of %s", tokenScopes))
	}
	for _, scope := range scopes {
		if known := words(tokenScopes); !slices.Contains(known, scope) {
			wrong = append(wrong, fmt.Errorf("%q is not a scope: %s", clip(scope), choices("scopes", known, scope)))
		}
	}
	if len(vantages) > 0 && !slices.Contains(scopes, "measure") {
		wrong = append(wrong, errors.New("vantages bound what a token may report, and this one may report nothing: add measure to its scopes, or leave the vantages out"))
	}
	line := fmt.Sprintf("%s: {sha256: \"%x\", scopes: [%s]", name, digest, strings.Join(scopes, ", "))
	if len(vantages) > 0 {
		line += fmt.Sprintf(", vantages: [%s]", strings.Join(vantages, ", "))
	}
	return line + "}", errors.Join(wrong...)
}

// api reads how the API is reached and who may use it.
func (c *compiler) api(n *Node) {
	v, ok := c.single("api")
	if !ok {
		return
	}
	f, _ := v.fields("token_file advertise tokens tls")
	if v, ok := f.under("token_file"); ok {
		n.TokenFile, _ = v.file()
	}
	if v, ok := f.under("advertise"); ok {
		n.Advertise, _ = v.baseURL()
	}
	if v, ok := f.under("tls"); ok {
		n.PeerTLS = v.as("api.tls").peerTLS()
	}
	if v, ok := f.under("tokens"); ok {
		n.Tokens = v.apiTokens()
	}
}

func (v value) peerTLS() *PeerTLS {
	f, ok := v.fields("certificate key ca")
	if !ok {
		return nil
	}
	t := new(PeerTLS)
	for key, into := range map[string]*string{"certificate": &t.Certificate, "key": &t.Key} {
		if file, ok := f.require(key, "add "+key+": PATH, a PEM file"); ok {
			*into, _ = file.file()
		}
	}
	if file, ok := f.under("ca"); ok {
		t.CA, _ = file.file()
	}
	return t
}

func (v value) apiTokens() (tokens []APIToken) {
	entries, _ := v.entries()
	taken := make(map[[sha256.Size]byte]steering.Place)
	for _, entry := range entries {
		v.c.checkName(entry.keyAt, "token", entry.key)
		f, ok := entry.as("api.tokens.%s", entry.key).fields("sha256 scopes vantages")
		if !ok {
			continue
		}
		t := APIToken{Name: entry.key, Scopes: f.scopes(), Vantages: f.referAll("vantages", vantage)}
		if _, ok := f.require("sha256", "make one with: fairway token "+entry.key); ok {
			for _, item := range f.oneOrMore("sha256") {
				if d, ok := item.digest(); ok {
					if at, known := taken[d]; known {
						item.fault("make a token for each with: fairway token NAME", "is also that of another token, at %s", at)
					}
					taken[d] = item.place()
					t.SHA256 = append(t.SHA256, d)
				}
			}
		}
		if v, ok := f.under("vantages"); ok && !slices.Contains(t.Scopes, "measure") {
			v.fault("add measure to scopes, or take vantages out", "vantages bound what a token may report, and this one may report nothing")
		}
		tokens = append(tokens, t)
	}
	return tokens
}

func (f fields) scopes() (scopes []string) {
	if _, ok := f.require("scopes", "add scopes: with some of "+tokenScopes); !ok {
		return nil
	}
	known := words(tokenScopes)
	for _, item := range f.oneOrMore("scopes") {
		if !slices.Contains(known, item.node.Value) {
			item.fault(choices("scopes", known, item.node.Value), "%q is not a scope", clip(item.node.Value))
			continue
		}
		scopes = append(scopes, item.node.Value)
	}
	return scopes
}

// digest reads the SHA-256 of something in hexadecimal.
func (v value) digest() (d [sha256.Size]byte, ok bool) {
	s, ok := v.text()
	if !ok {
		return d, false
	}
	if n, err := hex.Decode(d[:], []byte(s)); err != nil || n != len(d) || len(s) != 2*len(d) {
		v.fault("make a token and its digest with: fairway token NAME", "%s", fmt.Sprintf("%q is not a SHA-256 in 64 hexadecimal digits", clip(s)))
		return d, false
	}
	return d, true
}
