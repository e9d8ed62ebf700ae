package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering/api"
)

// leaderless is a fleet that nobody leads for a while.
type leaderless struct {
	until time.Time
	keys  map[string]int // Idempotency-Key → how often it was sent
}

func (l *leaderless) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if body, err := io.ReadAll(r.Body); err != nil || len(body) == 0 && r.Method == http.MethodPost {
			return nil, fmt.Errorf("the body came as %q, %v", body, err)
		}
	}
	l.keys[r.Header.Get("Idempotency-Key")]++
	answer, status := `{"id":"o1"}`, http.StatusOK
	h := http.Header{"Content-Type": {"application/json"}}
	if time.Now().Before(l.until) {
		answer, status = `{"error":"no control node leads now"}`, http.StatusServiceUnavailable
		h.Set("Retry-After", "1")
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

// A patient client gives an order again until somebody takes it, with one key, says so
// once, and has no more than its time for all its requests together.
func TestPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, told := &leaderless{until: time.Now().Add(20 * time.Second), keys: make(map[string]int)}, 0
		c, err := New("127.0.0.1:1", "", Over(fleet), Patient(30*time.Second, func(why error) {
			told++
			if !errors.Is(why, api.ErrUnavailable) {
				t.Error(why)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if made, err := c.Drain(t.Context(), api.OverrideRequest{Target: "alpha"}); err != nil || made.ID != "o1" || time.Since(began) != 20*time.Second {
			t.Errorf("after %v: %v, %v", time.Since(began), made, err)
		}
		if _, anonymous := fleet.keys[""]; anonymous || len(fleet.keys) != 1 || told != 1 {
			t.Errorf("sent with the keys %v; told %d times", fleet.keys, told)
		}
		if _, err := c.Drain(t.Context(), api.OverrideRequest{Target: "alpha"}); err != nil || len(fleet.keys) != 2 {
			t.Errorf("another order: %v, keys %v", err, fleet.keys)
		}
		fleet.until, began = time.Now().Add(time.Hour), time.Now()
		if _, err := c.Overrides(t.Context()); !errors.Is(err, api.ErrUnavailable) || time.Since(began) != 10*time.Second || told != 1 {
			t.Errorf("with a third of its time left it gives up after %v: %v; told %d times", time.Since(began), err, told)
		}
	})
}

// Others are refused at once, as is what no node wants again.
func TestImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, began := &leaderless{until: time.Now().Add(time.Hour), keys: make(map[string]int)}, time.Now()
		c, err := New("127.0.0.1:1", "", Over(fleet))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Drain(t.Context(), api.OverrideRequest{Target: "alpha"})
		if !errors.Is(err, api.ErrUnavailable) || time.Since(began) != 0 || fleet.keys[""] != 1 {
			t.Errorf("after %v: %v; keys %v", time.Since(began), err, fleet.keys)
		}
		for _, text := range []string{"", "soon", "-1", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999"} {
			if d := retryAfter(http.Header{"Retry-After": {text}}); d != 0 {
				t.Errorf("Retry-After %q is %v", text, d)
			}
		}
	})
}

// What is lifted again after an answer that was lost may be gone by then; what was never
// there is still said not to be.
func TestLiftedAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, busy := 0, 1
		over := roundTrip(func(r *http.Request) (*http.Response, error) {
			tries++
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", "application/json")
			if tries <= busy {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusServiceUnavailable)
			} else {
				w.WriteHeader(http.StatusNotFound)
			}
			fmt.Fprint(w, `{"error":"no"}`)
			return w.Result(), nil
		})
		c, err := New("127.0.0.1:1", "", Over(over), Patient(time.Minute, func(error) {}))
		if err != nil {
			t.Fatal(err)
		}
		if lifted, err := c.Lift(t.Context(), api.OverrideMatch{ID: "x"}); err != nil || len(lifted) != 0 || tries != 2 {
			t.Errorf("after %d tries: %v, %v", tries, lifted, err)
		}
		tries, busy = 0, 0
		if _, err := c.Lift(t.Context(), api.OverrideMatch{ID: "x"}); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("what was never there: %v", err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
