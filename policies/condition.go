package policies

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"fairway/steering"
)

// condition is a compiled `when`. The zero value is true for every client.
type condition struct {
	match func(*steering.Facts) bool
	reads steering.Reading
}

const conditionRemedy = "compare texts in quotes, such as client.country == \"DE\", and client.asn with a number"

// condition compiles a `when`, once for all that have its text: policies of a large
// configuration repeat each other.
func (c *compiler) condition(v value) condition {
	known, compiled := c.compiled[v.node.Value]
	if compiled && v.node.Tag == "!!str" {
		return known
	}
	findings := len(c.findings)
	made := c.newCondition(v)
	if len(c.findings) == findings {
		c.compiled[v.node.Value] = made
	}
	return made
}

// newCondition compiles a condition. One that was reported as wrong never matches.
func (c *compiler) newCondition(v value) condition {
	never := condition{match: func(*steering.Facts) bool { return false }}
	checked, uses, ok := c.checkCondition(v)
	if !ok {
		return never
	}
	reads, ok := c.reading(v, checked, uses)
	if !ok {
		return never
	}
	if len(reads.Paths) > 0 { // their places in the expression hold variables now
		again, issues := c.language.conditions.Check(checked)
		if issues.Err() != nil {
			v.expressionFaults(issues, conditionVariables(), conditionRemedy)
			return never
		}
		checked = again
	}
	match, err := c.language.conditionFunc(checked)
	if err != nil {
		v.fault("correct the constant it speaks of", "cannot run: %s", clip(err.Error()))
		return never
	}
	if len(uses) > 0 {
		return condition{match, reads}
	}
	// Without a variable the outcome is the same for every client.
	if !match(&steering.Facts{Cell: new(steering.Cell), Service: new(steering.Service)}) {
		v.fault("take the rule out, or read something of the client", "is false for every client: the rule can never match")
		return never
	}
	return condition{}
}

// checkCondition checks an expression that must be true or false, and notes which
// attributes of clients it can tell apart.
func (c *compiler) checkCondition(v value) (*cel.Ast, []use, bool) {
	if v.node.Tag == "!!bool" {
		v.fault("leave the key out of a rule for every client", "want a condition, have %s", v.describe())
		return nil, nil, false
	}
	text, ok := v.text()
	if !ok {
		return nil, nil, false
	}
	checked, issues := c.language.conditions.Compile(text)
	if issues.Err() != nil {
		v.expressionFaults(issues, conditionVariables(), conditionRemedy)
		return nil, nil, false
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		v.fault("compare something, such as client.region == \"eu\"", "a condition must be true or false; this is a %s", typeWord(checked.OutputType()))
		return nil, nil, false
	}
	uses := usesOf(checked)
	c.reads.add(uses)
	c.checkLiterals(v, checked, uses)
	return checked, uses, c.checkZones(v, checked)
}

// fence compiles a condition on where clients are, and on nothing else: it holds
// whoever asks, however, and at all times. What cannot be computed is barred.
func (c *compiler) fence(v value, barsIf bool) (func(*steering.Cell) bool, bool) {
	checked, uses, ok := c.checkCondition(v)
	if !ok {
		return nil, false
	}
	for _, u := range uses {
		if !strings.HasPrefix(u.variable, "client.") || u.variable == "client.source" {
			v.fault("read client.country and the like; for the rest there are rules", "a fence cannot read %s: it says where clients are", u.variable)
			return nil, false
		}
	}
	if len(uses) == 0 {
		v.fault("read client.country or the like", "is the same for every client")
		return nil, false
	}
	outcome, err := c.language.outcomeFunc(checked)
	if err != nil {
		v.fault("correct the constant it speaks of", "cannot run: %s", clip(err.Error()))
		return nil, false
	}
	return func(cell *steering.Cell) bool {
		matches, err := outcome(&steering.Facts{Cell: cell})
		return err != nil || matches == barsIf
	}, true
}

// reading tells what a condition reads beside the cell. Its questions about the
// path become variables: these run per query, and CEL does not.
func (c *compiler) reading(v value, checked *cel.Ast, uses []use) (steering.Reading, bool) {
	var r steering.Reading
	paths := false
	for _, u := range uses {
		switch u.variable {
		case "service.key", "service.labels":
			r.Service = true
		case "query.door":
			r.Door = true
		case "client.source":
			r.Source = true
		case "now":
			r.Time = true
		case "query.path":
			paths = true
		}
	}
	if !paths {
		return r, true
	}
	factory := ast.NewExprFactory()
	for _, e := range pathQuestions(checked) {
		test, err := pathTest(e)
		if err != nil {
			v.fault("correct the pattern", "%s cannot run: %s", test.Text, clip(err.Error()))
			return r, false
		}
		at := slices.IndexFunc(r.Paths, func(known steering.PathTest) bool { return known.Text == test.Text })
		if at < 0 {
			at = len(r.Paths)
			r.Paths = append(r.Paths, test)
		}
		if at == steering.MaxPaths {
			v.fault("use one pattern for several, such as query.path.matches(\"^/(a|b)/\")", "more than %d different questions about the path", steering.MaxPaths)
			return r, false
		}
		e.SetKindCase(factory.NewIdent(e.ID(), pathVariable(at)))
	}
	left := slices.ContainsFunc(usesOf(checked), func(u use) bool { return u.variable == "query.path" })
	if left {
		v.fault(`ask by ==, !=, in ["/a", "/b"], startsWith, endsWith, contains or matches, with texts in quotes`,
			"query.path is used in a way that cannot be answered for every query")
	}
	return r, !left
}

