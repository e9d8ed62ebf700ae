package token

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Scheme is a provider's way of making tokens.
type Scheme string

// The schemes.
const (
	Akamai           Scheme = "akamai"            // EdgeAuth 2.0, in the query
	CloudFrontCanned Scheme = "cloudfront-canned" // one URL until a time
	CloudFrontCustom Scheme = "cloudfront-custom" // a policy with wildcards
	Fastly           Scheme = "fastly"            // the token of Fastly's documented VCL
	Cloudflare       Scheme = "cloudflare"        // is_timed_hmac_valid_v0 in a WAF rule
	CAT              Scheme = "cat"               // Common Access Token, CTA-5007
)

// Cover is what a token lets a viewer have.
type Cover string

// The covers.
const (
	Exact     Cover = "exact"     // this path
	Directory Cover = "directory" // the folder of this path and all below it
	Prefix    Cover = "prefix"    // Config.Prefix and all below it
)

// Hash is the hash that is signed with, where a scheme leaves a choice.
type Hash string

// The hashes.
const (
	SHA1   Hash = "sha1"
	SHA256 Hash = "sha256"
)

// Config says how tokens of one provider are made.
type Config struct {
	Scheme Scheme
	Keys   []Key
	// TTL is how long a token holds. It is rounded up to a step of an eighth of
	// it, so that viewers who come together share one: an RSA signature costs more
	// than everything else about a redirect.
	TTL    time.Duration
	Cover  Cover  // default: Directory where the scheme can, else Exact
	Prefix string // the path, beginning with a slash, that Prefix covers
	// Param is the query parameter that carries the token; default: as the
	// provider calls it. CloudFront's names are fixed.
	Param string
	// InPath puts the token before the path, as a segment of its own, in place of the
	// query: relative URIs then inherit it. For schemes that cover more than one path.
	InPath bool
	// BindClient puts the viewer's address into the token (Akamai, CloudFront
	// custom, CAT). Players on phones change theirs; leave it off for these.
	BindClient bool
	Salt       string // Akamai: a secret beside the key, also known to the CDN
	Hash       Hash   // CloudFront (default SHA1; with SHA256 the URL says so), Fastly (default SHA256)
	Issuer     string // CAT: the claim iss
}

// Key is a secret with its name.
type Key struct {
	ID     string    // as the CDN knows it; CloudFront's key pair id, CAT's kid
	From   time.Time // signs from then on; zero = always
	Secret []byte    // as the provider hands it out: hex, base64, PEM or plain text
}

// Signer makes the tokens of one provider.
type Signer struct {
	config Config
	scheme scheme
	keys   []loaded // by From
}

// Request is what a token is made for.
type Request struct {
	URL     string     // absolute, as the viewer will ask for it
	Client  netip.Addr // the viewer's address; not valid = not known
	Session string     // the viewer's session; empty = none
}

// scheme is one way of making tokens. It gets the URL taken apart and the end of
// the token's time.
type scheme interface {
	// load reads a key; its error says what form the secret must have.
	load(k Key) (any, error)
	// sign returns what is added to the query, without a separator.
	sign(key loaded, t target, until time.Time, r Request) (string, error)
}

// loaded is a key that can sign.
type loaded struct {
	Key
	secret any
}

