package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/probes/agent"
	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/store"
	"fairway/steering/store/consulstore"
	"fairway/steering/store/consultest"
	"fairway/steering/store/filestore"
	"fairway/steering/store/kept"
	"fairway/steering/store/replica"
	"fairway/steering/vantage"

	consul "github.com/hashicorp/consul/api"
	"github.com/klauspost/compress/zstd"
)

var recordWire = flag.String("record-wire", "", "write what this release writes, for others to read, into this folder of testdata/wire")

// wireFolders hold what releases wrote, one each: the present one and those that must
// still be understood.
func wireFolders(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("testdata/wire/*")
	if err != nil || len(all) == 0 {
		t.Fatalf("nothing is recorded: %v", err)
	}
	return all
}

// wire is everything that nodes of two releases may have to read of each other, as
// files: in Consul, on disk, and over HTTP.
type wire struct {
	t      *testing.T
	consul *consultest.Server
	prefix int
}

var wireTime = time.Date(2026, 3, 1, 12, 0, 0, 123000000, time.UTC)

// TestWire: this release reads what the releases before it wrote, byte by byte as they
// wrote it, also with fields in it that only a later release knows; and what it writes
// holds all that those releases look for, under the same names and in the same form.
func TestWire(t *testing.T) {
	w := &wire{t: t, consul: consultest.Start(t, 1)[0]}
	if *recordWire != "" {
		folder := filepath.Join("testdata/wire", *recordWire)
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		w.write(folder)
	}
	now := t.TempDir()
	w.write(now)
	for _, folder := range wireFolders(t) {
		t.Run("reads "+filepath.Base(folder), func(t *testing.T) { w.reads(t, folder) })
		t.Run("is read by "+filepath.Base(folder), func(t *testing.T) { isRead(t, folder, now) })
	}
	t.Run("http", w.overHTTP)
}

// wireContents are the contents that are written everywhere.
func wireContents() store.Contents {
	state := steering.State{
		Version: steering.StateVersion, Generation: 41, Published: wireTime, Revision: "hash-8", Services: map[string]steering.GroupRecords{},
		Health: steering.HealthTable{}.With(map[steering.Subject]map[string]steering.Health{"endpoint live/alpha": {"eu": {
			Verdict: steering.Healthy, Since: wireTime, Samples: 12, Availability: 0.75, P50: time.Millisecond, Newest: wireTime, Evidence: "3 of 3 vantages",
		}}}),
		Moved: map[string]time.Time{"live": wireTime},
		Usage: &steering.UsageState{Covered: map[string]float64{"eu": 0.75}, Flows: map[string]map[string]float64{"live": {"eu/all": 12.5}}},
	}
	best := steering.Reason{Code: steering.ReasonBest, Detail: "d"}
	record := steering.SplitRecord{
		TTL: 30 * time.Second, Reason: best, Holds: []steering.Hold{{By: steering.HoldDwell, Until: wireTime, Note: "alpha"}},
		Candidates: []steering.CandidateRecord{
			{Endpoint: "live/alpha", Weight: 0.75, Correction: 1.25, Verdict: steering.Healthy, Score: 0.5, Reason: best},
			{Endpoint: "live/bravo", Weight: 0.25, Verdict: steering.Degraded, Reason: best},
		},
		Memory: steering.Memory{
			Measured: true, Chosen: wireTime, Moved: wireTime, Spec: 7, Recovered: map[string]time.Time{"live/bravo": wireTime}, Lost: map[string]bool{"live/bravo": true},
			Left: map[string]time.Time{"live/bravo": wireTime}, Target: map[string]float64{"live/alpha": 1}, Wanted: map[string]float64{"live/alpha": 1},
		},
	}
	state.Services["live"] = steering.GroupRecords{"eu/all": record, "na/all": record}
	o := steering.Override{ID: "o1", Kind: steering.Drain, Provider: "alpha", Region: "eu", Reason: "maintenance", Author: "ann", Created: wireTime, Expires: wireTime.Add(time.Hour)}
	c := store.Contents{
		InForce: &store.InForce{
			Version: 12, Revision: 8, Applied: true, Disk: "disk", Vouched: "hash-8", Canary: &store.Canary{Revision: 9, Share: 0.25},
			Watch: &store.Watch{Revision: 9, Began: wireTime, Until: wireTime.Add(time.Hour), RevertIf: "true", Promote: true},
			Ended: &store.Ended{Revision: 7, How: store.EndedPassed, Detail: "d", By: "ann", At: wireTime},
		},
		Overrides: []steering.Override{o}, Log: []steering.OverrideEvent{{At: wireTime, Action: "put", By: "ann", Override: o}},
		Values: []store.NamedValue{{Folder: "dnssec", Name: "video.example", Value: store.Value{Version: 3, Data: []byte("sealed")}}}, State: &state,
	}
	for number := uint64(9); number > 6; number-- {
		c.Revisions = append(c.Revisions, store.Revision{
			Number: number, Hash: fmt.Sprint("hash-", number), Author: "ann", Reason: "because", Created: wireTime, Parent: number - 1, Restores: 7,
			Files: []store.File{{Name: "fairway.yaml", Data: []byte("services: {}\n")}},
		})
	}
	return c
}