// pathVariables names the variables that stand for questions about the path.
var pathVariables = [steering.MaxPaths]string{"@path0", "@path1", "@path2", "@path3", "@path4", "@path5"}

func pathVariable(i int) string { return pathVariables[i] }

// pathQuestions lists the parts of an expression that ask one thing of the path.
func pathQuestions(checked *cel.Ast) []ast.Expr {
	var found []ast.Expr
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if name, literals, ok := comparison(e); ok && name == "query.path" && literals != nil {
			found = append(found, e)
		}
	}))
	return found
}

// pathTest makes a question about the path a function of it.
func pathTest(e ast.Expr) (steering.PathTest, error) {
	call := e.AsCall()
	_, literals, _ := comparison(e)
	texts := make([]string, len(literals))
	for i, l := range literals {
		texts[i] = literalText(l.AsLiteral())
	}
	test := steering.PathTest{Text: call.FunctionName() + " " + strings.Join(quoted(texts), ", ")}
	first := texts[0]
	switch call.FunctionName() {
	case "startsWith":
		test.Match = func(path string) bool { return strings.HasPrefix(path, first) }
	case "endsWith":
		test.Match = func(path string) bool { return strings.HasSuffix(path, first) }
	case "contains":
		test.Match = func(path string) bool { return strings.Contains(path, first) }
	case "matches":
		pattern, err := regexp.Compile(first)
		if err != nil {
			return test, err
		}
		test.Match = pattern.MatchString
	case "_!=_":
		test.Match = func(path string) bool { return path != first }
	default: // _==_ and @in
		test.Match = func(path string) bool { return slices.Contains(texts, path) }
	}
	return test, nil
}

func quoted(texts []string) []string {
	list := make([]string, len(texts))
	for i, t := range texts {
		list[i] = quote(t)
	}
	return list
}

// inZone are the functions of a time whose last argument is a time zone, with how
// many arguments they then have.
var inZone = map[string]int{
	"getFullYear": 1, "getMonth": 1, "getDate": 1, "getDayOfMonth": 1, "getDayOfWeek": 1, "getDayOfYear": 1,
	"getHours": 1, "getMinutes": 1, "getSeconds": 1, "getMilliseconds": 1, "between": 3,
}

// checkZones reports time zones that do not exist, and times of day that are
// none.
func (c *compiler) checkZones(v value, checked *cel.Ast) bool {
	info, good := checked.NativeRep().SourceInfo(), true
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		args := e.AsCall().Args()
		n, known := inZone[e.AsCall().FunctionName()]
		if !known || len(args) != n {
			return
		}
		for i, arg := range args {
			start := info.GetStartLocation(arg.ID())
			at := v.inside(start.Line(), start.Column())
			text, isText := types.String(""), false
			if arg.Kind() == ast.LiteralKind {
				text, isText = arg.AsLiteral().(types.String)
			}
			switch {
			case !isText:
				c.fault(at, `write it in quotes, such as "Europe/Berlin"`, "%s: %s: a time zone or time of day that is computed", v.subject, v.key)
				good = false
			case i == n-1:
				if _, err := loadZone(string(text)); err != nil {
					c.fault(at, "use a name of the IANA database, such as Europe/Berlin or UTC", "%s: %s: %s is no time zone", v.subject, v.key, quote(string(text)))
					good = false
				}
			default:
				if _, ok := parseClock(string(text)); !ok {
					c.fault(at, "write hours and minutes, such as 18:30", "%s: %s: %s is no time of day", v.subject, v.key, quote(string(text)))
					good = false
				}
			}
		}
	}))
	return good
}

// loadZone finds a time zone. The machine's own is none that a configuration may
// depend on.
func loadZone(name string) (*time.Location, error) {
	if name == "" || strings.EqualFold(name, "local") {
		return nil, errNoZone
	}
	return time.LoadLocation(name)
}

// parseClock reads a time of day, 00:00 to 24:00.
func parseClock(text string) (time.Duration, bool) {
	if len(text) != 5 || text[2] != ':' {
		return 0, false
	}
	for _, i := range [4]int{0, 1, 3, 4} {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	hours, minutes := int(text[0]-'0')*10+int(text[1]-'0'), int(text[3]-'0')*10+int(text[4]-'0')
	at := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	return at, minutes < 60 && at <= 24*time.Hour
}
