package imports

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

// TestSignals: what a query finds becomes values of ours, by the names that labels
// stand for, and what names nothing is told.
func TestSignals(t *testing.T) {
	p := newPage(t, vector(noon, `"cdn":"AKAM","region":"eu"`, "0.25", `"cdn":"fastly","region":"eu"`, "0.5", `"cdn":"other","region":"eu"`, "1", `"cdn":"fastly","region":"default"`, "NaN"))
	var k taker
	one := only(t, k.importer(t), revisionWith(withSignals(p.URL, errorsByCDN)))
	one.turn(t.Context(), noon)
	want := map[string]float64{"errors of provider akamai, region eu": 0.25, "errors of provider fastly, region eu": 0.5}
	if got := k.readings(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	s := one.told()
	if s.Error != "" || s.Series != 4 || s.Readings != 2 || !s.Answered.Equal(noon) || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "provider other") {
		t.Errorf("status %+v", s)
	}
	asked := p.last().URL
	if asked.Path != "/api/v1/query" || asked.Query().Get("query") != errorsByCDN.Query || asked.Query().Get("lookback_delta") != "60s" || asked.Query().Get("timeout") != "60s" {
		t.Errorf("asked for %s", asked)
	}
}

// TestSignalsOfSamples: a metric alone is asked for with its samples, of which the
// newest counts, at its own time, and one that is too old does not.
func TestSignalsOfSamples(t *testing.T) {
	p := newPage(t, text(`{"status":"success","data":{"resultType":"matrix","result":[
		{"metric":{"cdn":"akamai","region":"eu"},"values":[[%d,"1"],[%d,"2"]]},
		{"metric":{"cdn":"fastly","region":"eu"},"values":[[%d,"3"]]}]}}`, noon.Unix()-40, noon.Unix()-20, noon.Unix()-61))
	metric := errorsByCDN
	metric.Query = `error_ratio{job="cdn"}`
	var k taker
	one := only(t, k.importer(t), revisionWith(withSignals(p.URL, metric)))
	one.turn(t.Context(), noon)
	if query := p.last().URL.Query().Get("query"); query != metric.Query+"[60000ms]" {
		t.Errorf("asked for %s", query)
	}
	if got := k.readings(); !maps.Equal(got, map[string]float64{"errors of provider akamai, region eu": 2}) {
		t.Errorf("%v", got)
	}
	if at := k.table.Readings()[0].At; !at.Equal(noon.Add(-20 * time.Second)) {
		t.Errorf("it is of %v", at)
	}
}

