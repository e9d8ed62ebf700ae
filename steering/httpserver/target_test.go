package httpserver

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"fairway/steering"
)

func TestDecodeFully(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""}, {"a/b", "a/b"}, {"%41", "A"}, {"%2541", "A"}, {"%25252541x", "Ax"}, {"%2%35%41", "%A"}, {"%4%31", "A"},
		{"%", "%"}, {"%4", "%4"}, {"%zz", "%zz"}, {"100%25", "100%"}, {"%fF%Ff", "\xff\xff"}, {"%%34%31", "A"},
	} {
		if got := decodeFully(c.in); got != c.want {
			t.Errorf("decodeFully(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

// Whatever is strung together from the pieces that attacks are made of: what is
// accepted leads below the base path, for readers who decode never, once, twice
// or to the end, who take backslashes for slashes, and who cut path parameters.
func TestAcceptedTargetsStayBelowTheBase(t *testing.T) {
	const base = "https://alpha.cdn.test/deep/base"
	pieces := []string{"/", "/", "//", "..", ".", "%2e", "%2E", "%2f", "%252e", "%252f", "%25", "2e", "2f", "\\", "%5c", ";", "%3b",
		"a", "@", ":", "evil.example", "http:", "?", "&", "%0d%0a", "%00", "%", "\xff", "%ff", "%c0%ae", "#"}
	random := rand.New(rand.NewPCG(3, 4))
	accepted := 0
	for range 50_000 {
		var b strings.Builder
		for range random.IntN(9) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		raw := "/r/live/" + b.String()
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			continue // net/http has refused it before us
		}
		target, refusal := parseTarget(&http.Request{Method: "GET", RequestURI: raw, URL: u})
		if refusal != "" {
			continue
		}
		accepted++
		got := location(base, target)
		if ascii(got) != got || hasControl(got) {
			t.Fatalf("%q leads to %q, which is no URI", raw, got)
		}
		parsed, err := url.Parse(got)
		if err == nil && (parsed.Scheme != "https" || parsed.Host != "alpha.cdn.test" || parsed.User != nil || parsed.Fragment != "") {
			t.Fatalf("%q leads to %q", raw, got)
		}
		reading, _, _ := strings.Cut(strings.TrimPrefix(got, "https://alpha.cdn.test"), "?")
		for range 5 {
			if seen := resolve(reading); seen != "/deep/base" && !strings.HasPrefix(seen, "/deep/base/") {
				t.Fatalf("%q leads to %q, which someone may read as %q", raw, got, seen)
			}
			if reading, err = url.PathUnescape(reading); err != nil {
				break
			}
		}
	}
	if accepted < 5_000 {
		t.Errorf("only %d of 50,000 targets were accepted: the test asks too little", accepted)
	}
}

// resolve reads a path as the most forgiving server would.
func resolve(p string) string {
	segments := strings.Split(strings.ReplaceAll(p, `\`, "/"), "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	return path.Clean(strings.Join(segments, "/"))
}

// The endpoint that stands in for one without a URL is never one that the
// policy or an operator has ruled out.
func TestFirstWithURL(t *testing.T) {
	snapshot := newSnapshot(t, 1)
	for _, c := range []struct{ service, want string }{{"mixed", "bravo"}, {"plain", ""}} {
		d := snapshot.Decide(steering.Query{Service: snapshot.Layout.ByKey(c.service)})
		got := ""
		if candidate := firstWithURL(&d); candidate != nil {
			got = candidate.Endpoint.Provider
		}
		if got != c.want {
			t.Errorf("firstWithURL of %s is %q, want %q", c.service, got, c.want)
		}
	}
}
