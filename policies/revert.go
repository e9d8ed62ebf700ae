package policies

import (
	"errors"
	"fmt"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"fairway/steering"
)

// revertVariables are what a condition to revert for may read: what the clients
// of one service in one region get.
func revertVariables() []variable {
	return []variable{
		{"service", cel.StringType},
		{"region", cel.StringType},
		{"availability", cel.DoubleType},
		{"p50_ms", cel.DoubleType},
		{"p95_ms", cel.DoubleType},
		{"down", cel.DoubleType},
	}
}

// RevertIf compiles a condition to take a revision back for, such as
// "availability < 0.99 || p95_ms > 500". It is asked of every service in every
// region; what cannot be computed is false.
func RevertIf(text string) (func(steering.Figures) bool, error) {
	env := environment(revertVariables(), cel.CrossTypeNumericComparisons(true))
	checked, issues := checkNumbers(env, text)
	if issues.Err() != nil {
		return nil, revertError(text, issues)
	}
	if !checked.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("condition %q: must be true or false, and is a %s; compare something, such as availability < 0.99", text, typeWord(checked.OutputType()))
	}
	program, err := plan(env, checked)
	if err != nil {
		return nil, fmt.Errorf("condition %q: cannot run: %s", text, clip(err.Error()))
	}
	return func(f steering.Figures) bool {
		result, _, err := program.Eval(&figuresActivation{f})
		return err == nil && result == types.True
	}, nil
}

// revertError says what CEL found, and which words there are.
func revertError(text string, issues *cel.Issues) error {
	var names []string
	for _, v := range revertVariables() {
		names = append(names, v.name)
	}
	var found []error
	for _, e := range issues.Errors() {
		message, hint := e.Message, "look for a missing operand, quote or bracket"
		if m := undeclared.FindStringSubmatch(e.Message); m != nil {
			message, hint = fmt.Sprintf("unknown variable %q", clip(m[1])), choices("variables", names, m[1])
		} else if overload.MatchString(e.Message) {
			message, hint = operatorMessage(e.Message), "compare numbers with numbers, and service and region with texts in quotes"
		}
		found = append(found, fmt.Errorf("condition %q, column %d: %s\n    %s", text, e.Location.Column()+1, message, hint))
	}
	return errors.Join(found...)
}

// figuresActivation lends figures to a condition.
type figuresActivation struct{ f steering.Figures }

// ResolveName returns the variables of a condition.
func (a *figuresActivation) ResolveName(name string) (any, bool) {
	switch name {
	case "service":
		return types.String(a.f.Service), true
	case "region":
		return types.String(a.f.Region), true
	case "availability":
		return types.Double(a.f.Availability), true
	case "p50_ms":
		return types.Double(float64(a.f.P50) / float64(time.Millisecond)), true
	case "p95_ms":
		return types.Double(float64(a.f.P95) / float64(time.Millisecond)), true
	case "down":
		return types.Double(a.f.Down), true
	}
	return nil, false
}

// Parent returns nil: there are no other variables.
func (a *figuresActivation) Parent() cel.Activation { return nil }
