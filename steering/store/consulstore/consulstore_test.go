package consulstore

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/consultest"
	"fairway/steering/store/storetest"

	"github.com/google/go-cmp/cmp"
	consul "github.com/hashicorp/consul/api"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var deployments atomic.Int64

// openAt opens an empty deployment of its own.
func openAt(t *testing.T, address string) *Store {
	t.Helper()
	s, err := Open(Options{Address: address, Prefix: fmt.Sprint("test/", deployments.Add(1)), Writer: true, Warn: func(err error) { t.Log(err) }})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	storetest.Run(t, func(t *testing.T) store.Store { return openAt(t, server.Address) })
}

// stateWith is a state of many services; marked ones have a detail of their own.
func stateWith(generation uint64, services int, marked map[int]string) steering.State {
	state := steering.State{
		Version: steering.StateVersion, Generation: generation, Published: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Revision: "abc",
		Services: make(map[string]steering.GroupRecords),
	}
	for i := range services {
		groups := make(steering.GroupRecords)
		for region := range 20 {
			groups[fmt.Sprintf("r%d/rule", region)] = steering.SplitRecord{
				TTL: time.Second, Reason: steering.Reason{Code: steering.ReasonBest, Detail: marked[i]},
				Candidates: []steering.CandidateRecord{{Endpoint: fmt.Sprintf("s%d/alpha", i), Weight: 1, Verdict: steering.Healthy}},
			}
		}
		state.Services[fmt.Sprint("s", i)] = groups
	}
	return state
}

// What no head names is removed, also what another writer left; what is in use
// stays.
func TestGarbage(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	first := openAt(t, server.Address)
	ctx := t.Context()
	for g := range uint64(5) {
		must(t, first.PutState(ctx, stateWith(g+1, 10, map[int]string{1: fmt.Sprint(g)})))
	}
	s, err := Open(Options{Address: server.Address, Prefix: first.prefix, Writer: true})
	must(t, err)
	must(t, s.PutState(ctx, stateWith(6, 10, nil)))
	another := stateWith(6, 10, nil)
	another.Revision = "def" // of which there is no delta
	must(t, s.PutState(ctx, another))
	for name := range s.garbage.since {
		s.garbage.since[name] = time.Now().Add(-2 * discardAfter)
	}
	if len(s.garbage.since) < 5 {
		t.Errorf("%d pieces of garbage were found, want those of five generations", len(s.garbage.since))
	}
	last := stateWith(7, 10, map[int]string{1: "4"}) // a bucket that is garbage comes into use again
	last.Revision = "ghi"
	must(t, s.PutState(ctx, last))
	keys, _, err := s.kv.Keys(s.prefix+stateFolder, "", nil)
	must(t, err)
	_, pieces, err := new(base).next(last)
	must(t, err)
	if len(keys) > len(pieces)+4 { // and those of generation 6, which have just become garbage
		t.Errorf("%d pieces are stored, %d are needed", len(keys), len(pieces))
	}
	got, _, err := s.State(ctx)
	must(t, err)
	if diff := cmp.Diff(last, got); diff != "" {
		t.Errorf("the state (-want +got):\n%s", diff)
	}
}

// A large file is cut into pieces, and comes back whole.
func TestLargeFile(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	s := openAt(t, server.Address)
	data := make([]byte, 3*pieceSize)
	random := uint32(1)
	for i := range data { // nothing that compresses
		random ^= random << 13
		random ^= random >> 17
		random ^= random << 5
		data[i] = byte(random)
	}
	_, err := s.PutRevision(t.Context(), store.Revision{Hash: "h", Files: []store.File{{Name: "a", Data: data}, {Name: "empty"}}})
	must(t, err)
	got, err := s.Revision(t.Context(), 1)
	must(t, err)
	if string(got.Files[0].Data) != string(data) || len(got.Files[1].Data) != 0 {
		t.Error("the files are not what was stored")
	}
}

// A Consul that lost everything, or whose values somebody changed, gives an
// error or nothing, never something wrong; and the next state mends it.
func TestDamage(t *testing.T) {
	server := consultest.Start(t, 1)[0]
	s := openAt(t, server.Address)
	ctx := t.Context()
	must(t, s.PutState(ctx, stateWith(1, 10, nil)))
	_, err := s.kv.DeleteTree(s.prefix, nil)
	must(t, err)
	if _, found, err := s.State(ctx); found || err != nil {
		t.Errorf("of an emptied Consul: found %v, %v", found, err)
	}
	must(t, s.PutState(ctx, stateWith(2, 10, nil)))
	fresh := func() *Store {
		r, err := Open(Options{Address: server.Address, Prefix: s.prefix})
		must(t, err)
		return r
	}
	if got, _, err := fresh().State(ctx); err != nil || got.Generation != 2 {
		t.Errorf("after the emptied Consul was written: generation %d, %v", got.Generation, err)
	}
	keys, _, err := s.kv.Keys(s.prefix, "", nil)
	must(t, err)
	for _, key := range keys {
		pair, _, err := s.kv.Get(key, nil)
		must(t, err)
		for what, value := range map[string][]byte{"garbage": []byte("garbage"), "empty": {}, "torn": pair.Value[:len(pair.Value)/2]} {
			_, err = s.kv.Put(&consul.KVPair{Key: key, Value: value}, nil)
			must(t, err)
			if _, found, err := fresh().State(ctx); found || err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("%s is %s: found %v, %v; want an error that names the key", key, what, found, err)
			}
		}
		_, err = s.kv.Put(pair, nil)
		must(t, err)
	}
}