// stepped is the state after the one that is written first: a small step.
func stepped(s steering.State) steering.State {
	s.Generation, s.Published = s.Generation+1, s.Published.Add(time.Second)
	record := s.Services["live"]["eu/all"]
	record.TTL = 7 * time.Second
	s.Services = map[string]steering.GroupRecords{"live": {"eu/all": record, "na/all": s.Services["live"]["na/all"]}}
	return s
}

// write writes everything into a folder.
func (w *wire) write(folder string) {
	t, c := w.t, wireContents()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.MkdirAll(folder, 0o755))
	last := stepped(*c.State)

	shared := w.open(true)
	defer shared.Close()
	check(shared.Import(t.Context(), c))
	check(shared.PutState(t.Context(), last))
	check(os.WriteFile(filepath.Join(folder, "consul.json"), w.dump(), 0o644))

	data := filepath.Join(folder, "data")
	own, err := filestore.Open(data, filestore.Options{Writer: true})
	check(err)
	check(own.Import(t.Context(), c))
	check(own.PutState(t.Context(), last))
	check(own.Close())
	os.Remove(filepath.Join(data, "lock"))

	ctx, stop := context.WithCancel(t.Context())
	copied, err := replica.Open(ctx, replica.Config{Shared: shared, Dir: filepath.Join(folder, "copy")})
	check(err)
	_, err = copied.Values(ctx, "dnssec")
	check(err)
	copied.Accept("hash-8")
	ended := make(chan error, 1)
	go func() { ended <- copied.Run(ctx) }()
	until(t, patience, "the copy is on disk", func() bool { return !copied.Contact().Copied.IsZero() })
	stop()
	check(<-ended)

	full, err := store.Export(t.Context(), shared, valueFolders...)
	check(err)
	check(kept.Write(filepath.Join(folder, "backup"), full))
	delta, ok := steering.Difference(c.State, &last)
	if !ok {
		t.Fatal("the step is no small one")
	}
	for name, value := range map[string]any{
		"delta.json": delta,
		"batch.json": api.Batch{Version: api.BatchVersion, Sender: api.WireSender(vantage.Sender{Vantage: "ams", Boot: "boot", Sequence: 1, Sent: wireTime, Version: "v"}),
			Measurements: []api.Measurement{api.WireMeasurement(steering.Measurement{
				Subject: "endpoint live/alpha", Vantage: "ams", Region: "eu", Address: netip.MustParseAddr("192.0.2.1"), At: wireTime, Outcome: steering.OutcomeOK,
				Status: 200, Bytes: 100, Phases: steering.Phases{Connect: time.Millisecond, TLS: time.Millisecond, TTFB: time.Millisecond, Transfer: time.Millisecond},
			})}},
		"counts.json": api.UsageReport{Version: api.UsageVersion, Doors: &api.DoorCounts{Node: "dns-1/1", Handed: []steering.Handed{{Service: "live", Region: "eu", Rule: "all", Endpoint: "live/alpha", Count: 7}}}},
		"assignment.json": agent.Work{Version: agent.WorkVersion, Revision: "hash-8", Vantage: steering.Vantage{Name: "ams", Region: "eu"}, Unsigned: []string{"alpha"},
			Authorities: map[string][]byte{"ca.pem": []byte("pem")}, Subnet: netip.MustParsePrefix("192.0.2.0/24")},
		"node.json": fleetNode{Name: "dns-1", Address: "http://192.0.2.1:8400", Roles: []string{"dns"}, Version: "v", Health: "ready", Generation: 41, Published: wireTime,
			LagSeconds: 0.5, Revision: "hash-8", Leads: true, Leader: "control-1", Term: 3, Started: wireTime, Contact: wireTime, Trouble: []string{"t"}, Load: 0.25, Answers: true},
	} {
		text, err := json.MarshalIndent(value, "", "  ")
		check(err)
		check(os.WriteFile(filepath.Join(folder, name), append(text, '\n'), 0o644))
	}
}

