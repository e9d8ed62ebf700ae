package kept

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// records reads a whole journal.
func records(path string) (list []string, err error) {
	err = ReadJournal(path, func(s string) bool { list = append(list, s); return true })
	return list, err
}

// Wherever a journal is cut, or a bit of it turns, the records before are read, and
// nothing that was not written.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	if list, err := records(path); err != nil || list != nil {
		t.Errorf("of a journal that is not there: %q, %v", list, err)
	}
	want := []string{"one", "two\nlines", "three"}
	var ends []int
	end := 0
	for _, s := range want {
		n, err := Append(path, s)
		if err != nil {
			t.Fatal(err)
		}
		end += n
		ends = append(ends, end)
	}
	if list, err := records(path); err != nil || !slices.Equal(list, want) {
		t.Fatalf("read %q, %v", list, err)
	}
	sound, err := os.ReadFile(path)
	if err != nil || len(sound) != end {
		t.Fatalf("%d octets, told %d, %v", len(sound), end, err)
	}
	whole := func(length int) int {
		n := 0
		for n < len(ends) && ends[n] <= length {
			n++
		}
		return n
	}
	for length := range sound {
		if err := os.WriteFile(path, sound[:length], 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := records(path)
		least := whole(length)
		if len(list) < least || len(list) > least+1 || !slices.Equal(list, want[:len(list)]) {
			t.Errorf("cut to %d octets: %q, %v", length, list, err)
		}
		turned := slices.Clone(sound)
		turned[length] ^= 1
		if err := os.WriteFile(path, turned, 0o600); err != nil {
			t.Fatal(err)
		}
		if list, _ := records(path); !slices.Equal(list, want[:len(list)]) || len(list) < least {
			t.Errorf("octet %d turned: %q", length, list)
		}
	}
}
