package policies

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"fairway/steering"
)

// condition compiles a `when`. The result is nil when it is true for every
// client, and never matches when it was reported as wrong.
func (c *compiler) condition(v value) func(*steering.Cell) bool {
	never := func(*steering.Cell) bool { return false }
	if v.node.Tag == "!!bool" {
		v.fault("leave the key out of a rule for every client", "want a condition, have %s", v.describe())
		return never
	}
	text, ok := v.text()
	if !ok {
		return never
	}
	checked, issues := c.language.conditions.Compile(text)
	if issues.Err() != nil {
		v.expressionFaults(issues, conditionVariables(), "compare texts in quotes, such as client.country == \"DE\", and client.asn with a number")
		return never
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		v.fault("compare something, such as client.region == \"eu\"", "a condition must be true or false; this is a %s", typeWord(checked.OutputType()))
		return never
	}
	uses := usesOf(checked)
	c.reads.add(uses)
	c.checkLiterals(v, checked, uses)
	match, err := c.language.conditionFunc(checked)
	if err != nil {
		v.fault("correct the constant it speaks of", "cannot run: %s", clip(err.Error()))
		return never
	}
	if len(uses) > 0 {
		return match
	}
	// Without a variable the outcome is the same for every client.
	if !match(new(steering.Cell)) {
		v.fault("take the rule out, or read something of the client", "is false for every client: the rule can never match")
		return never
	}
	return nil
}

// score compiles a `score`.
func (c *compiler) score(v value) func(*steering.Inputs) float64 {
	text, ok := v.expressionText()
	if !ok {
		return nil
	}
	checked, issues := c.language.checkScore(text)
	if issues.Err() != nil {
		v.expressionFaults(issues, scoreVariables(), "scores are computed from numbers; provider and pool are texts and can be compared: provider == \"akamai\" ? 1 : 0")
		return nil
	}
	switch kind := checked.OutputType(); {
	case kind.IsExactType(cel.DoubleType), kind.IsExactType(cel.IntType), kind.IsExactType(cel.UintType):
	default:
		v.fault("end in a number, such as (provider == \"akamai\" ? 1 : 0) + latency", "a score must be a number; this is a %s", typeWord(kind))
		return nil
	}
	c.checkLiterals(v, checked, usesOf(checked))
	score, err := c.language.scoreFunc(checked)
	if err != nil {
		v.fault("correct the constant it speaks of", "cannot run: %s", clip(err.Error()))
	}
	return score
}

// expressionText is text that may also be a plain number, which is a score.
func (v value) expressionText() (string, bool) {
	if v.node.Tag == "!!int" || v.node.Tag == "!!float" {
		return v.node.Value, true
	}
	return v.text()
}

// checkLiterals reports literals that no value of the variable can equal.
func (c *compiler) checkLiterals(v value, checked *cel.Ast, uses []use) {
	info := checked.NativeRep().SourceInfo()
	for _, u := range uses {
		for _, literal := range u.literals {
			text := literalText(literal.AsLiteral())
			start := info.GetStartLocation(literal.ID())
			at := v.inside(start.Line(), start.Column())
			switch u.variable {
			case "client.region":
				c.mustBe(at, v, region, text)
			case "provider":
				c.mustBe(at, v, provider, text)
			case "pool":
				if text != "" { // endpoints without a pool
					c.mustBe(at, v, pool, text)
				}
			case "client.country":
				c.mustCode(at, v, text, "country", "ISO 3166-1 codes have two capital letters, such as DE", isCountry)
			case "client.subdivision":
				c.mustCode(at, v, text, "subdivision", "ISO 3166-2 codes look like US-CA", isSubdivision)
			case "client.continent":
				c.mustCode(at, v, text, "continent", "continents: "+strings.ReplaceAll(continents, " ", ", "), isContinent)
			case "client.asn":
				if n, err := strconv.ParseInt(text, 10, 64); err == nil && (n < 0 || n > 1<<32-1) {
					c.fault(at, "use 1 to 4294967295, or 0 for unknown", "%s: %s: %d is no ASN", v.subject, v.key, n)
				}
			}
		}
	}
}

// mustBe reports a literal that names nothing declared.
func (c *compiler) mustBe(at steering.Place, v value, kind noun, name string) {
	// A score that compares a name does not make use of the thing.
	used := c.declared[kind].used[name]
	if !c.known(kind, name) {
		v.as("%s: %s", v.subject, v.key).missing(at, kind, name)
	}
	c.declared[kind].used[name] = used
}

// mustCode reports a literal that is no code of its kind; the empty text means
// unknown.
func (c *compiler) mustCode(at steering.Place, v value, text, what, remedy string, valid func(string) bool) {
	if text == "" || valid(text) {
		return
	}
	if valid(strings.ToUpper(text)) {
		remedy = "write " + strconv.Quote(strings.ToUpper(text))
	}
	c.fault(at, remedy, "%s: %s: %q is not a %s", v.subject, v.key, clip(text), what)
}

var undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)

