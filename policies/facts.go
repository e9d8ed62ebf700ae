package policies

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"fairway/steering"
)

var errNoZone = errors.New("no time zone")

// conditionVariables are what `when` may read.
func conditionVariables() []variable {
	return []variable{
		{"client.region", cel.StringType},
		{"client.country", cel.StringType},
		{"client.subdivision", cel.StringType},
		{"client.continent", cel.StringType},
		{"client.asn", cel.IntType},
		{"client.family", cel.StringType},
		{"client.prefix", networkType},
		{"client.source", cel.StringType},
		{"query.door", cel.StringType},
		{"query.path", cel.StringType},
		{"service.key", cel.StringType},
		{"service.labels", cel.MapType(cel.StringType, cel.StringType)},
		{"now", cel.TimestampType},
	}
}

// conditionFunctions are what `when` may call beside CEL's own.
func conditionFunctions() []cel.EnvOption {
	options := []cel.EnvOption{
		cel.Function("within",
			cel.MemberOverload("network_within_text", []*cel.Type{networkType, cel.StringType}, cel.BoolType, cel.BinaryBinding(lies)),
			cel.MemberOverload("network_within_texts", []*cel.Type{networkType, cel.ListType(cel.StringType)}, cel.BoolType, cel.BinaryBinding(lies))),
		cel.Function("between", cel.MemberOverload("time_between_clocks",
			[]*cel.Type{cel.TimestampType, cel.StringType, cel.StringType, cel.StringType}, cel.BoolType, cel.FunctionBinding(between))),
	}
	for _, name := range pathVariables {
		options = append(options, cel.Variable(name, cel.BoolType))
	}
	return options
}

// networkType is the type of client.prefix: a thing that can only be asked
// whether it lies within a network.
var networkType = cel.OpaqueType("network")

// network is the network of a cell: the longest of those that conditions name.
type network struct{ netip.Prefix }

// ConvertToNative implements ref.Val.
func (n network) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("a network has no other form")
}

// ConvertToType implements ref.Val.
func (n network) ConvertToType(ref.Type) ref.Val { return types.NewErr("a network has no other form") }

// Equal implements ref.Val.
func (n network) Equal(ref.Val) ref.Val { return types.False }

// Type implements ref.Val.
func (n network) Type() ref.Type { return networkType }

// Value implements ref.Val.
func (n network) Value() any { return n.Prefix }

// lies tells whether a network lies in one that is named, or in one of
// several. That they are literals, and networks, was checked.
func lies(a, b ref.Val) ref.Val {
	mine := a.(network)
	if list, ok := b.(traits.Lister); ok {
		for it := list.Iterator(); it.HasNext() == types.True; {
			if mine.in(it.Next()) {
				return types.True
			}
		}
		return types.False
	}
	return types.Bool(mine.in(b))
}

func (n network) in(text ref.Val) bool {
	s, _ := text.(types.String)
	wider, err := parseNetwork(string(s))
	return err == nil && n.IsValid() && wider.Bits() <= n.Bits() && wider.Contains(n.Addr())
}

// parseNetwork reads a network as the rest of the language does.
func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().WithZone("").Prefix(a.Unmap().BitLen())
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("%s is no network", quote(text))
	case p.Masked() != p:
		return p, fmt.Errorf("%s has bits beyond its length", quote(text))
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%s is IPv4 inside IPv6", quote(text))
	}
	return p, nil
}

// between tells whether a time of day lies between two, in a zone. An end that
// is not after the start is on the next day.
func between(args ...ref.Val) ref.Val {
	now, ok := args[0].(types.Timestamp)
	if !ok {
		return types.MaybeNoSuchOverloadErr(args[0])
	}
	zone, err := loadZone(string(args[3].(types.String)))
	if err != nil {
		return types.NewErr("%v", err)
	}
	start, _ := parseClock(string(args[1].(types.String)))
	end, _ := parseClock(string(args[2].(types.String)))
	return types.Bool(clockBetween(now.In(zone), start, end))
}

func clockBetween(t time.Time, start, end time.Duration) bool {
	clock := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	if start < end {
		return start <= clock && clock < end
	}
	return clock >= start || clock < end
}

// factsActivation lends facts to a condition.
type factsActivation struct{ facts *steering.Facts }

// ResolveName returns the variables of a condition.
func (a *factsActivation) ResolveName(name string) (any, bool) {
	f := a.facts
	switch name {
	case "client.region":
		return types.String(f.Cell.Region), true
	case "client.country":
		return types.String(f.Cell.Country), true
	case "client.subdivision":
		return types.String(f.Cell.Subdivision), true
	case "client.continent":
		return types.String(f.Cell.Continent), true
	case "client.asn":
		return types.Int(f.Cell.ASN), true
	case "client.family":
		return types.String(f.Cell.Family), true
	case "client.prefix":
		return network{f.Cell.Prefix}, true
	case "client.source":
		return types.String(f.Source.String()), true
	case "query.door":
		return types.String(f.Door.String()), true
	case "service.key":
		return types.String(f.Service.Key), true
	case "service.labels":
		return types.NewStringStringMap(types.DefaultTypeAdapter, f.Service.Labels), true
	case "now":
		return types.Timestamp{Time: f.Now}, true
	}
	for i, path := range pathVariables {
		if name == path {
			return types.Bool(f.Paths&(1<<i) != 0), true
		}
	}
	return nil, false
}

// Parent returns nil: there are no other variables.
func (a *factsActivation) Parent() cel.Activation { return nil }
