package support

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// shortest is the length below which a known secret is not looked for: it would be
// found everywhere, and guessed without a bundle.
const shortest = 6

// shape is what secrets look like, known or not. What is between its groups goes.
type shape struct {
	kind string
	what *regexp.Regexp
	with string
}

// Redactor takes secrets out of texts. It is not safe for concurrent use.
type Redactor struct {
	known  []string // the longest first: one may be a part of another
	shapes []shape
	// Removed counts what was taken out, by kind.
	Removed map[string]int
}

const removed = "[removed]"

// NewRedactor looks for some secrets, in the forms that programs write them in, and
// for whatever has the shape of one.
func NewRedactor(secrets []string) *Redactor {
	r := &Redactor{Removed: make(map[string]int), shapes: []shape{
		{"private key", regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`), removed},
		{"password in a URL", regexp.MustCompile(`(\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s"'@<>]+@`), "${1}" + removed + "@"},
		{"secret in a URL", regexp.MustCompile(`(?i)([?&;](?:[a-z0-9_.-]*(?:token|secret|password|signature|credential|apikey|api[_-]key)|sig|key|hmac|hdnts|hdnea|md5|auth|policy)=)[^&\s"'<>]+`), "${1}" + removed},
		{"token", regexp.MustCompile(`(?i)\b(bearer|basic|digest)\s+[A-Za-z0-9._~+/=-]{8,}`), "${1} " + removed},
		{"field", regexp.MustCompile(`(?i)((?:(?:proxy-)?authorization|(?:set-)?cookie|x-[a-z0-9-]*(?:key|token|secret|auth)[a-z0-9-]*|[a-z0-9_-]*(?:password|passwd|passphrase|api[_-]?key|private[_-]?key)|secret|access[_-]?key[a-z0-9_-]*)\\?["']?[ \t]*[:=][ \t]*)(?:\\?"[^"\n]*"|'[^'\n]*'|[^\s,}\]"'][^\n,}\]"']*)`), "${1}" + removed},
		{"token", regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`), removed}, // JWT, RFC 7519 §3
	}}
	for _, secret := range secrets {
		r.know(secret)
	}
	slices.SortFunc(r.known, func(a, b string) int { return len(b) - len(a) })
	r.known = slices.Compact(r.known)
	return r
}

// know adds a secret as it may be written; of one with several lines, such as a key
// in PEM, each line as well.
func (r *Redactor) know(secret string) {
	secret = strings.TrimSpace(secret)
	quoted, _ := json.Marshal(secret)
	for _, form := range []string{
		secret, string(bytes.Trim(quoted, `"`)), url.QueryEscape(secret), hex.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	} {
		if len(form) >= shortest {
			r.known = append(r.known, form)
		}
	}
	if lines := strings.Split(secret, "\n"); len(lines) > 1 {
		for _, line := range lines {
			if line = strings.TrimSpace(line); len(line) >= 16 && !strings.HasPrefix(line, "-----") {
				r.known = append(r.known, line)
			}
		}
	}
}

// Text is a text without secrets.
func (r *Redactor) Text(text string) string {
	for _, secret := range r.known {
		if n := strings.Count(text, secret); n > 0 {
			r.Removed["known secret"] += n
			text = strings.ReplaceAll(text, secret, removed)
		}
	}
	for _, s := range r.shapes {
		text = s.what.ReplaceAllStringFunc(text, func(found string) string {
			clean := s.what.ReplaceAllString(found, s.with)
			if clean != found {
				r.Removed[s.kind]++
			}
			return clean
		})
	}
	return text
}
