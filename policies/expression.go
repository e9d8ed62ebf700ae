package policies

import (
	"cmp"
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

// score compiles a `score`, and names the signals that it reads.
func (c *compiler) score(v value) (f func(*steering.Inputs) float64, signals []int) {
	text, ok := v.expressionText()
	if !ok {
		return nil, nil
	}
	checked, issues := c.language.checkScore(text)
	if issues.Err() != nil {
		v.expressionFaults(issues, c.language.scoreNames(), "scores are computed from numbers; provider and pool are texts and can be compared: provider == \"akamai\" ? 1 : 0")
		return nil, nil
	}
	switch kind := checked.OutputType(); {
	case kind.IsExactType(cel.DoubleType), kind.IsExactType(cel.IntType), kind.IsExactType(cel.UintType):
	default:
		v.fault("end in a number, such as (provider == \"akamai\" ? 1 : 0) + latency", "a score must be a number; this is a %s", typeWord(kind))
		return nil, nil
	}
	c.checkLiterals(v, checked, usesOf(checked))
	score, err := c.language.scoreFunc(checked)
	if err != nil {
		v.fault("correct the constant it speaks of", "cannot run: %s", clip(err.Error()))
	}
	return score, c.language.signalsOf(checked)
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
		if u.variable == "client.prefix" && u.literals == nil {
			v.fault(`write client.prefix.within("192.0.2.0/24"), with the networks in quotes`, "client.prefix can only be asked whether it is within networks")
		}
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
			case "client.family":
				c.mustBeWord(at, v, text, "address family", steering.FamilyIPv4, steering.FamilyIPv6)
			case "client.source":
				c.mustBeWord(at, v, text, "source", steering.SourceClient.String(), steering.SourceResolver.String())
			case "query.door":
				c.mustBeWord(at, v, text, "door", doorWords()...)
			case "service.key":
				c.mustBe(at, v, service, text)
			case "client.prefix":
				if _, err := parseNetwork(text); err != nil {
					c.fault(at, "write it like 192.0.2.0/24 or 2001:db8::/32", "%s: %s: %v", v.subject, v.key, err)
				}
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

// mustBeWord reports a literal that is none of a few words.
func (c *compiler) mustBeWord(at steering.Place, v value, text, what string, words ...string) {
	if !slices.Contains(words, text) {
		c.fault(at, choices("choices", words, text), "%s: %s: %q is no %s", v.subject, v.key, clip(text), what)
	}
}

func doorWords() []string {
	var words []string
	for _, d := range steering.Doors() {
		words = append(words, d.String())
	}
	return words
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
		case m != nil && m[1] == strings.TrimSuffix(signalPrefix, "."):
			message, hint = v.unknownSignal(e.Location, known)
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

// unknownSignal says which signal a score reads that no import brings.
func (v value) unknownSignal(at common.Location, known []variable) (message, remedy string) {
	var names []string
	for _, k := range known {
		if name, is := strings.CutPrefix(k.name, signalPrefix); is {
			names = append(names, name)
		}
	}
	wrong := ""
	if lines := strings.Split(v.node.Value, "\n"); at.Line() >= 1 && at.Line() <= len(lines) {
		if line := []rune(lines[at.Line()-1]); at.Column() >= 0 && at.Column() < len(line) {
			if m := readSignal.FindStringSubmatch(string(line[at.Column():])); m != nil {
				wrong = m[1]
			}
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf("no import brings a signal %q", clip(wrong)), "declare it: imports: {NAME: {prometheus: URL, signals: {" + cmp.Or(clip(wrong), "NAME") + ": {query: …, provider: LABEL}}}}"
	}
	return fmt.Sprintf("no import brings a signal %q", clip(wrong)), choices("signals", names, wrong)
}

var readSignal = regexp.MustCompile(`^signal\s*\.\s*(\w+)`)

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
	case t.IsExactType(cel.TimestampType):
		return "time"
	case t.Kind() == types.MapKind:
		return "texts by name"
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
	if call.IsMemberFunction() && call.Target().Kind() == ast.IdentKind && len(args) == 1 {
		return memberComparison(call)
	}
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
		if elements, all := nameLiterals(right); all && left.Kind() == ast.IdentKind {
			return left.AsIdent(), elements, true
		}
	}
	return "", nil, false
}

// memberComparison takes apart client.prefix.within(literals) and the questions
// that may be asked of query.path.
func memberComparison(call ast.CallExpr) (name string, literals []ast.Expr, ok bool) {
	name, arg := call.Target().AsIdent(), call.Args()[0]
	switch {
	case name == "client.prefix" && call.FunctionName() == "within":
		if elements, all := nameLiterals(arg); all {
			return name, elements, true
		}
		return name, []ast.Expr{arg}, isNameLiteral(arg)
	case name == "query.path" && slices.Contains([]string{"startsWith", "endsWith", "contains", "matches"}, call.FunctionName()):
		return name, []ast.Expr{arg}, isNameLiteral(arg)
	}
	return "", nil, false
}

// nameLiterals gives the elements of a list of literals; false for anything else.
func nameLiterals(e ast.Expr) ([]ast.Expr, bool) {
	if e.Kind() != ast.ListKind || len(e.AsList().Elements()) == 0 {
		return nil, false
	}
	for _, element := range e.AsList().Elements() {
		if !isNameLiteral(element) {
			return nil, false
		}
	}
	return e.AsList().Elements(), true
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