// TestAFailingImport: whatever fails is told, takes nothing away before that is stale,
// and the next turn tries again.
func TestAFailingImport(t *testing.T) {
	good := vector(noon, `"cdn":"akamai","region":"eu"`, "0.25")
	many := make([]string, 0, 2*(maxSeries+1))
	for i := range maxSeries + 1 {
		many = append(many, fmt.Sprintf(`"cdn":"akamai","region":"eu","n":"%d"`, i), "1")
	}
	for name, x := range map[string]struct {
		say  func(w http.ResponseWriter, r *http.Request)
		want string
	}{
		"is down":           {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "signal errors: EOF"},
		"is something else": {text("<html>hello</html>"), "not one of Prometheus' API"},
		"refuses the query": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}`)
		}, "400 Bad Request: parse error: unexpected end"},
		"is overloaded":          {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "503"},
		"says error with 200":    {text(`{"status":"error"}`), "not one of Prometheus' API"},
		"answers a scalar":       {text(`{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`), "is a scalar"},
		"answers a wrong value":  {text(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"cdn":"akamai"},"value":[1,7]}]}}`), "is no vector"},
		"answers no label":       {vector(noon, `"region":"eu","host":"a"`, "1"), `no label "cdn", which says its provider: it has host, region`},
		"answers twice":          {vector(noon, `"cdn":"akamai","region":"eu","code":"1"`, "1", `"cdn":"AKAM","region":"eu","code":"2"`, "1"), "two values for provider akamai, region eu"},
		"answers too much":       {vector(noon, many...), "10001 series, more than 10000"},
		"answers too many bytes": {func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte(" "), 3<<20)) }, "larger than 2048 KiB"},
		"answers a bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			z.Write(bytes.Repeat([]byte(" "), 3<<20))
			z.Close()
		}, "larger than 2048 KiB"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest?secret=1", http.StatusFound)
		}, "it redirects to http://169.254.169.254/latest, which is not followed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPage(t, good)
			var k taker
			i := k.importer(t)
			i.most = 2 << 20
			one := only(t, i, revisionWith(withSignals(p.URL, errorsByCDN)))
			one.turn(t.Context(), noon)
			p.now(x.say)
			one.turn(t.Context(), noon.Add(15*time.Second))
			if s := one.told(); !strings.Contains(s.Error, x.want) || s.Failures != 1 || !s.Answered.Equal(noon) {
				t.Errorf("%+v\nwant an error with %q", s, x.want)
			}
			if len(k.readings()) != 1 {
				t.Errorf("after a failure %v is known", k.readings())
			}
			one.turn(t.Context(), noon.Add(61*time.Second))
			if len(k.readings()) != 0 {
				t.Errorf("%v holds, though it is stale", k.readings())
			}
			p.now(vector(noon.Add(70*time.Second), `"cdn":"akamai","region":"eu"`, "0.75"))
			one.turn(t.Context(), noon.Add(75*time.Second))
			if s := one.told(); s.Error != "" || k.readings()["errors of provider akamai, region eu"] != 0.75 {
				t.Errorf("it works again: %+v, %v", s, k.readings())
			}
		})
	}
}

// TestASlowAnswerIsGivenUp within the import's timeout.
func TestASlowAnswerIsGivenUp(t *testing.T) {
	p := newPage(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	of := withSignals(p.URL, errorsByCDN)
	of.Timeout = 100 * time.Millisecond
	var k taker
	one := only(t, k.importer(t), revisionWith(of))
	one.turn(t.Context(), noon)
	if s := one.told(); !strings.Contains(s.Error, "no whole answer within 100ms") {
		t.Errorf("%+v", s)
	}
}

// TestOneQueryFails: the other signals of its import are read all the same.
func TestOneQueryFails(t *testing.T) {
	p := newPage(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Query().Get("query"), "broken") {
			w.WriteHeader(422)
			return
		}
		vector(noon, `"cdn":"akamai","region":"eu"`, "0.25")(w, r)
	})
	broken := errorsByCDN
	broken.Name, broken.Query = "broken", "broken"
	var k taker
	one := only(t, k.importer(t), revisionWith(withSignals(p.URL, broken, errorsByCDN)))
	one.turn(t.Context(), noon)
	if s := one.told(); !strings.HasPrefix(s.Error, "signal broken: it answers 422") || len(k.readings()) != 1 {
		t.Errorf("%+v, %v", s, k.readings())
	}
}

// TestPrivateAddressesAreRefused after resolution, unless they are allowed.
func TestPrivateAddressesAreRefused(t *testing.T) {
	p := newPage(t, vector(noon))
	for _, url := range []string{p.URL, strings.Replace(p.URL, "127.0.0.1", "localhost", 1)} {
		r := revisionWith(withSignals(url, errorsByCDN))
		r.Probing.Allow = nil
		var k taker
		one := only(t, k.importer(t), r)
		one.turn(t.Context(), noon)
		if s := one.told(); !strings.Contains(s.Error, "is no public address: allow it by probing") || len(p.asked) > 0 {
			t.Errorf("%s: %+v, and was asked %d times", url, s, len(p.asked))
		}
	}
}

