package policies

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"fairway/steering"
)

// Most conditions compare a few texts and numbers, and are asked about every cell and
// way of asking, those that read the time again each minute: such a condition is made
// of Go functions, which give what CEL would. What is not known here is left to CEL.

// outcome is what a condition comes to. CEL's rules for what fails: && and || give the
// answer that the other side alone decides, everything else fails too.
type outcome int8

const (
	isFalse outcome = iota
	isTrue
	fails
)

func outcomeOf(b bool) outcome {
	if b {
		return isTrue
	}
	return isFalse
}

// The parts of a condition. A text or number that is not there (ok is false) fails.
type (
	question func(*steering.Facts) outcome
	wording  func(*steering.Facts) (text string, ok bool)
	integer  func(*steering.Facts) (n int64, ok bool)
)

var errUncomputable = errors.New("cannot be computed")

// directCondition makes a checked condition callable without CEL; nil where it cannot.
func directCondition(checked *cel.Ast) func(*steering.Facts) (bool, error) {
	ask := questionOf(checked.NativeRep().Expr())
	if ask == nil {
		return nil
	}
	return func(facts *steering.Facts) (bool, error) {
		switch ask(facts) {
		case isTrue:
			return true, nil
		case fails:
			return false, errUncomputable
		}
		return false, nil
	}
}

func questionOf(e ast.Expr) question {
	switch e.Kind() {
	case ast.LiteralKind:
		if b, is := e.AsLiteral().(types.Bool); is {
			o := outcomeOf(bool(b))
			return func(*steering.Facts) outcome { return o }
		}
	case ast.IdentKind:
		for i, name := range pathVariables {
			if e.AsIdent() == name {
				return func(f *steering.Facts) outcome { return outcomeOf(f.Paths&(1<<i) != 0) }
			}
		}
	case ast.SelectKind:
		if s := e.AsSelect(); s.IsTestOnly() && isIdent(s.Operand(), "service.labels") {
			label := s.FieldName()
			return func(f *steering.Facts) outcome {
				_, has := f.Service.Labels[label]
				return outcomeOf(has)
			}
		}
	case ast.CallKind:
		if e.AsCall().IsMemberFunction() {
			return memberQuestion(e.AsCall())
		}
		return callQuestion(e.AsCall())
	}
	return nil
}

func isIdent(e ast.Expr, name string) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == name }

func callQuestion(call ast.CallExpr) question {
	args := call.Args()
	switch name := call.FunctionName(); name {
	case "!_":
		ask := questionOf(args[0])
		if ask == nil {
			return nil
		}
		return func(f *steering.Facts) outcome {
			switch ask(f) {
			case isTrue:
				return isFalse
			case isFalse:
				return isTrue
			}
			return fails
		}
	case "_&&_", "_||_":
		decisive := outcomeOf(name == "_||_")
		return joined(questionOf(args[0]), questionOf(args[1]), decisive)
	case "_?_:_":
		return choice(questionOf(args[0]), questionOf(args[1]), questionOf(args[2]))
	case "@in":
		return membership(args[0], args[1])
	case "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_":
		return relation(name, args[0], args[1])
	}
	return nil
}

// joined is && or ||: one decisive side is enough, whatever the other does.
func joined(x, y question, decisive outcome) question {
	if x == nil || y == nil {
		return nil
	}
	return func(f *steering.Facts) outcome {
		a := x(f)
		if a == decisive {
			return a
		}
		b := y(f)
		if a == fails && b != decisive {
			return fails
		}
		return b
	}
}

func choice(condition, yes, no question) question {
	if condition == nil || yes == nil || no == nil {
		return nil
	}
	return func(f *steering.Facts) outcome {
		switch condition(f) {
		case isTrue:
			return yes(f)
		case isFalse:
			return no(f)
		}
		return fails
	}
}

// membership is `x in [literals]`.
func membership(e, list ast.Expr) question {
	elements, all := nameLiterals(list)
	if !all {
		return nil
	}
	if text := wordingOf(e); text != nil {
		var texts []string
		for _, element := range elements {
			s, is := element.AsLiteral().(types.String)
			if !is {
				return nil
			}
			texts = append(texts, string(s))
		}
		return aboutText(text, func(s string) bool { return slices.Contains(texts, s) })
	}
	if number := integerOf(e); number != nil {
		var numbers []int64
		for _, element := range elements {
			n, is := element.AsLiteral().(types.Int)
			if !is {
				return nil
			}
			numbers = append(numbers, int64(n))
		}
		return func(f *steering.Facts) outcome {
			n, ok := number(f)
			if !ok {
				return fails
			}
			return outcomeOf(slices.Contains(numbers, n))
		}
	}
	return nil
}

// relation compares two texts or two numbers.
func relation(name string, a, b ast.Expr) question {
	if x, y := wordingOf(a), wordingOf(b); x != nil && y != nil {
		return compared(name, x, y)
	}
	if x, y := integerOf(a), integerOf(b); x != nil && y != nil {
		return compared(name, x, y)
	}
	return nil
}

func compared[T string | int64](name string, x, y func(*steering.Facts) (T, bool)) question {
	return func(f *steering.Facts) outcome {
		a, ok := x(f)
		b, too := y(f)
		if !ok || !too {
			return fails
		}
		switch name {
		case "_==_":
			return outcomeOf(a == b)
		case "_!=_":
			return outcomeOf(a != b)
		case "_<_":
			return outcomeOf(a < b)
		case "_<=_":
			return outcomeOf(a <= b)
		case "_>_":
			return outcomeOf(a > b)
		}
		return outcomeOf(a >= b)
	}
}

func aboutText(text wording, is func(string) bool) question {
	return func(f *steering.Facts) outcome {
		s, ok := text(f)
		if !ok {
			return fails
		}
		return outcomeOf(is(s))
	}
}

