package policies

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"fairway/steering"
)

// The limits of one expression. They are far above what people write and far
// below what could hold a node up.
const (
	maxExpressionRunes = 4096
	maxExpressionDepth = 64
	maxExpressionCost  = 10_000 // CEL's own units: about one per operator
)

// language compiles expressions. It is used by one goroutine; what it returns
// may be used by many.
type language struct {
	conditions *cel.Env
	scores     *cel.Env
	builtin    func(*steering.Inputs) float64
	signals    []string // by number, as scores read them
}

// variable is a name that expressions may use.
type variable struct {
	name string
	kind *cel.Type
}

// scoreVariables are what `score` may read: the fields of steering.Inputs.
func scoreVariables() []variable {
	return []variable{
		{"latency", cel.DoubleType},
		{"availability", cel.DoubleType},
		{"throughput", cel.DoubleType},
		{"smoothness", cel.DoubleType},
		{"cost", cel.DoubleType},
		{"p50_ms", cel.DoubleType},
		{"p95_ms", cel.DoubleType},
		{"throughput_bps", cel.DoubleType},
		{"rebuffering", cel.DoubleType},
		{"player_availability", cel.DoubleType},
		{"player_ttfb_ms", cel.DoubleType},
		{"player_throughput_bps", cel.DoubleType},
		{"player_start_ms", cel.DoubleType},
		{"price_per_gb", cel.DoubleType},
		{"load", cel.DoubleType},
		{"pace", cel.DoubleType},
		{"pull", cel.DoubleType},
		{"samples", cel.DoubleType},
		{"age_seconds", cel.DoubleType},
		{"weight", cel.DoubleType},
		{"provider", cel.StringType},
		{"pool", cel.StringType},
	}
}

func newLanguage() *language {
	l := &language{
		conditions: environment(conditionVariables(), conditionFunctions()...),
		scores:     environment(scoreVariables(), cel.CrossTypeNumericComparisons(true), numeric("min", math.Min), numeric("max", math.Max)),
	}
	checked, issues := l.checkScore(builtinScore)
	if issues.Err() != nil {
		panic("policies: the built-in score does not compile: " + issues.Err().Error())
	}
	builtin, err := l.scoreFunc(checked)
	if err != nil {
		panic("policies: the built-in score: " + err.Error())
	}
	l.builtin = builtin
	return l
}

// knowSignals has scores read signals.
func (l *language) knowSignals(signals []steering.Signal) {
	if len(signals) == 0 {
		return
	}
	var options []cel.EnvOption
	for i := range signals {
		l.signals = append(l.signals, signals[i].Name)
		options = append(options, cel.Variable(signalPrefix+signals[i].Name, cel.DoubleType))
	}
	env, err := l.scores.Extend(options...)
	if err != nil {
		panic("policies: expression environment: " + err.Error())
	}
	l.scores = env
}

// signalPrefix begins the names under which scores read signals.
const signalPrefix = "signal."

// signalNumber is the number of the signal that a variable reads, -1 for none.
func signalNumber(signals []string, variable string) int {
	name, is := strings.CutPrefix(variable, signalPrefix)
	if !is {
		return -1
	}
	return slices.Index(signals, name)
}

// signalsOf lists the signals that a checked score reads, by number.
func (l *language) signalsOf(checked *cel.Ast) []int {
	read := make(map[int]bool)
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind {
			if number := signalNumber(l.signals, e.AsIdent()); number >= 0 {
				read[number] = true
			}
		}
	}))
	return slices.Sorted(maps.Keys(read))
}

// scoreNames are all that scores may read.
func (l *language) scoreNames() []variable {
	all := scoreVariables()
	for _, name := range l.signals {
		all = append(all, variable{signalPrefix + name, cel.DoubleType})
	}
	return all
}

func environment(variables []variable, more ...cel.EnvOption) *cel.Env {
	options := append([]cel.EnvOption{
		cel.ParserExpressionSizeLimit(maxExpressionRunes),
		cel.ParserRecursionLimit(maxExpressionDepth),
	}, more...)
	for _, v := range variables {
		options = append(options, cel.Variable(v.name, v.kind))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		panic("policies: expression environment: " + err.Error())
	}
	return env
}

// numeric declares a function of two numbers for scores.
func numeric(name string, f func(a, b float64) float64) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_double_double", []*cel.Type{cel.DoubleType, cel.DoubleType}, cel.DoubleType,
		cel.BinaryBinding(func(a, b ref.Val) ref.Val {
			return types.Double(f(float64(a.(types.Double)), float64(b.(types.Double))))
		})))
}

// checkScore parses and checks a score.
func (l *language) checkScore(text string) (*cel.Ast, *cel.Issues) {
	return checkNumbers(l.scores, text)
}

// checkNumbers parses and checks an expression over numbers. CEL does not mix
// whole numbers with fractions, and `1 - latency` should just work: all variables
// being fractions, every whole-number literal is read as one. Where that breaks
// what does type without it, such as an index into a list, the text is taken as
// it stands.
func checkNumbers(env *cel.Env, text string) (*cel.Ast, *cel.Issues) {
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, issues
	}
	factory := ast.NewExprFactory()
	ast.PostOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.LiteralKind {
			return
		}
		if whole, ok := e.AsLiteral().(types.Int); ok {
			e.SetKindCase(factory.NewLiteral(e.ID(), types.Double(whole)))
		}
	}))
	checked, issues := env.Check(parsed)
	if issues.Err() == nil {
		return checked, issues
	}
	if plain, plainIssues := env.Compile(text); plainIssues.Err() == nil {
		return plain, plainIssues
	}
	return nil, issues
}