// New checks a configuration and loads its keys. All findings are told at once.
func New(c Config) (*Signer, error) {
	s := &Signer{config: c}
	var problems []error
	find := func(format string, args ...any) { problems = append(problems, fmt.Errorf("token: "+format, args...)) }
	wide := c.Scheme == Akamai || c.Scheme == CloudFrontCustom || c.Scheme == CAT
	switch {
	case c.Cover == "" && wide:
		s.config.Cover = Directory
	case c.Cover == "":
		s.config.Cover = Exact
	case c.Cover != Exact && c.Cover != Directory && c.Cover != Prefix:
		find("cover %q is none of exact, directory and prefix", c.Cover)
	case c.Cover != Exact && !wide:
		find("scheme %s covers exact paths only: leave cover out, or use akamai, cloudfront-custom or cat", c.Scheme)
	case c.Cover == Prefix && !strings.HasPrefix(c.Prefix, "/"):
		find("prefix %q does not begin with a slash", c.Prefix)
	}
	if c.TTL < time.Second {
		find("ttl %v is shorter than a second", c.TTL)
	}
	if c.BindClient && !wide {
		find("scheme %s cannot bind a token to a client's address: remove bind_client", c.Scheme)
	}
	if c.Hash != "" && c.Hash != SHA1 && c.Hash != SHA256 {
		find("hash %q is neither sha1 nor sha256", c.Hash)
	}
	if c.InPath && !wide {
		find("scheme %s covers one path only: a token before the path would let nobody have the segments", c.Scheme)
	}
	if s.scheme = newScheme(&s.config); s.scheme == nil {
		find("scheme %q is none of akamai, cloudfront-canned, cloudfront-custom, fastly, cloudflare and cat", c.Scheme)
		return nil, errors.Join(problems...)
	}
	if len(c.Keys) == 0 {
		find("there is no key: name at least one")
	}
	for _, k := range c.Keys {
		secret, err := s.scheme.load(k)
		if err != nil {
			find("key %q: %w", k.ID, err)
			continue
		}
		s.keys = append(s.keys, loaded{k, secret})
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return s, nil
}

func newScheme(c *Config) scheme {
	switch c.Scheme {
	case Akamai:
		return &akamai{config: c}
	case CloudFrontCanned, CloudFrontCustom:
		return &cloudFront{config: c, made: newMemo()}
	case Fastly:
		return &fastly{config: c}
	case Cloudflare:
		return &cloudflare{config: c}
	case CAT:
		return &cat{config: c}
	}
	return nil
}

// Sign returns the URL with a token. Its errors mean a URL that no CDN would
// serve, or that no key signs yet.
func (s *Signer) Sign(r Request, now time.Time) (string, error) {
	t, err := parse(r.URL)
	if err != nil {
		return "", err
	}
	key, ok := s.key(now)
	if !ok {
		return "", errors.New("token: no key signs yet: the first one's time is to come")
	}
	until := now.Add(s.config.TTL)
	if s.scheme != nil && s.config.Scheme != Cloudflare { // whose tokens carry the time of issue
		step := max(s.config.TTL/8, time.Second)
		until = until.Add(step - 1).Truncate(step)
	}
	query, err := s.scheme.sign(key, t, until, r)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	if s.config.InPath {
		return t.origin + "/" + query + t.path + t.query, nil
	}
	separator := "?"
	if strings.Contains(r.URL, "?") {
		separator = "&"
	}
	return r.URL + separator + query, nil
}

// key is the newest one whose time has come.
func (s *Signer) key(now time.Time) (best loaded, ok bool) {
	for _, k := range s.keys {
		if !k.From.After(now) && (!ok || k.From.After(best.From)) {
			best, ok = k, true
		}
	}
	return best, ok
}

// target is a URL taken apart, each part as it is written.
type target struct {
	origin string // scheme://authority
	host   string // without the port
	path   string // with its slash, never empty
	query  string // with its question mark; empty = none
}

func parse(url string) (target, error) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || scheme != "http" && scheme != "https" || strings.ContainsAny(url, "\r\n #") {
		return target{}, fmt.Errorf("token: %q is no absolute http or https URL without a fragment", url)
	}
	var t target
	end := strings.IndexAny(rest, "/?")
	if end < 0 || rest[end] == '?' {
		return target{}, fmt.Errorf("token: %q has no path", url)
	}
	t.origin, t.host, t.path = scheme+"://"+rest[:end], rest[:end], rest[end:]
	if at := strings.LastIndexByte(t.host, ':'); at > strings.LastIndexByte(t.host, ']') {
		t.host = t.host[:at]
	}
	if at := strings.IndexByte(t.path, '?'); at >= 0 {
		t.path, t.query = t.path[:at], t.path[at:]
	}
	return t, nil
}

// covered is the path that the token covers; wild = with everything that begins
// with it.
func (c *Config) covered(t target) (path string, wild bool) {
	switch c.Cover {
	case Directory:
		return t.path[:strings.LastIndexByte(t.path, '/')+1], true
	case Prefix:
		return c.Prefix, true
	}
	return t.path, false
}

// param is the name of the query parameter, or the provider's own.
func (c *Config) param(own string) string {
	if c.Param != "" {
		return c.Param
	}
	return own
}