// memberQuestion is a question that is asked of something: client.prefix.within(…),
// now.between(…), a text's startsWith and the like.
func memberQuestion(call ast.CallExpr) question {
	args := call.Args()
	switch name := call.FunctionName(); name {
	case "within":
		return withinQuestion(call)
	case "between":
		return betweenQuestion(call)
	case "startsWith", "endsWith", "contains":
		text := wordingOf(call.Target())
		part, is := literalString(args[0])
		if text == nil || !is {
			return nil
		}
		test := map[string]func(s, part string) bool{"startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix, "contains": strings.Contains}[name]
		return aboutText(text, func(s string) bool { return test(s, part) })
	}
	return nil
}

func literalString(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, is := e.AsLiteral().(types.String)
	return string(s), is
}

func withinQuestion(call ast.CallExpr) question {
	if !isIdent(call.Target(), "client.prefix") {
		return nil
	}
	literals := call.Args()
	if elements, all := nameLiterals(literals[0]); all {
		literals = elements
	}
	var wider []netip.Prefix
	for _, l := range literals {
		text, is := literalString(l)
		p, err := parseNetwork(text)
		if !is || err != nil {
			return nil
		}
		wider = append(wider, p)
	}
	return func(f *steering.Facts) outcome {
		mine := f.Cell.Prefix
		return outcomeOf(mine.IsValid() && slices.ContainsFunc(wider, func(p netip.Prefix) bool {
			return p.Bits() <= mine.Bits() && p.Contains(mine.Addr())
		}))
	}
}

func betweenQuestion(call ast.CallExpr) question {
	args := call.Args()
	if !isIdent(call.Target(), "now") || len(args) != 3 {
		return nil
	}
	var texts [3]string
	for i, arg := range args {
		texts[i], _ = literalString(arg)
	}
	start, good := parseClock(texts[0])
	end, fine := parseClock(texts[1])
	zone, err := loadZone(texts[2])
	if !good || !fine || err != nil {
		return nil
	}
	return func(f *steering.Facts) outcome { return outcomeOf(clockBetween(f.Now.In(zone), start, end)) }
}

// wordingOf reads a text.
func wordingOf(e ast.Expr) wording {
	if s, is := literalString(e); is {
		return func(*steering.Facts) (string, bool) { return s, true }
	}
	switch e.Kind() {
	case ast.IdentKind:
		return textNamed(e.AsIdent())
	case ast.SelectKind:
		if s := e.AsSelect(); !s.IsTestOnly() && isIdent(s.Operand(), "service.labels") {
			return labelNamed(s.FieldName())
		}
	case ast.CallKind:
		if call := e.AsCall(); call.FunctionName() == "_[_]" && len(call.Args()) == 2 && isIdent(call.Args()[0], "service.labels") {
			if label, is := literalString(call.Args()[1]); is {
				return labelNamed(label)
			}
		}
	}
	return nil
}

func labelNamed(label string) wording {
	return func(f *steering.Facts) (string, bool) {
		s, ok := f.Service.Labels[label]
		return s, ok
	}
}

func textNamed(name string) wording {
	var read func(*steering.Facts) string
	switch name {
	case "client.region":
		read = func(f *steering.Facts) string { return f.Cell.Region }
	case "client.country":
		read = func(f *steering.Facts) string { return f.Cell.Country }
	case "client.subdivision":
		read = func(f *steering.Facts) string { return f.Cell.Subdivision }
	case "client.continent":
		read = func(f *steering.Facts) string { return f.Cell.Continent }
	case "client.family":
		read = func(f *steering.Facts) string { return f.Cell.Family }
	case "client.source":
		read = func(f *steering.Facts) string { return f.Source.String() }
	case "query.door":
		read = func(f *steering.Facts) string { return f.Door.String() }
	case "service.key":
		read = func(f *steering.Facts) string { return f.Service.Key }
	default:
		return nil
	}
	return func(f *steering.Facts) (string, bool) { return read(f), true }
}

// integerOf reads a whole number.
func integerOf(e ast.Expr) integer {
	switch e.Kind() {
	case ast.LiteralKind:
		if n, is := e.AsLiteral().(types.Int); is {
			return func(*steering.Facts) (int64, bool) { return int64(n), true }
		}
	case ast.IdentKind:
		if e.AsIdent() == "client.asn" {
			return func(f *steering.Facts) (int64, bool) { return int64(f.Cell.ASN), true }
		}
	case ast.CallKind:
		if call := e.AsCall(); call.IsMemberFunction() && isIdent(call.Target(), "now") {
			return partOfTime(call)
		}
	}
	return nil
}

// partOfTime is now.getHours("Europe/Berlin") and the like.
func partOfTime(call ast.CallExpr) integer {
	zone := time.UTC
	if len(call.Args()) == 1 {
		name, _ := literalString(call.Args()[0])
		var err error
		if zone, err = loadZone(name); err != nil {
			return nil
		}
	}
	var part func(time.Time) int
	switch call.FunctionName() {
	case "getFullYear":
		part = time.Time.Year
	case "getMonth": // 0 is January
		part = func(t time.Time) int { return int(t.Month()) - 1 }
	case "getDate":
		part = time.Time.Day
	case "getDayOfMonth": // 0 is the first
		part = func(t time.Time) int { return t.Day() - 1 }
	case "getDayOfWeek": // 0 is Sunday
		part = func(t time.Time) int { return int(t.Weekday()) }
	case "getHours":
		part = time.Time.Hour
	case "getMinutes":
		part = time.Time.Minute
	default:
		return nil
	}
	return func(f *steering.Facts) (int64, bool) { return int64(part(f.Now.In(zone))), true }
}