// expressionFaults reports what CEL found, each at its place in the file.
func (v value) expressionFaults(issues *cel.Issues, known []variable, remedy string) {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = k.name
	}
	for i, e := range issues.Errors() {
		syntax := strings.HasPrefix(e.Message, "Syntax error")
		if i > 0 && syntax {
			continue // the first syntax error makes the others
		}
		at := v.place()
		if e.Location != common.NoLocation {
			at = v.inside(e.Location.Line(), e.Location.Column())
		}
		message, hint := e.Message, remedy
		m := undeclared.FindStringSubmatch(e.Message)
		switch {
		case m != nil && v.isCall(e.Location, m[1]):
			message, hint = fmt.Sprintf("unknown function %q", m[1]), "scores may use + - * /, a ? b : c, min(a, b), max(a, b) and the functions of CEL, conditions those of CEL"
		case m != nil:
			message, hint = fmt.Sprintf("unknown variable %q", clip(m[1])), choices("variables", names, m[1])
		case syntax:
			message, _, _ = strings.Cut(strings.TrimPrefix(e.Message, "Syntax error: "), " expecting {")
			message = "not an expression: " + endOfText.Replace(clip(message))
			hint = "look for a missing operand, quote or bracket"
			if strings.Contains(message, "at: '= ") {
				hint = "compare with =="
			}
		case strings.Contains(e.Message, "limit"):
			message, hint = "too long or too deep an expression: "+e.Message, "split it over several rules, or name the clients as a region"
		case strings.HasPrefix(e.Message, "found no matching overload"):
			message = operatorMessage(e.Message)
		case expected.MatchString(e.Message):
			message = plainTypes.Replace(expected.ReplaceAllString(e.Message, "want $1, have $2"))
		}
		v.c.fault(at, hint, "%s: %s: %s", v.subject, v.key, message)
	}
}

// isCall tells whether CEL speaks of a function: it then points at the bracket.
func (v value) isCall(at common.Location, name string) bool {
	lines := strings.Split(v.node.Value, "\n")
	if at.Line() < 1 || at.Line() > len(lines) {
		return false
	}
	line := []rune(lines[at.Line()-1])
	return at.Column() >= 0 && at.Column() < len(line) && line[at.Column()] == '('
}

var (
	expected   = regexp.MustCompile(`^expected type '([^']*)' but found '([^']*)'`)
	endOfText  = strings.NewReplacer("mismatched input '<EOF>'", "it ends too early", "'<EOF>'", "the end")
	plainTypes = strings.NewReplacer("double", "number", "int", "number", "string", "text", "bool", "truth value", "!error!", "error")
)

var overload = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '([^']*)'`)

// operatorMessage says in plain words which operator met which types.
func operatorMessage(message string) string {
	m := overload.FindStringSubmatch(message)
	if m == nil {
		return message
	}
	operator := strings.Trim(strings.ReplaceAll(strings.ReplaceAll(m[1], "_", ""), "@", ""), " ")
	return fmt.Sprintf("%q cannot be applied to %s", operator, plainTypes.Replace(m[2]))
}

// typeWord names a CEL type for people.
func typeWord(t *cel.Type) string {
	switch {
	case t.IsExactType(cel.StringType):
		return "text"
	case t.IsExactType(cel.DoubleType), t.IsExactType(cel.IntType), t.IsExactType(cel.UintType):
		return "number"
	case t.IsExactType(cel.BoolType):
		return "truth value"
	}
	return t.String()
}

// use is one appearance of a variable in a checked expression.
type use struct {
	variable string
	literals []ast.Expr // what it is compared with by ==, != or in; nil when it is used in any other way
}

// usesOf lists how an expression uses the variables.
func usesOf(checked *cel.Ast) []use {
	var names []string
	for _, v := range append(conditionVariables(), scoreVariables()...) {
		names = append(names, v.name)
	}
	var uses []use
	var walk func(e ast.NavigableExpr)
	walk = func(e ast.NavigableExpr) {
		if name, literals, ok := comparison(e); ok && slices.Contains(names, name) {
			uses = append(uses, use{name, literals})
			return
		}
		if e.Kind() == ast.IdentKind && slices.Contains(names, e.AsIdent()) {
			uses = append(uses, use{variable: e.AsIdent()})
		}
		for _, child := range e.Children() {
			walk(child)
		}
	}
	walk(ast.NavigateAST(checked.NativeRep()))
	return uses
}

// comparison takes apart `variable == literal`, `!=`, either way round, and
// `variable in [literals]`.
func comparison(e ast.Expr) (name string, literals []ast.Expr, ok bool) {
	if e.Kind() != ast.CallKind {
		return "", nil, false
	}
	call := e.AsCall()
	args := call.Args()
	if len(args) != 2 {
		return "", nil, false
	}
	left, right := args[0], args[1]
	switch call.FunctionName() {
	case "_==_", "_!=_":
		if left.Kind() == ast.LiteralKind {
			left, right = right, left
		}
		if left.Kind() == ast.IdentKind && isNameLiteral(right) {
			return left.AsIdent(), []ast.Expr{right}, true
		}
	case "@in":
		if left.Kind() != ast.IdentKind || right.Kind() != ast.ListKind {
			return "", nil, false
		}
		elements := right.AsList().Elements()
		for _, element := range elements {
			if !isNameLiteral(element) {
				return "", nil, false
			}
		}
		return left.AsIdent(), elements, true
	}
	return "", nil, false
}

// isNameLiteral tells whether an expression is a literal text or whole number.
func isNameLiteral(e ast.Expr) bool {
	if e.Kind() != ast.LiteralKind {
		return false
	}
	switch e.AsLiteral().(type) {
	case types.String, types.Int:
		return true
	}
	return false
}
