package probes

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"

	"fairway/steering"
)

// accept holds a response's header against the probe's rules. Of a response whose
// status is refused the body is not read.
func (a *attempt) accept(status int, header http.Header) error {
	a.status = status
	a.seen.Cache = cacheOf(header)
	if !slices.ContainsFunc(a.probe.Status, func(r steering.StatusRange) bool { return r.From <= status && status <= r.To }) {
		return failed(steering.OutcomeStatus, fmt.Sprintf("got %d, want %s", status, statusRanges(a.probe.Status)))
	}
	return nil
}

// readBody reads what the probe allows and applies the body rule. Transfer runs
// from the response's first byte. whole tells that the body ended by itself.
func (a *attempt) readBody(r *response) (whole bool, err error) {
	rule := a.probe.BodyContains
	var kept bytes.Buffer
	into := io.Writer(&kept)
	if rule == "" && !a.probe.Parity {
		into = io.Discard
	}
	a.bytes, err = io.Copy(into, io.LimitReader(r.Body, a.probe.MaxBytes))
	a.read += a.bytes
	a.phases.Transfer = time.Since(r.first)
	switch {
	case err != nil:
		broken := r.cause(err)
		if broken == nil {
			return false, failed(steering.OutcomeBody, "the body's chunked coding is broken")
		}
		return false, a.brokenOff(broken, fmt.Sprintf("body not complete within %s (%d bytes received)", a.probe.Timeout, a.bytes), fmt.Sprintf("after %d bytes of the body", a.bytes))
	case !bytes.Contains(kept.Bytes(), []byte(rule)):
		return false, failed(steering.OutcomeBody, fmt.Sprintf("body lacks %q (looked at %d bytes)", rule, a.bytes))
	}
	if a.probe.Parity {
		if err := a.compare("", a.path, sha256.Sum256(kept.Bytes())); err != nil {
			return false, err
		}
	}
	return a.bytes < a.probe.MaxBytes, nil
}

// redirect is where a response sends us on to; nil where it does not. A fragment
// is not ours to send.
func redirect(from *url.URL, status int, header http.Header) *url.URL {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil
	}
	location := header.Get("Location")
	if location == "" {
		return nil
	}
	to, err := from.Parse(location)
	if err != nil {
		return nil
	}
	to.Fragment, to.RawFragment = "", ""
	return to
}

// cacheOf reads a cache's part in a response from Cache-Status (RFC 9211 §2), and
// where that is missing, or is no list (RFC 9651 §4.2: it is ignored), from what CDNs
// said before. A hit in any cache on the way is one: the origin was not asked.
func cacheOf(header http.Header) steering.Cache {
	if caches, err := httpsfv.UnmarshalList(header.Values("Cache-Status")); err == nil && len(caches) > 0 {
		for _, cache := range caches {
			if cache, ok := cache.(httpsfv.Item); ok {
				if hit, _ := cache.Params.Get("hit"); hit == true {
					return steering.CacheHit
				}
			}
		}
		return steering.CacheMiss
	}
	for _, name := range []string{"X-Cache", "Cf-Cache-Status", "X-Cache-Status"} {
		said := strings.ToLower(strings.Join(header.Values(name), ","))
		switch {
		case strings.Contains(said, "hit"):
			return steering.CacheHit
		case strings.Contains(said, "miss"), strings.Contains(said, "expired"):
			return steering.CacheMiss
		}
	}
	return ""
}

// statusRanges writes ranges as an operator does: 200-299, 304.
func statusRanges(ranges []steering.StatusRange) string {
	parts := make([]string, len(ranges))
	for i, r := range ranges {
		parts[i] = strconv.Itoa(r.From)
		if r.To != r.From {
			parts[i] += "-" + strconv.Itoa(r.To)
		}
	}
	return strings.Join(parts, ", ")
}
