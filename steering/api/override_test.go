package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

func TestPutOverride(t *testing.T) {
	f := newFixture(t, nil)
	before := time.Now()
	w := f.ask("POST", "/api/v1/overrides", `{"kind":"drain","target":"alpha","region":"eu","service":"live","reason":" INC-1 ","author":"mara","for_seconds":3600.5}`)
	var o steering.Override
	if err := json.Unmarshal(w.Body.Bytes(), &o); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if o.ID == "" || o.Kind != steering.Drain || o.Provider != "alpha" || o.Endpoint != "" || o.Region != "eu" || o.Service != "live" ||
		o.Reason != "INC-1" || o.Author != "mara" {
		t.Errorf("override %+v", o)
	}
	if o.Created.Before(before) || o.Expires.Sub(o.Created) != 3600500*time.Millisecond {
		t.Errorf("from %v to %v", o.Created, o.Expires)
	}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
	f.ask("POST", "/api/v1/overrides", `{"kind":"force","target":"live/bravo/eu","reason":"x","author":"y","for_seconds":1}`)
	if all := f.node.Overrides(); len(all) != 2 || all[1].Endpoint != "live/bravo/eu" || all[1].Provider != "" || all[1].Kind != steering.Force {
		t.Errorf("overrides %+v", all)
	}
	if !strings.Contains(f.log.String(), "INC-1") {
		t.Errorf("the log does not tell of it: %s", f.log)
	}
}

func TestPutOverrideRefuses(t *testing.T) {
	body := func(change string) string { return drainAlpha[:len(drainAlpha)-1] + "," + change + "}" } // the last of two equal names counts
	for name, row := range map[string]struct {
		body   string
		status int
		words  []string
	}{
		"nothing":           {``, 400, []string{"empty"}},
		"garbage":           {`{{`, 400, nil},
		"null":              {`null`, 400, []string{"target", "reason", "for_seconds"}},
		"a list":            {`[]`, 400, nil},
		"kind as number":    {body(`"kind":7`), 400, []string{"kind"}},
		"for as text":       {body(`"for_seconds":"1h"`), 400, []string{"for_seconds"}},
		"for as null":       {body(`"for_seconds":-1`), 400, []string{"for_seconds is -1", "3600"}},
		"for ever":          {body(`"for_seconds":1e18`), 400, []string{"for_seconds"}},
		"unknown field":     {body(`"expires":"2027-01-01T00:00:00Z"`), 400, []string{"expires"}},
		"two values":        {drainAlpha + drainAlpha, 400, []string{"after"}},
		"unknown kind":      {body(`"kind":"drian"`), 400, []string{`"drian"`}},
		"unknown target":    {body(`"target":"alfa"`), 400, []string{`"alfa"`, "alpha, bravo", "live/alpha/eu"}},
		"unknown region":    {body(`"region":"uk"`), 400, []string{`"uk"`, "eu, default"}},
		"unknown service":   {body(`"service":"vod"`), 400, []string{`"vod"`, "live"}},
		"blank reason":      {body(`"reason":"  "`), 400, []string{"reason"}},
		"no author":         {body(`"author":""`), 400, []string{"author"}},
		"control character": {body(`"reason":"\u001b[31mred"`), 400, []string{"one line"}},
		"long reason":       {body(`"reason":"` + strings.Repeat("x", 501) + `"`), 400, []string{"500"}},
		"everything wrong":  {`{"kind":"x","target":"y","region":"z","service":"w"}`, 400, []string{`"x"`, `"y"`, `"z"`, `"w"`, "for_seconds", "author"}},
		"too large":         {body(`"reason":"` + strings.Repeat("x", 2<<20) + `"`), 413, nil},
	} {
		f := newFixture(t, nil)
		w := f.ask("POST", "/api/v1/overrides", row.body)
		if w.Code != row.status {
			t.Errorf("%s:", name)
		}
		wantError(t, w, row.status, row.words...)
		if len(f.node.Overrides()) != 0 {
			t.Errorf("%s: an override was made", name)
		}
	}
}