// scoreFunc makes a checked score callable. What cannot be computed, or is no
// finite number, scores 0: the worst, so that a mistake never attracts clients.
func (l *language) scoreFunc(checked *cel.Ast) (func(*steering.Inputs) float64, error) {
	program, err := plan(l.scores, checked)
	if err != nil {
		return nil, err
	}
	if direct := l.directScore(checked); direct != nil {
		return direct, nil
	}
	pool := sync.Pool{New: func() any { return &inputsActivation{signals: l.signals} }}
	return func(in *steering.Inputs) float64 {
		vars := pool.Get().(*inputsActivation)
		vars.in = in
		result, _, err := program.Eval(vars)
		vars.in = nil
		pool.Put(vars)
		if err != nil {
			return 0
		}
		return finite(result)
	}, nil
}

// finite reads a number out of a result.
func finite(result ref.Val) float64 {
	n := 0.0
	switch r := result.(type) {
	case types.Double:
		n = float64(r)
	case types.Int:
		n = float64(r)
	case types.Uint:
		n = float64(r)
	}
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return 0
	}
	return n
}

// conditionFunc makes a checked condition callable. What cannot be computed
// does not match.
func (l *language) conditionFunc(checked *cel.Ast) (func(*steering.Facts) bool, error) {
	outcome, err := l.outcomeFunc(checked)
	if err != nil {
		return nil, err
	}
	return func(facts *steering.Facts) bool {
		matches, err := outcome(facts)
		return err == nil && matches
	}, nil
}

// outcomeFunc is conditionFunc for who must know what cannot be computed.
func (l *language) outcomeFunc(checked *cel.Ast) (func(*steering.Facts) (bool, error), error) {
	program, err := plan(l.conditions, checked)
	if err != nil {
		return nil, err
	}
	if direct := directCondition(checked); direct != nil {
		return direct, nil
	}
	pool := sync.Pool{New: func() any { return new(factsActivation) }}
	return func(facts *steering.Facts) (bool, error) {
		vars := pool.Get().(*factsActivation)
		vars.facts = facts
		result, _, err := program.Eval(vars)
		vars.facts = nil
		pool.Put(vars)
		return result == types.True, err
	}, nil
}

// plan makes a checked expression ready to run. It fails on constants that no
// check sees, such as a broken regular expression.
func plan(env *cel.Env, checked *cel.Ast) (cel.Program, error) {
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if repeats(checked) {
		options = append(options, cel.CostLimit(maxExpressionCost))
	}
	return env.Program(checked, options...)
}

// repeats tells whether an expression holds a macro that goes over a list. Any
// other costs no more than its length, which is limited, and is spared the
// counting, which doubles the time of a score.
func repeats(checked *cel.Ast) bool {
	found := false
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.ComprehensionKind
	}))
	return found
}

// inputsActivation lends an endpoint's inputs to a score without a map.
type inputsActivation struct {
	in      *steering.Inputs
	signals []string
}

// ResolveName returns the variables of a score.
func (a *inputsActivation) ResolveName(name string) (any, bool) {
	switch name {
	case "latency":
		return types.Double(a.in.Latency), true
	case "availability":
		return types.Double(a.in.Availability), true
	case "throughput":
		return types.Double(a.in.Throughput), true
	case "smoothness":
		return types.Double(a.in.Smoothness), true
	case "cost":
		return types.Double(a.in.Cost), true
	case "p50_ms":
		return types.Double(a.in.P50Ms), true
	case "p95_ms":
		return types.Double(a.in.P95Ms), true
	case "throughput_bps":
		return types.Double(a.in.ThroughputBps), true
	case "rebuffering":
		return types.Double(a.in.Rebuffering), true
	case "player_availability":
		return types.Double(a.in.PlayerAvailability), true
	case "player_ttfb_ms":
		return types.Double(a.in.PlayerTTFBMs), true
	case "player_throughput_bps":
		return types.Double(a.in.PlayerThroughputBps), true
	case "player_start_ms":
		return types.Double(a.in.PlayerStartMs), true
	case "price_per_gb":
		return types.Double(a.in.PricePerGB), true
	case "load":
		return types.Double(a.in.Load), true
	case "pace":
		return types.Double(a.in.Pace), true
	case "pull":
		return types.Double(a.in.Pull), true
	case "samples":
		return types.Double(a.in.Samples), true
	case "age_seconds":
		return types.Double(a.in.AgeSeconds), true
	case "weight":
		return types.Double(a.in.Weight), true
	case "provider":
		return types.String(a.in.Provider), true
	case "pool":
		return types.String(a.in.Pool), true
	}
	if number := signalNumber(a.signals, name); number >= 0 {
		return types.Double(a.in.Signal(number)), true
	}
	return nil, false
}

// Parent returns nil: there are no other variables.
func (a *inputsActivation) Parent() cel.Activation { return nil }

// literalText writes a literal as attributes are written in a ReadSet.
func literalText(v ref.Val) string {
	switch l := v.(type) {
	case types.String:
		return string(l)
	case types.Int:
		return strconv.FormatInt(int64(l), 10)
	}
	return ""
}
