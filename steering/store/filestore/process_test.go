package filestore

import (
	"fairway/steering/store/kept"

	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests below run this test binary again as another process; these
// variables tell it what to be.
const (
	childRole = "FILESTORE_TEST_ROLE"
	childDir  = "FILESTORE_TEST_DIR"
)

func TestMain(m *testing.M) {
	switch dir := os.Getenv(childDir); os.Getenv(childRole) {
	case "":
		os.Exit(m.Run())
	case "write":
		writeForEver(dir)
	case "no room":
		writeWithoutRoom(dir)
	}
}

func child(t *testing.T, role, dir string) *exec.Cmd {
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// exit ends a child with an error.
func exit(err error) {
	fmt.Fprintln(os.Stderr, "child:", err)
	os.Exit(1)
}

// writeForEver writes generation after generation of everything, and prints
// each when it is stored.
func writeForEver(dir string) {
	s, err := Open(dir, Options{Writer: true, Warn: func(err error) { exit(err) }})
	if err != nil {
		exit(err)
	}
	ctx, last := context.Background(), uint64(0)
	if state, found, err := s.State(ctx); err != nil {
		exit(err)
	} else if found {
		last = state.Generation
	}
	for g := last + 1; ; g++ {
		if err := s.PutState(ctx, stateOf(g)); err != nil {
			exit(err)
		}
		if err := s.PutOverride(ctx, override(fmt.Sprint(g%5))); err != nil {
			exit(err)
		}
		if _, err := s.PutRevision(ctx, revision(fmt.Sprint(g))); err != nil {
			exit(err)
		}
		fmt.Println(g)
	}
}

func TestKillNine(t *testing.T) {
	dir := t.TempDir()
	stored := uint64(0)
	for range 12 {
		cmd := child(t, "write", dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		if !lines.Scan() { // it writes
			t.Fatalf("the writer did not come up: %v", cmd.Wait())
		}
		if _, err := Open(dir, Options{Writer: true}); err == nil || !strings.Contains(err.Error(), fmt.Sprint("pid ", cmd.Process.Pid)) {
			t.Errorf("second writer while %d runs: %v", cmd.Process.Pid, err)
		}
		time.AfterFunc(time.Duration(rand.IntN(30_000))*time.Microsecond, func() { cmd.Process.Kill() })
		for ok := true; ok; ok = lines.Scan() {
			fmt.Sscan(lines.Text(), &stored)
		}
		cmd.Wait()
		checkAfterKill(t, dir, stored)
	}
	if leftovers, _ := filepath.Glob(filepath.Join(dir, "*", kept.TempPattern)); len(leftovers) > 1 {
		t.Errorf("leftovers pile up: %v", leftovers)
	}
}

// checkAfterKill opens what a killed writer left. Warnings fail the test: a kill
// damages nothing.
func checkAfterKill(t *testing.T, dir string, stored uint64) {
	t.Helper()
	s := openWriter(t, dir)
	defer s.Close()
	state, found, err := s.State(t.Context())
	must(t, err)
	if !found || state.Generation < stored {
		t.Fatalf("generation %d, but %d was stored", state.Generation, stored)
	}
	for name, groups := range state.Services {
		if got, want := groups["eu/default"].Reason.Detail, fmt.Sprint(state.Generation); got != want {
			t.Fatalf("%s is of generation %s in a state of generation %s", name, got, want)
		}
	}
	overrides, err := s.Overrides(t.Context())
	must(t, err)
	if last := fmt.Sprint(stored % 5); indexOf(overrides, last) < 0 {
		t.Errorf("override %s of generation %d is not among %d", last, stored, len(overrides))
	}
	r, found, err := s.LatestRevision(t.Context())
	must(t, err)
	var of uint64
	fmt.Sscan(r.Hash, &of)
	if !found || of < stored || string(r.Files[0].Data) != r.Hash {
		t.Errorf("revision %q with content %q after generation %d", r.Hash, r.Files[0].Data, stored)
	}
}

// writeWithoutRoom may write files of 64 bytes at most, as if the disk were
// full after these.
func writeWithoutRoom(dir string) {
	s, err := Open(dir, Options{Writer: true})
	if err != nil {
		exit(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		exit(err)
	}
	_, putRevision := s.PutRevision(context.Background(), revision("bb"))
	for _, err := range []error{
		s.PutState(context.Background(), stateOf(2)),
		s.PutOverride(context.Background(), override("b")),
		putRevision,
	} {
		fmt.Println(err)
	}
	state, _, _ := s.State(context.Background())
	fmt.Println("still", state.Generation)
}

func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	s := openWriter(t, dir)
	must(t, s.PutState(t.Context(), stateOf(1)))
	must(t, s.PutOverride(t.Context(), override("a")))
	_, err := s.PutRevision(t.Context(), revision("aa"))
	must(t, err)
	must(t, s.Close())
	out, err := child(t, "no room", dir).Output()
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 4 || lines[3] != "still 1" {
		t.Fatalf("child said %q", lines)
	}
	for _, line := range lines[:3] {
		if !strings.Contains(line, "file too large") {
			t.Errorf("error %q, want the system's reason", line)
		}
	}
	s = openWriter(t, dir)
	overrides, err := s.Overrides(t.Context())
	must(t, err)
	r, _, err := s.LatestRevision(t.Context())
	must(t, err)
	if len(overrides) != 1 || r.Hash != "aa" {
		t.Errorf("%d overrides, revision %q; want what was there", len(overrides), r.Hash)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	if want := []string{"audit.jsonl", "lock", "overrides.json", "revisions", "state.json"}; !slices.Equal(names, want) {
		t.Errorf("files %v, want %v: the failed ones are gone", names, want)
	}
}