func TestControlErrorsBecomeStatuses(t *testing.T) {
	for err, want := range map[error]int{
		errors.New("disk full"):                                                       500,
		fmt.Errorf("not leader: %w", ErrUnavailable):                                  503,
		fmt.Errorf("odd: %w", ErrInvalid):                                             400,
		fmt.Errorf("x: %w", &Error{Status: 409, Message: "twice", Remedy: "undrain"}): 409,
	} {
		f := newFixture(t, nil)
		f.node.fail = err
		wantError(t, f.ask("POST", "/api/v1/overrides", drainAlpha), want)
		wantError(t, f.ask("POST", "/api/v1/measurements", batchOf(oneMeasurement)), want)
		if logged := strings.Contains(f.log.String(), "request failed"); logged != (want >= 500) {
			t.Errorf("%v: logged %v", err, logged)
		}
	}
}

// An order that comes again with its key was given once, whatever became of the first
// answer; a key is that of one order alone.
func TestIdempotencyKey(t *testing.T) {
	f := newFixture(t, nil)
	give := func(body, key string) *httptest.ResponseRecorder {
		return f.ask("POST", "/api/v1/overrides", body, "Idempotency-Key: "+key)
	}
	first, again := give(drainAlpha, `"one"`), give(drainAlpha, `"one"`)
	if first.Code != http.StatusOK || again.Code != http.StatusOK || first.Body.String() != again.Body.String() || len(f.node.Overrides()) != 1 {
		t.Errorf("given twice: %d %s, then %d %s", first.Code, first.Body, again.Code, again.Body)
	}
	wantError(t, give(strings.Replace(drainAlpha, "alpha", "bravo", 1), `"one"`), http.StatusUnprocessableEntity, "another order", "new key")
	if w := give(drainAlpha, `"two"`); w.Code != http.StatusOK || len(f.node.Overrides()) != 2 {
		t.Errorf("with another key: %d %s", w.Code, w.Body)
	}
	if w := f.ask("POST", "/api/v1/overrides", drainAlpha); w.Code != http.StatusOK || len(f.node.Overrides()) != 3 {
		t.Errorf("without a key: %d %s", w.Code, w.Body)
	}
}

// Retry-After (RFC 9110 §10.2.3) is in whole seconds, never sooner than meant, and
// stands only where sending again is safe.
func TestRetryAfter(t *testing.T) {
	for after, want := range map[time.Duration]string{0: "", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2"} {
		f := newFixture(t, nil)
		f.node.fail = &Error{Status: http.StatusServiceUnavailable, Message: "not now", RetryAfter: after}
		if got := f.ask("POST", "/api/v1/overrides", drainAlpha).Header().Get("Retry-After"); got != want {
			t.Errorf("after %v: Retry-After %q, want %q", after, got, want)
		}
	}
}

