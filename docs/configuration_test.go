package docs

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fairway/policies"
)

const configurationPage = "CONFIGURATION.md"

// TestConfigurationExamples compiles every complete example of the page: what
// people copy has no finding at all.
func TestConfigurationExamples(t *testing.T) {
	page, err := os.ReadFile(configurationPage)
	if err != nil {
		t.Fatal(err)
	}
	examples := blocks(string(page), "```yaml complete")
	if len(examples) < 2 {
		t.Errorf("%s has %d complete examples; want a minimal and a fuller one", configurationPage, len(examples))
	}
	for line, text := range examples {
		c, findings := policies.Compile([]policies.File{{Name: configurationPage, Data: []byte(text)}})
		if c == nil || len(findings) > 0 {
			t.Errorf("%s:%d: the example that begins here, with its lines counted from there:\n%v", configurationPage, line, findings)
		}
	}
}

// blocks returns the fenced blocks that begin with a line, by its number.
func blocks(page, fence string) map[int]string {
	found := make(map[int]string)
	begun := 0
	for i, line := range strings.Split(page, "\n") {
		switch {
		case begun == 0 && line == fence:
			begun = i + 1
		case begun > 0 && line == "```":
			begun = 0
		case begun > 0:
			found[begun] += line + "\n"
		}
	}
	return found
}

// withoutBlocks leaves out what is fenced: an example uses a word and does not
// explain it.
func withoutBlocks(page string) string {
	var kept strings.Builder
	fenced := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		} else if !fenced {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// TestConfigurationNamesAll holds the page to every word of the language: keys,
// variables, reasons and bounds.
func TestConfigurationNamesAll(t *testing.T) {
	page, err := os.ReadFile(configurationPage)
	if err != nil {
		t.Fatal(err)
	}
	sources, err := readSources(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	words := make(map[string]string)
	for _, s := range sources {
		switch {
		case s.isTest():
		case s.folder() == "policies":
			addKeys(words, s)
		case s.name == "steering/split.go":
			addCodes(words, s)
		}
	}
	if len(words) < 110 {
		t.Errorf("found %d words of the language: this test no longer sees where policies and steering state them", len(words))
	}
	told := make(map[string]bool)
	for _, span := range inCodeFont(withoutBlocks(string(page))) {
		for _, word := range strings.FieldsFunc(span, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_-.", r) }) {
			told[word] = true
		}
	}
	for _, word := range slices.Sorted(maps.Keys(words)) {
		if !told[word] {
			t.Errorf("%s: the language has %q, and docs/%s does not mention it in code font\n\tsay there what it means", words[word], word, configurationPage)
		}
	}
}

// addKeys adds the keys that a file of policies reads, with their places: the
// texts in calls of fields(…), the constants that these share, and the variables
// of expressions.
func addKeys(words map[string]string, s source) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if called, ok := n.Fun.(*ast.SelectorExpr); ok && called.Sel.Name == "fields" {
				for _, argument := range n.Args {
					addTexts(words, s, argument)
				}
			}
		case *ast.ValueSpec:
			if name := n.Names[0].Name; name == "topLevel" || name == "stageKeys" {
				addTexts(words, s, n)
			}
		case *ast.FuncDecl:
			if name := n.Name.Name; name == "conditionVariables" || name == "scoreVariables" {
				addTexts(words, s, n)
			}
		}
		return true
	})
}

// addCodes adds the constants of the closed sets of reasons and bounds.
func addCodes(words map[string]string, s source) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if kind, ok := v.Type.(*ast.Ident); ok && (kind.Name == "ReasonCode" || kind.Name == "HoldCode") {
				addTexts(words, s, v)
			}
		}
		return true
	})
}

// addTexts adds the words of every text below a node.
func addTexts(words map[string]string, s source, n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
			value, _ := strconv.Unquote(text.Value)
			for word := range strings.FieldsSeq(value) {
				words[word] = s.at(text.Pos())
			}
		}
		return true
	})
}
