package probes

import (
	"os"
	"strings"
	"testing"
	"time"
)

// page has the tables that tests write with -update and hold true without.
const page = "../docs/PROBES.md"

// keepTable compares a table with what stands in the page between two comments of its
// name; like tells whether two cells of one column say the same.
func keepTable(t *testing.T, name string, head []string, rows [][]string, like func(column, was, is string) bool) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+": written by a test -->\n", "<!-- /"+name+" -->"
	before, rest, found := strings.Cut(string(text), begin)
	was, after, ends := strings.Cut(rest, end)
	if !found || !ends {
		t.Fatalf("%s has no place for the table %s", page, name)
	}
	if *update {
		var b strings.Builder
		line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
		line(head)
		b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
		for _, row := range rows {
			line(row)
		}
		if err := os.WriteFile(page, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	written := cellsOf(was)
	if len(written) != len(rows)+1 {
		t.Fatalf("the table %s of %s has %d rows, the test found %d: go test ./probes -update writes it", name, page, len(written)-1, len(rows))
	}
	for i, row := range append([][]string{head}, rows...) {
		for k, is := range row {
			if was := written[i][k]; was != is && (i == 0 || !like(head[k], was, is)) {
				t.Errorf("the table %s of %s says %q of %s, the test found %q", name, page, was, row[0], is)
			}
		}
	}
}

// cellsOf reads a table without the line below its head.
func cellsOf(table string) [][]string {
	var rows [][]string
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		if i == 1 {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for k := range cells {
			cells[k] = strings.TrimSpace(cells[k])
		}
		rows = append(rows, cells)
	}
	return rows
}

// closeTo takes two times for alike that differ by no more.
func closeTo(slack time.Duration) func(column, was, is string) bool {
	return func(_, was, is string) bool {
		a, err1 := time.ParseDuration(strings.ReplaceAll(was, " ", ""))
		b, err2 := time.ParseDuration(strings.ReplaceAll(is, " ", ""))
		return err1 == nil && err2 == nil && (a-b).Abs() <= slack
	}
}