// TestOverrideScopes: each kind with what narrows it, as it is kept.
func TestOverrideScopes(t *testing.T) {
	for name, row := range map[string]struct {
		body string
		want steering.Override // without reason, author and times
		bad  string            // what the refusal says; empty = it is taken
	}{
		"a pool":             {`"kind":"drain","pool":"eu"`, steering.Override{Kind: steering.Drain, Pool: "eu"}, ""},
		"a provider's pool":  {`"kind":"force","target":"alpha","pool":"eu"`, steering.Override{Kind: steering.Force, Provider: "alpha", Pool: "eu"}, ""},
		"labels":             {`"kind":"drain","target":"alpha","labels":"team=sport*"`, steering.Override{Kind: steering.Drain, Provider: "alpha", Labels: "team=sport*"}, ""},
		"a weight":           {`"kind":"weight","target":"alpha","weight":2.5`, steering.Override{Kind: steering.Weigh, Provider: "alpha", Weight: 2.5}, ""},
		"a freeze":           {`"kind":"freeze","region":"eu"`, steering.Override{Kind: steering.Freeze, Region: "eu"}, ""},
		"a freeze of all":    {`"kind":"freeze"`, steering.Override{Kind: steering.Freeze}, ""},
		"an unknown pool":    {`"kind":"drain","pool":"mars"`, steering.Override{}, "there is no pool"},
		"labels of nobody":   {`"kind":"drain","target":"alpha","labels":"team=spotr*"`, steering.Override{}, "nothing is meant"},
		"a freeze of nobody": {`"kind":"freeze","labels":"tier=gold"`, steering.Override{}, "nothing is meant"},
		"half a label":       {`"kind":"drain","target":"alpha","labels":"team"`, steering.Override{}, "KEY=GLOB"},
		"a freeze of one":    {`"kind":"freeze","target":"alpha"`, steering.Override{}, "services and regions"},
		"a drain by weight":  {`"kind":"drain","target":"alpha","weight":3`, steering.Override{}, "only an override of kind weight"},
		"a huge weight":      {`"kind":"weight","target":"alpha","weight":1e9`, steering.Override{}, "1000000"},
		"nothing to drain":   {`"kind":"drain","region":"eu"`, steering.Override{}, "target is required"},
		"labels over a line": {`"kind":"drain","target":"alpha","labels":"a=b\nc"`, steering.Override{}, "one line"},
	} {
		f := newFixture(t, nil)
		w := f.ask("POST", "/api/v1/overrides", `{`+row.body+`,"reason":"r","author":"a","for_seconds":60}`)
		if row.bad != "" {
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), row.bad) {
				t.Errorf("%s: %d %s, want a refusal that says %q", name, w.Code, w.Body, row.bad)
			}
			continue
		}
		var o steering.Override
		if err := json.Unmarshal(w.Body.Bytes(), &o); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		o.ID, o.Reason, o.Author, o.Created, o.Expires = "", "", "", time.Time{}, time.Time{}
		if o != row.want {
			t.Errorf("%s: made %+v, want %+v", name, o, row.want)
		}
	}
}

func TestOverrideLog(t *testing.T) {
	f := newFixture(t, nil)
	f.ask("POST", "/api/v1/overrides", drainAlpha)
	w := f.ask("GET", "/api/v1/overrides/log", "")
	var answer OverrideLog
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer.Events) != 1 || answer.Events[0].Action != "put" || answer.Events[0].Override.Provider != "alpha" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestDeleteOverrides(t *testing.T) {
	all := []steering.Override{
		{ID: "a", Kind: steering.Drain, Provider: "alpha"},
		{ID: "b", Kind: steering.Drain, Provider: "alpha", Region: "eu"},
		{ID: "c", Kind: steering.Force, Provider: "alpha", Region: "eu", Service: "live"},
		{ID: "d", Kind: steering.Drain, Endpoint: "live/alpha/eu"},
	}
	for query, want := range map[string]string{
		"?target=alpha":                         "abc",
		"?target=alpha&kind=drain":              "ab",
		"?target=alpha&region=eu":               "bc",
		"?target=alpha&region=eu&service=live":  "c",
		"?target=live/alpha/eu":                 "d",
		"/b":                                    "b",
		"/b?kind=force":                         "",
		"?target=bravo":                         "",
		"?target=alpha&region=us":               "",
		"/nope":                                 "",
		"?target=live%2Falpha%2Feu&kind=drain&": "d",
	} {
		f := newFixture(t, nil)
		f.node.overrides = append(f.node.overrides, all...)
		w := f.ask("DELETE", "/api/v1/overrides"+query, "")
		if want == "" {
			wantError(t, w, http.StatusNotFound, "there is no", "in force: a, drain of alpha; b, drain of alpha in eu")
			continue
		}
		var answer Overrides
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, o := range answer.Overrides {
			got += o.ID
		}
		if left := len(f.node.Overrides()); got != want || left != len(all)-len(want) {
			t.Errorf("DELETE %s lifted %q, want %q; %d are left", query, got, want, left)
		}
	}
	f := newFixture(t, nil)
	f.node.overrides = append(f.node.overrides, all...)
	wantError(t, f.ask("DELETE", "/api/v1/overrides", ""), http.StatusBadRequest, "target=")
	wantError(t, f.ask("DELETE", "/api/v1/overrides?region=eu", ""), http.StatusBadRequest, "target=")
	if len(f.node.Overrides()) != len(all) {
		t.Error("a request that names nothing lifted something")
	}
}