func (w *wire) open(writer bool) *consulstore.Store {
	w.prefix++
	return w.openAt(fmt.Sprint("wire-", w.prefix), writer)
}

func (w *wire) openAt(prefix string, writer bool) *consulstore.Store {
	w.t.Helper()
	s, err := consulstore.Open(consulstore.Options{Address: w.consul.Address, Scheme: "http", Prefix: prefix, Writer: writer})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *wire) kv() *consul.KV {
	config := consul.DefaultConfig()
	config.Address = w.consul.Address
	c, err := consul.NewClient(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.KV()
}

// dump is all that lies under the newest prefix.
func (w *wire) dump() []byte {
	prefix := fmt.Sprintf("wire-%d/", w.prefix)
	pairs, _, err := w.kv().List(prefix, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	values := make(map[string][]byte)
	for _, pair := range pairs {
		values[strings.TrimPrefix(pair.Key, prefix)] = pair.Value
	}
	text, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		w.t.Fatal(err)
	}
	return append(text, '\n')
}

// reads reads what is recorded, as it is and with what only a later release knows.
func (w *wire) reads(t *testing.T, folder string) {
	backup, err := kept.Read[store.Contents](filepath.Join(folder, "backup"))
	if err != nil {
		t.Fatal(err)
	}
	want := wireContents()
	last := stepped(*want.State)
	want.State = &last
	if what := differing(want, backup); what != "" {
		t.Errorf("backup: %s differ", what)
	}
	for _, later := range []bool{false, true} {
		s := w.load(t, folder, later)
		got, err := store.Export(t.Context(), s, valueFolders...)
		s.Close()
		if err != nil {
			t.Fatalf("consul: %v", err)
		}
		if what := differing(want, got); what != "" {
			t.Errorf("consul, with fields of a later release %v: %s differ", later, what)
		}
		data := copyRecorded(t, filepath.Join(folder, "data"), later)
		own, err := filestore.Open(data, filestore.Options{Writer: true, Warn: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		got, err = store.Export(t.Context(), own, valueFolders...)
		own.Close()
		if err != nil {
			t.Fatalf("data folder: %v", err)
		}
		if what := differing(want, got); what != "" {
			t.Errorf("data folder, with fields of a later release %v: %s differ", later, what)
		}
		empty, err := filestore.Open(t.TempDir(), filestore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		copied, err := replica.Open(t.Context(), replica.Config{Shared: empty, Dir: copyRecorded(t, filepath.Join(folder, "copy"), later), Warn: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		got = copied.Kept()
		accepted, known := copied.Accepted(t.Context())
		copied.Close()
		if len(got.Revisions) != 3 || !known || accepted.Hash != "hash-8" {
			t.Errorf("copy: %d revisions, accepted %q", len(got.Revisions), accepted.Hash)
		}
		got.Revisions, got.Log = want.Revisions, want.Log
		if what := differing(want, got); what != "" {
			t.Errorf("copy, with fields of a later release %v: %s differ", later, what)
		}
	}
	delta := readAs[steering.Delta](t, filepath.Join(folder, "delta.json"))
	if next, err := delta.Apply(*wireContents().State); err != nil || next.Generation != last.Generation || next.Services["live"]["eu/all"].TTL != 7*time.Second {
		t.Errorf("delta: %+v, %v", next, err)
	}
	if n := readAs[fleetNode](t, filepath.Join(folder, "node.json")); n.Name != "dns-1" || n.Generation != 41 || n.Load != 0.25 || !n.Leads {
		t.Errorf("node: %+v", n)
	}
	work := readAs[agent.Work](t, filepath.Join(folder, "assignment.json"))
	if aim, err := work.Aim(t.TempDir()); err != nil || len(aim.Vantages) != 1 || aim.Vantages[0].Name != "ams" {
		t.Errorf("assignment: %+v, %v", aim, err)
	}
}

// readAs decodes a recorded value with what only a later release knows in it.
func readAs[T any](t *testing.T, path string) (value T) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(withLater(text), &value)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return value
}

// load puts what is recorded into Consul.
func (w *wire) load(t *testing.T, folder string, later bool) *consulstore.Store {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "consul.json"))
	var values map[string][]byte
	if err == nil {
		err = json.Unmarshal(text, &values)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.prefix++
	prefix := fmt.Sprintf("wire-%d", w.prefix)
	for key, value := range values {
		if later && !strings.HasPrefix(key, "state/") && !strings.HasPrefix(key, "files/") {
			value = withLater(value)
		}
		if _, err := w.kv().Put(&consul.KVPair{Key: prefix + "/" + key, Value: value}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return w.openAt(prefix, false)
}

// withLater adds a field that nobody knows to a JSON object, and to the object that is
// its value where it has one.
func withLater(text []byte) []byte {
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil {
		return text
	}
	for _, inner := range []string{"value", "state"} {
		if value := bytes.TrimSpace(object[inner]); len(value) > 0 && value[0] == '{' {
			object[inner] = withLater(value)
		}
	}
	object["of_a_later_release"] = json.RawMessage(`{"what": ["nobody", 1]}`)
	changed, err := json.Marshal(object)
	if err != nil {
		panic(err) // it was JSON
	}
	return changed
}

// copyRecorded copies a recorded folder, whose files may get fields of a later release.
func copyRecorded(t *testing.T, from string, later bool) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if !later {
		return to
	}
	err := filepath.WalkDir(to, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		body, err := kept.Read[json.RawMessage](path)
		if err == nil {
			err = kept.Write(path, json.RawMessage(withLater(body)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// isRead checks that what is written now holds all that was recorded: whoever reads what
// was recorded reads this.
func isRead(t *testing.T, recorded, now string) {
	seen := 0
	err := filepath.WalkDir(recorded, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(recorded, path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".1") || strings.HasSuffix(name, ".2") {
			return nil // an older copy
		}
		seen++
		was, err := documents(path)
		if err != nil {
			return err
		}
		is, err := documents(filepath.Join(now, name))
		if err != nil {
			return err
		}
		for at, old := range was {
			if !slices.ContainsFunc(is, func(text any) bool { return holds(old, text) == "" }) {
				why := "there are fewer"
				if at < len(is) {
					why = holds(old, is[at])
				}
				t.Errorf("%s: what was document %d is no longer there: %s", name, at, why)
			}
		}
		return nil
	})
	if err != nil || seen < 12 {
		t.Errorf("%d files: %v", seen, err)
	}
}

// documents are the JSON texts in a recorded file: the file itself, what follows the
// headers of a kept one, or the values of Consul's keys, unpacked.
func documents(path string) (list []any, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var texts [][]byte
	switch {
	case filepath.Base(path) == "consul.json":
		var values map[string][]byte
		if err := json.Unmarshal(data, &values); err != nil {
			return nil, err
		}
		for key, value := range values {
			if strings.HasPrefix(key, "state/") || strings.HasPrefix(key, "files/") {
				if value, err = unzstd(value); err != nil {
					return nil, fmt.Errorf("%s: %w", key, err)
				}
			}
			if json.Valid(value) {
				texts = append(texts, value)
			}
		}
	default:
		for line := range bytes.Lines(data) {
			if !bytes.HasPrefix(line, []byte("fairway-store ")) {
				texts = append(texts, line)
			}
		}
		if whole := bytes.Join(texts, nil); json.Valid(whole) {
			texts = [][]byte{whole}
		}
	}
	for _, text := range texts {
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, value)
	}
	return list, nil
}

func unzstd(data []byte) ([]byte, error) {
	decoder, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	return io.ReadAll(decoder)
}

// hashed is the name of a piece, which is another when the compressor is.
var hashed = regexp.MustCompile(`^[0-9a-f]{16}([0-9a-f]{16})?$`)

// holds tells what of an old JSON value is not in a new one; "" = all is. A new one may
// say more.
func holds(old, now any) string {
	switch old := old.(type) {
	case map[string]any:
		object, is := now.(map[string]any)
		if !is {
			return fmt.Sprintf("%v is no object", now)
		}
		for key, value := range old {
			other, there := object[key]
			if !there {
				return key + " is missing"
			}
			if key == "last" { // a packed change
				continue
			}
			if why := holds(value, other); why != "" {
				return key + ": " + why
			}
		}
	case []any:
		list, is := now.([]any)
		if !is || len(list) != len(old) {
			return fmt.Sprintf("%v is not %v", now, old)
		}
		for i := range old {
			if why := holds(old[i], list[i]); why != "" {
				return fmt.Sprintf("[%d]: %s", i, why)
			}
		}
	case string:
		text, is := now.(string)
		if !is || text != old && !(hashed.MatchString(text) && hashed.MatchString(old)) {
			return fmt.Sprintf("%v is not %q", now, old)
		}
	default:
		if !reflect.DeepEqual(old, now) {
			return fmt.Sprintf("%v is not %v", now, old)
		}
	}
	return ""
}

// overHTTP has a control node take what probes and doors of other releases send.
func (w *wire) overHTTP(t *testing.T) {
	d := newDoors(t)
	folder := t.TempDir()
	config := write(t, folder, "fairway.yaml", fmt.Sprintf(`
listen: {api: %q}
vantages: {ams: {region: eu}}
regions: {eu: {continents: [EU]}}
providers: {alpha: {}, bravo: {}}
probes: {up: {type: http, path: /}}
services: {live: {hostnames: [live.example], probe: up, endpoints: [{provider: alpha, host: alpha.example}, {provider: bravo, host: bravo.example}]}}
`, d.api))
	start(t, folder, "run", "--config", config, "--data", filepath.Join(folder, "data"), "--role", "control")
	until(t, patience, "control answers", func() bool {
		r, err := direct.Get("http://" + d.api + "/healthz")
		if err == nil {
			r.Body.Close()
		}
		return err == nil
	})
	for _, recorded := range wireFolders(t) {
		for name, path := range map[string]string{"batch.json": "/api/v1/measurements", "counts.json": "/api/v1/usage"} {
			text, err := os.ReadFile(filepath.Join(recorded, name))
			if err != nil {
				t.Fatal(err)
			}
			// What is sent at another time is refused.
			text = bytes.ReplaceAll(text, []byte(wireTime.Format(time.RFC3339Nano)), []byte(time.Now().UTC().Format(time.RFC3339Nano)))
			for what, body := range map[string][]byte{"as it is": text, "with fields of a later release": laterFirst(text)} {
				r, err := direct.Post("http://"+d.api+path, "application/json", bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				answer, _ := io.ReadAll(r.Body)
				r.Body.Close()
				if r.StatusCode >= http.StatusMultipleChoices {
					t.Errorf("%s of %s, %s: HTTP %d %s", name, filepath.Base(recorded), what, r.StatusCode, answer)
				}
			}
		}
	}
}

// laterFirst is withLater for a batch: in the objects that it holds, and after its
// sender, as programs write it.
func laterFirst(text []byte) []byte {
	const more = `"of_a_later_release": {"what": [1]}, `
	for _, before := range []string{`"vantage": "ams",`, `"subject": `, `"node": "dns-1/1",`, `"measurements": `} {
		text = bytes.Replace(text, []byte(before), []byte(more+before), 1)
	}
	return text
}
