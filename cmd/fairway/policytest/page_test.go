package policytest

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

var block = regexp.MustCompile("(?s)```(yaml|text)\n(?:# (\\S+)\n)?(.*?)```")

// TestPage: the example of docs/POLICY-TESTS.md holds, its wrong test fails, and
// says what the page shows.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/POLICY-TESTS.md")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	shown := ""
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		if m[1] == "text" {
			shown = m[3]
		} else {
			files[m[2]] = "# " + m[2] + "\n" + m[3]
		}
	}
	t.Chdir(write(t, files))
	report, err := Run(Config{Paths: []string{"fairway_test.yaml", "wrong_test.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	report.Print(&out, false)
	if !report.Files[0].OK || report.Files[1].OK || shown == "" || !strings.Contains(out.String(), shown) {
		t.Errorf("the page shows\n%s\nthe program says\n%s", shown, &out)
	}
	if report.Coverage.Share() < 1 {
		t.Errorf("the page's example does not reach %v", report.Coverage.Uncovered)
	}
}