// TestSecrets are read from files that nobody else may read, at each turn, and stand in
// no message.
func TestSecrets(t *testing.T) {
	p := newPage(t, vector(noon, `"cdn":"akamai","region":"eu"`, "1"))
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		os.Remove(file)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	of := withSignals(p.URL, errorsByCDN)
	of.Access.TokenFile = file
	var k taker
	bearer := only(t, k.importer(t), revisionWith(of))
	for _, token := range []string{"first", "second"} {
		write(token+"\n", 0o600)
		bearer.turn(t.Context(), noon)
		if got := p.last().Header.Get("Authorization"); got != "Bearer "+token {
			t.Errorf("shown: %q", got)
		}
	}
	write("first", 0o644)
	bearer.turn(t.Context(), noon)
	if s := bearer.told(); !strings.Contains(s.Error, "can be read by others") || strings.Contains(s.Error, "first") {
		t.Errorf("%+v", s)
	}
	write("pass", 0o600)
	of.Access = steering.ImportAccess{User: "me", PasswordFile: file}
	basic := only(t, k.importer(t), revisionWith(of))
	basic.turn(t.Context(), noon)
	if user, password, _ := p.last().BasicAuth(); user != "me" || password != "pass" {
		t.Errorf("shown: %q, %q", user, password)
	}
}

// TestTLS: the server's certificate must be of the authority that is named.
func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(vector(noon, `"cdn":"akamai","region":"eu"`, "1")))
	t.Cleanup(server.Close)
	of := withSignals(server.URL, errorsByCDN)
	var k taker
	stranger := only(t, k.importer(t), revisionWith(of))
	stranger.turn(t.Context(), noon)
	if s := stranger.told(); !strings.Contains(s.Error, "certificate") {
		t.Errorf("a stranger's certificate: %+v", s)
	}
	of.Access.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(of.Access.CAFile, block, 0o644); err != nil {
		t.Fatal(err)
	}
	known := only(t, k.importer(t), revisionWith(of))
	known.turn(t.Context(), noon)
	if s := known.told(); s.Error != "" {
		t.Errorf("%+v", s)
	}
}

// TestSet: an import that stays goes on with what it remembers, one that changes begins
// anew, and what is known of one that is gone is forgotten.
func TestSet(t *testing.T) {
	p := newPage(t, vector(noon, `"cdn":"akamai","region":"eu"`, "1"))
	var k taker
	i := k.importer(t)
	i.Remember([]steering.SignalReading{{SignalKey: steering.SignalKey{Signal: "gone", Provider: "akamai"}, At: noon}})
	first := only(t, i, revisionWith(withSignals(p.URL, errorsByCDN)))
	first.turn(t.Context(), noon)
	if len(k.readings()) != 1 {
		t.Errorf("known: %v", k.readings())
	}
	moved := errorsByCDN
	moved.Place = steering.Place{File: "elsewhere.yaml", Line: 7}
	if same := only(t, i, revisionWith(withSignals(p.URL, moved))); same != first {
		t.Error("an import that only stands elsewhere began anew")
	}
	moved.Query = "another"
	if only(t, i, revisionWith(withSignals(p.URL, moved))) == first {
		t.Error("an import with another query goes on")
	}
	i.Set(revisionWith())
	if len(i.Status()) != 0 || len(i.readings) != 0 {
		t.Errorf("nothing is imported, and %v, %v are there", i.Status(), i.readings)
	}
}

// TestRun: imports are asked again and again, those of a new revision too, and nothing
// goes on after the end.
func TestRun(t *testing.T) {
	p := newPage(t, vector(time.Now(), `"cdn":"akamai","region":"eu"`, "1"))
	of := withSignals(p.URL, errorsByCDN)
	of.Every, of.Stale = time.Second, time.Hour
	var k taker
	i := k.importer(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- i.Run(ctx) }()
	i.Set(revisionWith(of))
	until(t, "two turns", func() bool { k.mu.Lock(); defer k.mu.Unlock(); return k.told >= 2 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	i.Set(revisionWith(of, steering.Import{Name: "late", URL: p.URL}))
}

func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
