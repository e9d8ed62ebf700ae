package policies

import (
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"fairway/steering"
)

// Most scores are sums and products of a few figures, and a decision pays for one
// per endpoint: such an expression is made of Go functions, which give what CEL
// would and allocate nothing. What is not known here is left to CEL.

// figure and truth compute a number and a truth value. Nothing that they are made
// of can fail: fractions have infinities and NaN, and comparisons of NaN are false.
type (
	figure func(*steering.Inputs) float64
	truth  func(*steering.Inputs) bool
)

// directScore makes a checked score callable without CEL; nil where it cannot.
func (l *language) directScore(checked *cel.Ast) func(*steering.Inputs) float64 {
	f := l.figureOf(checked.NativeRep().Expr())
	if f == nil {
		return nil
	}
	return func(in *steering.Inputs) float64 {
		n := f(in)
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return 0
		}
		return n
	}
}

func (l *language) figureOf(e ast.Expr) figure {
	switch e.Kind() {
	case ast.LiteralKind:
		if n, is := e.AsLiteral().(types.Double); is {
			return func(*steering.Inputs) float64 { return float64(n) }
		}
	case ast.IdentKind:
		if number := signalNumber(l.signals, e.AsIdent()); number >= 0 {
			return func(in *steering.Inputs) float64 { return in.Signal(number) }
		}
		return inputNamed(e.AsIdent())
	case ast.CallKind:
		return l.figureOfCall(e.AsCall())
	}
	return nil
}

func (l *language) figureOfCall(call ast.CallExpr) figure {
	args := call.Args()
	switch {
	case call.IsMemberFunction():
		return nil
	case call.FunctionName() == "_?_:_":
		condition, yes, no := l.truthOf(args[0]), l.figureOf(args[1]), l.figureOf(args[2])
		if condition == nil || yes == nil || no == nil {
			return nil
		}
		return func(in *steering.Inputs) float64 {
			if condition(in) {
				return yes(in)
			}
			return no(in)
		}
	case call.FunctionName() == "-_":
		if x := l.figureOf(args[0]); x != nil {
			return func(in *steering.Inputs) float64 { return -x(in) }
		}
		return nil
	}
	operate := operators[call.FunctionName()]
	if operate == nil || len(args) != 2 {
		return nil
	}
	x, y := l.figureOf(args[0]), l.figureOf(args[1])
	if x == nil || y == nil {
		return nil
	}
	return func(in *steering.Inputs) float64 { return operate(x(in), y(in)) }
}

var operators = map[string]func(a, b float64) float64{
	"_+_": func(a, b float64) float64 { return a + b },
	"_-_": func(a, b float64) float64 { return a - b },
	"_*_": func(a, b float64) float64 { return a * b },
	"_/_": func(a, b float64) float64 { return a / b },
	"min": math.Min,
	"max": math.Max,
}

func (l *language) truthOf(e ast.Expr) truth {
	if e.Kind() == ast.LiteralKind {
		if b, is := e.AsLiteral().(types.Bool); is {
			return func(*steering.Inputs) bool { return bool(b) }
		}
	}
	if e.Kind() != ast.CallKind || e.AsCall().IsMemberFunction() {
		return nil
	}
	call, args := e.AsCall(), e.AsCall().Args()
	switch name := call.FunctionName(); name {
	case "!_":
		if x := l.truthOf(args[0]); x != nil {
			return func(in *steering.Inputs) bool { return !x(in) }
		}
		return nil
	case "_&&_", "_||_":
		return junction(l.truthOf(args[0]), l.truthOf(args[1]), name == "_||_")
	}
	compare := comparisons[call.FunctionName()]
	if compare == nil {
		return nil
	}
	x, y := l.figureOf(args[0]), l.figureOf(args[1])
	if x == nil || y == nil {
		return nil
	}
	return func(in *steering.Inputs) bool { return compare(x(in), y(in)) }
}

func junction(x, y truth, either bool) truth {
	switch {
	case x == nil || y == nil:
		return nil
	case either:
		return func(in *steering.Inputs) bool { return x(in) || y(in) }
	}
	return func(in *steering.Inputs) bool { return x(in) && y(in) }
}

var comparisons = map[string]func(a, b float64) bool{
	"_<_":  func(a, b float64) bool { return a < b },
	"_<=_": func(a, b float64) bool { return a <= b },
	"_>_":  func(a, b float64) bool { return a > b },
	"_>=_": func(a, b float64) bool { return a >= b },
	"_==_": func(a, b float64) bool { return a == b },
	"_!=_": func(a, b float64) bool { return a != b },
}

// inputNamed reads a variable of a score that is a number.
func inputNamed(name string) figure {
	switch name {
	case "latency":
		return func(in *steering.Inputs) float64 { return in.Latency }
	case "availability":
		return func(in *steering.Inputs) float64 { return in.Availability }
	case "throughput":
		return func(in *steering.Inputs) float64 { return in.Throughput }
	case "smoothness":
		return func(in *steering.Inputs) float64 { return in.Smoothness }
	case "cost":
		return func(in *steering.Inputs) float64 { return in.Cost }
	case "p50_ms":
		return func(in *steering.Inputs) float64 { return in.P50Ms }
	case "p95_ms":
		return func(in *steering.Inputs) float64 { return in.P95Ms }
	case "throughput_bps":
		return func(in *steering.Inputs) float64 { return in.ThroughputBps }
	case "rebuffering":
		return func(in *steering.Inputs) float64 { return in.Rebuffering }
	case "player_availability":
		return func(in *steering.Inputs) float64 { return in.PlayerAvailability }
	case "player_ttfb_ms":
		return func(in *steering.Inputs) float64 { return in.PlayerTTFBMs }
	case "player_throughput_bps":
		return func(in *steering.Inputs) float64 { return in.PlayerThroughputBps }
	case "player_start_ms":
		return func(in *steering.Inputs) float64 { return in.PlayerStartMs }
	case "price_per_gb":
		return func(in *steering.Inputs) float64 { return in.PricePerGB }
	case "load":
		return func(in *steering.Inputs) float64 { return in.Load }
	case "pace":
		return func(in *steering.Inputs) float64 { return in.Pace }
	case "pull":
		return func(in *steering.Inputs) float64 { return in.Pull }
	case "samples":
		return func(in *steering.Inputs) float64 { return in.Samples }
	case "age_seconds":
		return func(in *steering.Inputs) float64 { return in.AgeSeconds }
	case "weight":
		return func(in *steering.Inputs) float64 { return in.Weight }
	}
	return nil
}
