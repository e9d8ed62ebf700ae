package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/consultest"
	"fairway/steering/store/filestore"
)

// command runs a command line in this process.
func inProcess(args ...string) (out string, code int) {
	var b bytes.Buffer
	code = execute(args, &b, &b)
	return b.String(), code
}

// TestStoreCommands: what is in a data folder comes to Consul and into a file, number
// by number; nothing alive is written over.
func TestStoreCommands(t *testing.T) {
	consul := consultest.Start(t, 1)[0]
	folder := t.TempDir()
	const world = "providers: {a: {}}\nservices: {live: {hostnames: [live.example], endpoints: [{provider: a, url: \"https://a.example\"}]}}\n"
	config := write(t, folder, "fairway.yaml", world+fmt.Sprintf("store: {consul: {address: %q}}\n", consul.Address))
	data := filepath.Join(folder, "data")
	s, err := filestore.Open(data, filestore.Options{Writer: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	number, err := s.PutRevision(ctx, store.Revision{Hash: "one", Author: "ann", Files: []store.File{{Name: "fairway.yaml", Data: []byte(world)}}})
	if err == nil {
		_, err = s.PutInForce(ctx, store.InForce{Revision: number})
	}
	if err == nil {
		err = s.PutOverride(ctx, steering.Override{ID: "x", Kind: steering.Drain, Provider: "a", Reason: "r", Author: "ann", Created: time.Now(), Expires: time.Now().Add(time.Hour)})
	}
	if err == nil {
		err = s.PutState(ctx, steering.State{Version: steering.StateVersion, Generation: 41, Published: time.Now(), Revision: "one"})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	const all = "1 revision, revision 1 in force, 1 override, 0 values, decisions of generation 41"
	if out, code := inProcess("store", "migrate", "--config", config, "--data", data); code != 0 || !strings.Contains(out, "stored and verified: "+all) {
		t.Fatalf("migrate: exit %d, %s", code, out)
	}
	if out, code := inProcess("store", "migrate", "--config", config, "--data", data); code == 0 || !strings.Contains(out, "in force there already") {
		t.Errorf("migrate over what is there: exit %d, %s", code, out)
	}
	backup := filepath.Join(folder, "backup")
	if out, code := inProcess("store", "export", "--config", config, backup); code != 0 || !strings.Contains(out, "exported: "+all) {
		t.Errorf("export: exit %d, %s", code, out)
	}
	local := write(t, folder, "local.yaml", world)
	if out, code := inProcess("store", "import", "--config", local, "--data", filepath.Join(folder, "other"), backup); code != 0 || !strings.Contains(out, "stored and verified: "+all) {
		t.Errorf("import: exit %d, %s", code, out)
	}
	torn := write(t, folder, "torn", "fairway-store 1 sha256 00 3\n{}")
	if out, code := inProcess("store", "import", "--config", local, "--data", filepath.Join(folder, "third"), torn); code == 0 || !strings.Contains(out, "damaged") {
		t.Errorf("import of a damaged file: exit %d, %s", code, out)
	}
}

// revisionOfServices is a world of so many services.
func revisionOfServices(t *testing.T, n int) *configuration {
	t.Helper()
	var text strings.Builder
	text.WriteString("providers: {a: {}}\nservices:\n")
	for i := range n {
		fmt.Fprintf(&text, "  s%d: {hostnames: [s%d.example], endpoints: [{provider: a, url: \"https://a.example\"}]}\n", i, i)
	}
	c, findings, err := compile([]policies.File{{Name: "fairway.yaml", Data: []byte(text.String())}}, false)
	if err != nil {
		t.Fatal(findings, err)
	}
	return c
}

// A world that shrinks by more than half waits for a word, unless a control node
// vouches for it.
func TestHoldBack(t *testing.T) {
	ten, five, four := revisionOfServices(t, 10), revisionOfServices(t, 5), revisionOfServices(t, 4)
	if why := shrinks(ten.Revision, five.Revision); why != "" {
		t.Errorf("half is held: %s", why)
	}
	if why := shrinks(ten.Revision, four.Revision); !strings.Contains(why, "of 10 services only 4") {
		t.Errorf("less than half: %q", why)
	}
	if why := shrinks(four.Revision, ten.Revision); why != "" {
		t.Errorf("growth is held: %s", why)
	}
}
