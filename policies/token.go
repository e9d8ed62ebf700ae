package policies

import (
	"regexp"
	"strings"
	"time"

	"fairway/steering"
)

// What a provider's tokens may be.
const (
	defaultTokenTTL = time.Hour
	wideSchemes     = "akamai cloudfront-custom cat" // cover more than one path
)

var (
	tokenSchemes = []string{"akamai", "cloudfront-canned", "cloudfront-custom", "fastly", "cloudflare", "cat"}
	envName      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// tokens reads how a provider's URLs are signed.
func (v value) tokens() *steering.Tokens {
	f, ok := v.fields("scheme keys ttl cover prefix param in bind hash issuer salt")
	if !ok {
		return nil
	}
	f.require("scheme", "add scheme: "+strings.Join(tokenSchemes, ", or scheme: "))
	t := &steering.Tokens{
		Scheme:     f.choice("scheme", tokenSchemes[0], tokenSchemes...),
		TTL:        f.duration("ttl", defaultTokenTTL, 10*time.Second, 7*24*time.Hour),
		Cover:      f.choice("cover", "", "exact", "directory"),
		InPath:     f.choice("in", "query", "query", "path") == "path",
		BindClient: f.choice("bind", "none", "none", "client") == "client",
		Hash:       f.choice("hash", "", "sha1", "sha256"),
		Issuer:     f.text("issuer"),
		Place:      v.home(),
	}
	if prefix, ok := f.under("prefix"); ok {
		if t.Prefix, ok = prefix.text(); ok && !strings.HasPrefix(t.Prefix, "/") {
			prefix.fault("begin with a slash, such as /live/", "%q is no path", clip(t.Prefix))
		}
		t.Cover = "prefix"
	}
	if param, ok := f.under("param"); ok {
		if t.Param, ok = param.text(); ok && !envName.MatchString(strings.ReplaceAll(t.Param, "-", "_")) {
			param.fault("use letters, digits, - and _", "%q is not the name of a parameter", clip(t.Param))
		}
	}
	if salt, ok := f.under("salt"); ok {
		t.Salt, _ = salt.as("salt of the %s", f.subject).secret("")
	}
	f.tokenKeys(t)
	f.reviewToken(t)
	return t
}

// tokenKeys reads the keys that sign.
func (f fields) tokenKeys(t *steering.Tokens) {
	list, ok := f.require("keys", "add keys: [{id: NAME, file: PATH}]")
	if !ok {
		return
	}
	items, _ := list.list()
	if len(items) == 0 {
		list.fault("add at least one: {id: NAME, file: PATH} or {id: NAME, env: VARIABLE}", "is empty")
	}
	ids := make(map[string]bool)
	for i, item := range items {
		key, ok := item.as("key %d of the %s", i+1, f.subject).secret("id from")
		if ok && ids[key.ID] {
			item.fault("give each key an id of its own", "key id %q stands twice", key.ID)
		}
		ids[key.ID] = true
		t.Keys = append(t.Keys, key)
	}
}

// secret reads where a secret is, with what else the keys say.
func (v value) secret(more string) (steering.TokenKey, bool) {
	f, ok := v.fields("file env " + more)
	if !ok {
		return steering.TokenKey{}, false
	}
	k := steering.TokenKey{ID: f.text("id")}
	file, inFile := f.under("file")
	env, inEnv := f.under("env")
	switch {
	case inFile == inEnv:
		v.fault("name file: PATH (mode 0600), or env: VARIABLE", "a secret is in a file or in a variable of the environment: name one of the two")
	case inFile:
		k.File, _ = file.file()
	case inEnv:
		if k.Env, ok = env.text(); ok && !envName.MatchString(k.Env) {
			env.fault("name a variable, such as AKAMAI_KEY; the secret itself does not belong here", "%q is not the name of a variable", clip(k.Env))
		}
	}
	if from, ok := f.under("from"); ok {
		var err error
		if k.From, err = time.Parse(time.RFC3339, from.node.Value); err != nil {
			from.fault("write it as 2026-12-24T20:00:00+01:00", "%q is no time", clip(from.node.Value))
		}
	}
	return k, true
}

// reviewToken reports what a scheme cannot do.
func (f fields) reviewToken(t *steering.Tokens) {
	wide := strings.Contains(" "+wideSchemes+" ", " "+t.Scheme+" ")
	only := "leave it out, or use one of " + wideSchemes
	refuse := func(key, format string, args ...any) {
		if v, ok := f.under(key); ok {
			v.fault(only, format, args...)
		}
	}
	if !wide {
		if t.Cover != "" && t.Cover != "exact" {
			refuse("cover", "tokens of scheme %s cover one path only", t.Scheme)
		}
		if t.BindClient {
			refuse("bind", "tokens of scheme %s cannot be bound to an address", t.Scheme)
		}
		if t.InPath {
			refuse("in", "tokens of scheme %s cover one path only: in front of it they would let nobody have the segments", t.Scheme)
		}
	}
	if v, ok := f.under("prefix"); ok && !wide {
		v.fault(only, "tokens of scheme %s cover one path only", t.Scheme)
	} else if _, stated := f.under("cover"); ok && stated {
		f.byKey["cover"].warn("leave out one of the two", "does nothing beside prefix")
	}
	for key, schemes := range map[string]string{"salt": "akamai", "hash": "cloudfront-canned cloudfront-custom fastly", "issuer": "cat"} {
		if v, ok := f.under(key); ok && !strings.Contains(" "+schemes+" ", " "+t.Scheme+" ") {
			f.c.warn(v.keyAt, "take it out", "%s: %s does nothing with scheme %s", f.subject, key, t.Scheme)
		}
	}
}
