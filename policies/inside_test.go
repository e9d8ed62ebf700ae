package policies

import (
	"fmt"
	"strings"
	"testing"
)

// TestInside places a mistake within scalars of every style: the unknown name
// `oops` must be found where it stands, or the scalar where YAML folded it.
func TestInside(t *testing.T) {
	tests := []struct {
		name, scalar string
		line, col    int // of the finding, counted from the line of score and its column
	}{
		{"plain", `1 + oops`, 0, 4},
		{"single quotes", `'1 + oops'`, 0, 5},
		{"single quotes, escaped", `'provider == ''akamai'' ? 1 : oops'`, 0, 30},
		{"double quotes, escaped", `"provider == \"akamai\" ? 1 : oops"`, 0, 30},
		{"double quotes, hexadecimal", `"\x31 + \u0031 + \U00000031 + oops"`, 0, 30},
		{"double quotes, beyond ASCII", `"provider == '\u00e9é' ? 1 : oops"`, 0, 29},
		{"literal", "|-\n        1 +\n          oops", 2, -2},
		{"folded", ">-\n        1 +\n        oops", 0, 0},
		{"plain over two lines", "1 +\n        oops", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := fmt.Sprintf("policies:\n  p:\n    defaults:\n      score: %s\n", tt.scalar)
			_, findings := Compile([]File{{Name: "x.yaml", Data: []byte(text)}})
			const scoreLine, scalarCol = 4, 14
			line, col := scoreLine+tt.line, scalarCol+tt.col
			if tt.col < 0 {
				col = strings.Index(strings.Split(text, "\n")[line-1], "oops") + 1
			}
			found := false
			for _, f := range findings {
				if strings.Contains(f.Message, `unknown variable "oops"`) {
					found = true
					if f.Place.Line != line || f.Place.Col != col {
						t.Errorf("%s\nwant %d:%d in\n%s", f, line, col, text)
					}
				}
			}
			if !found {
				t.Errorf("not found:\n%s", report(findings))
			}
		})
	}
}
