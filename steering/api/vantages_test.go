package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/vantage"
)

// outposts is a Vantages with two tokens and one assignment for all.
type outposts struct {
	book *vantage.Book

	mu      sync.Mutex
	tag     string
	changed chan struct{}
	taken   []steering.Measurement
}

func newOutposts() *outposts {
	return &outposts{book: vantage.New(), tag: "one", changed: make(chan struct{})}
}

func (o *outposts) Assignment(name string) (string, any, <-chan struct{}, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if name == "nowhere" {
		return "", nil, nil, fmt.Errorf("%w: no vantage %q", ErrNotFound, name)
	}
	return o.tag, map[string]string{"for": name}, o.changed, nil
}

func (o *outposts) change() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.tag, o.changed = o.tag+"+", make(chan struct{})
}

func (o *outposts) Report(_ context.Context, from vantage.Sender, batch []steering.Measurement) error {
	end, err := o.book.Begin(from, time.Now())
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.taken = append(o.taken, batch...)
	o.mu.Unlock()
	end(true)
	return nil
}

func (o *outposts) Reporting() map[string]vantage.Row { return o.book.Rows(time.Now()) }

func withOutposts(t *testing.T) (*fixture, *outposts) {
	o := newOutposts()
	bound := func(name string) Token {
		return Token{Name: name, SHA256: [][sha256.Size]byte{sha256.Sum256([]byte("token-of-" + name))}, Scopes: []Scope{ScopeMeasure}, Vantages: []string{name}}
	}
	return newFixture(t, func(c *Config) {
		c.Token, c.Vantages = "secret", o
		c.Tokens = func() []Token { return []Token{bound("fra"), bound("ams"), bound("farm")} }
	}), o
}

func numbered(name string, sequence int, sent time.Time, measurements ...string) string {
	return fmt.Sprintf(`{"version":1,"sender":{"vantage":%q,"boot":"b","sequence":%d,"sent":%q,"clock_offset_seconds":-3.5,"buffered":2},"measurements":[%s]}`,
		name, sequence, sent.UTC().Format(time.RFC3339Nano), strings.Join(measurements, ","))
}

// TestAVantageMayReportForItselfAlone: with its token one can report as it and ask what
// it measures, and do nothing else.
func TestAVantageMayReportForItselfAlone(t *testing.T) {
	f, o := withOutposts(t)
	fra, ams := "Authorization: Bearer token-of-fra", "Authorization: Bearer token-of-ams"
	now := time.Now()
	wantError(t, f.ask("POST", measurementsPath, numbered("fra", 1, now, oneMeasurement), ams), 403, "token ams", `"fra"`)
	wantError(t, f.ask("POST", measurementsPath, numbered("ams", 1, now, oneMeasurement), ams), 403, "token ams", `"fra"`)
	wantError(t, f.ask("POST", measurementsPath, batchOf(oneMeasurement), ams), 403, "token ams", `"fra"`)
	wantError(t, f.ask("GET", assignmentPath+"?vantage=fra", "", ams), 403, "token ams")
	for _, path := range []string{"/api/v1/status", "/api/v1/overrides", "/api/v1/revision", "/api/v1/nothing", "/api/"} {
		wantError(t, f.ask("GET", path, "", fra), 403, "this needs read")
	}
	wantError(t, f.ask("POST", "/api/v1/overrides", "{}", fra), 403, "this needs")
	wantError(t, f.ask("POST", measurementsPath, batchOf(oneMeasurement), "Authorization: Bearer another"), 401)
	if len(o.taken)+len(f.node.taken) > 0 {
		t.Fatalf("taken: %v %v", o.taken, f.node.taken)
	}
	if w := f.ask("POST", measurementsPath, numbered("fra", 1, now, oneMeasurement), fra); w.Code != http.StatusOK {
		t.Errorf("its own: %d %s", w.Code, w.Body)
	}
	if w := f.ask("GET", assignmentPath+"?vantage=fra", "", fra); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `{"tag":"one","work":{"for":"fra"}}`) {
		t.Errorf("its assignment: %d %s", w.Code, w.Body)
	}
	if w := f.ask("POST", measurementsPath, numbered("fra", 2, now, oneMeasurement), "Authorization: Bearer secret"); w.Code != http.StatusOK {
		t.Errorf("with the API's own token: %d %s", w.Code, w.Body)
	}
	if len(o.taken) != 2 {
		t.Errorf("%d taken", len(o.taken))
	}
}

func TestNumberedBatches(t *testing.T) {
	f, o := withOutposts(t)
	as := "Authorization: Bearer secret"
	before := time.Now()
	for range 2 { // again: it is taken once, and the answer is the same
		w := f.ask("POST", measurementsPath, numbered("fra", 1, time.Now(), oneMeasurement), as)
		var a Accepted
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.Accepted != 1 || a.Received.Before(before) || a.Answered.Before(a.Received) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	wantError(t, f.ask("POST", measurementsPath, numbered("fra", 2, before.Add(-time.Hour), oneMeasurement), as), 409, "measure the offset")
	wantError(t, f.ask("POST", measurementsPath, numbered("fra", 0, before, oneMeasurement), as), 400, "greeting")
	wantError(t, f.ask("POST", measurementsPath, numbered("ams", 1, before, oneMeasurement), as), 400, "measurements[0]", "send a batch for each vantage")
	wantError(t, f.ask("POST", measurementsPath, numbered("", 1, before), as), 400, "sender")
	wantError(t, f.ask("POST", measurementsPath, strings.Replace(numbered("fra", 3, before), "-3.5", "1e300", 1), as), 400, "sender")
	if len(o.taken) != 1 {
		t.Errorf("%d taken", len(o.taken))
	}
	if row := o.book.Rows(time.Now())["fra"]; row.Repeated != 1 || row.Skewed != 1 || row.Offset != -3500*time.Millisecond || row.Buffered != 2 {
		t.Errorf("%+v", row)
	}
	without := newFixture(t, nil)
	wantError(t, without.ask("POST", measurementsPath, numbered("fra", 1, before)), 503, "control")
	wantError(t, without.ask("GET", assignmentPath+"?vantage=fra", ""), 503, "control")
}

// TestAssignmentIsWaitedFor: who has the newest one is answered when there is another.
func TestAssignmentIsWaitedFor(t *testing.T) {
	f, o := withOutposts(t)
	as := "Authorization: Bearer secret"
	if w := f.ask("GET", assignmentPath+"?vantage=fra&after=one", "", as); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"tag":"one"}` {
		t.Errorf("without a wait: %d %s", w.Code, w.Body)
	}
	answered := make(chan string)
	go func() {
		answered <- f.ask("GET", assignmentPath+"?vantage=fra&after=one&wait=20s", "", as).Body.String()
	}()
	o.change()
	if got := <-answered; !strings.Contains(got, `"tag":"one+","work"`) {
		t.Errorf("after a change: %s", got)
	}
	go func() {
		answered <- f.ask("GET", assignmentPath+"?vantage=fra&after=one%2B&wait=20s", "", as).Body.String()
	}()
	close(f.stopping) // a node that ends keeps nobody waiting
	if got := <-answered; strings.TrimSpace(got) != `{"tag":"one+"}` {
		t.Errorf("at the end: %s", got)
	}
	wantError(t, f.ask("GET", assignmentPath, "", as), 400, "vantage")
	wantError(t, f.ask("GET", assignmentPath+"?vantage=fra&wait=soon", "", as), 400, "soon")
	wantError(t, f.ask("GET", assignmentPath+"?vantage=nowhere", "", as), 404, "nowhere")
}