func patiently(t *testing.T, what string, true_ func() bool) {
	t.Helper()
	for begin := time.Now(); !true_(); time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("not within a minute: ", what)
		}
	}
}

// With two of three servers gone, what is stored is still read, and nothing can
// be written; when they are back all is as before.
func TestNoLeader(t *testing.T) {
	servers := consultest.Start(t, 3)
	s := openAt(t, servers[0].Address)
	ctx := t.Context()
	must(t, s.PutState(ctx, stateWith(1, 3, nil)))
	changes := s.Watch(ctx)
	// What two of three have is stored; the third must have it too before it is alone.
	patiently(t, "the third server has the state", func() bool {
		pair, _, err := s.kv.Get(s.prefix+"heads/"+stateHead, &consul.QueryOptions{AllowStale: true})
		return err == nil && pair != nil
	})
	servers[1].Kill()
	servers[2].Kill()
	patiently(t, "the state is read without a leader", func() bool {
		got, found, err := s.State(ctx)
		return found && err == nil && got.Generation == 1
	})
	short, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := s.PutState(short, stateWith(2, 3, nil)); err == nil {
		t.Error("a state was stored without a leader")
	}
	servers[1].Run(t)
	servers[2].Run(t)
	consultest.AwaitLeader(t, servers)
	patiently(t, "a state is stored again", func() bool { return s.PutState(ctx, stateWith(3, 3, nil)) == nil })
	select {
	case c := <-changes:
		if !c.State {
			t.Errorf("told of %+v", c)
		}
	case <-time.After(time.Minute):
		t.Error("the change was not told of")
	}
}

// Nothing that a Consul says makes the store panic, and a Consul that is not
// there is told of within the time that a request may take.
func TestNobodyThere(t *testing.T) {
	s := openAt(t, "127.0.0.1:1")
	if _, _, err := s.State(t.Context()); err == nil || !strings.Contains(err.Error(), "heads/state") {
		t.Errorf("State: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes := s.Watch(ctx)
	cancel()
	for range changes {
	}
}

// A Consul that answers every blocking query at once, with nothing new, is not asked
// as fast as it answers.
func TestNotHeldIsNotRunDown(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("X-Consul-Index", "7")
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	s, err := Open(Options{Address: server.Listener.Addr().String()})
	must(t, err)
	defer s.Close()
	began := time.Now()
	s.Watch(t.Context())
	time.Sleep(2 * time.Second)
	// 10, 20, 40 … 640 ms, and then once a second.
	if n, most := asked.Load(), int64(10+time.Since(began)/time.Second); n > most {
		t.Errorf("it was asked %d times, at most %d are in order", n, most)
	}
}

// Whatever answers in Consul's stead, nothing panics: one that did would take a door
// with it.
func TestNonsense(t *testing.T) {
	for _, body := range []string{
		`null`, `{}`, `[]`, `[null]`, `[{}]`, `[[]]`, `"text"`, `7`, `[{"Key":"x"}]`, `[{"Key":"fairway/","Value":"Z2FyYmFnZQ=="}]`, `[{"Key":"fairway/heads/state","Value":"e30="}]`,
		`[{"Service":null,"Node":null,"Checks":null}]`, `[{"Service":{"Meta":{"prefix":"fairway/"}},"Checks":[null,{}]}]`, `{"Results":[null,{"KV":null}],"Errors":[null]}`, `[{"Key":"fai`, "",
	} {
		for _, status := range []int{200, 500} {
			t.Run(fmt.Sprint(status, " ", body), func(t *testing.T) {
				t.Parallel()
				answersNonsense(t, status, body)
			})
		}
	}
}

// answersNonsense asks for everything where there is always the same answer. What comes
// of it is the business of other tests; here it only comes.
func answersNonsense(t *testing.T, status int, body string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	defer server.Close()
	s, err := Open(Options{Address: server.Listener.Addr().String(), Writer: true})
	must(t, err)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watched := s.Watch(ctx)
	s.Members(ctx)
	s.State(ctx)
	s.InForce(ctx)
	s.Overrides(ctx)
	s.OverrideLog(ctx)
	s.Revisions(ctx)
	s.Revision(ctx, 1)
	s.LatestRevision(ctx)
	s.Values(ctx, "keys")
	s.PutState(ctx, stateWith(1, 1, nil))
	s.acquire(ctx, "session", Candidate{Node: "a"})
	s.holds(ctx, "session", new(uint64))
	cancel()
	for range watched { // until it is closed
	}
}
