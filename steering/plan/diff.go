package plan

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"fairway/steering"
)

// Change is one thing that the new configuration says otherwise.
type Change struct {
	What   string         `json:"what"` // added, removed or changed
	Kind   string         `json:"kind"` // service, endpoint, policy, rule, region, provider, pool, vantage, probe or zone
	Name   string         `json:"name"` // a rule's is policy/rule
	Before steering.Place `json:"before,omitzero"`
	After  steering.Place `json:"after,omitzero"`
	Fields []Field        `json:"fields,omitempty"` // of a changed one
}

// Field is one setting in both configurations, as an operator would write it.
type Field struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// The values of Change.What.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// kinds is the order in which changes are listed: what decides, then what is
// decided over.
var kinds = []string{"rule", "policy", "schedule", "service", "endpoint", "region", "provider", "pool", "probe", "vantage", "zone"}

// changes compares two revisions by the names of what is in them.
func changes(before, after *steering.Revision) []Change {
	old, now := inventory(before), inventory(after)
	var list []Change
	for key, was := range old {
		is, still := now[key]
		switch {
		case !still && now[was.parent].value == nil && was.parent != (name{}):
			// It went with what it belonged to.
		case !still:
			list = append(list, Change{What: Removed, Kind: key.kind, Name: key.name, Before: was.place})
		default:
			if fields := differences(was.value, is.value); fields != nil {
				list = append(list, Change{What: Changed, Kind: key.kind, Name: key.name, Before: was.place, After: is.place, Fields: fields})
			}
		}
	}
	for key, is := range now {
		if _, was := old[key]; !was && (is.parent == (name{}) || old[is.parent].value != nil) {
			list = append(list, Change{What: Added, Kind: key.kind, Name: key.name, After: is.place})
		}
	}
	slices.SortFunc(list, func(a, b Change) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	return list
}

type name struct{ kind, name string }

// item is one named thing of a revision; parent names what it is part of.
type item struct {
	value  any
	place  steering.Place
	parent name
}

func inventory(r *steering.Revision) map[name]item {
	items := make(map[name]item)
	probe := func(p *steering.Probe) {
		if p != nil {
			items[name{"probe", p.Name}] = item{value: *p, place: p.Place}
		}
	}
	for _, p := range r.Policies {
		policy := name{"policy", p.Name}
		items[policy] = item{value: *p, place: p.Place}
		for _, rule := range p.Rules {
			// A rule that is only fallen back to is not among the policy's own; a pool that
			// is fallen back to is no rule of its own, and its name no rule's.
			for r := rule; r != nil && !strings.HasPrefix(r.Name, "pool:"); r = r.Fallback {
				items[name{"rule", p.Name + "/" + r.Name}] = item{*r, r.Place, policy}
			}
		}
	}
	for _, s := range r.Services {
		service := name{"service", s.Key}
		items[service] = item{value: *s, place: s.Place}
		for _, e := range s.Endpoints {
			items[name{"endpoint", e.ID}] = item{*e, e.Place, service}
		}
		probe(s.Probe)
	}
	for _, s := range r.Schedules {
		var keys []string
		for _, form := range s.Services {
			keys = append(keys, form.Key)
		}
		items[name{"schedule", s.Name}] = item{value: scheduled{*s, keys}, place: s.Place}
	}
	for _, p := range r.Providers {
		items[name{"provider", p.Name}] = item{value: *p, place: p.Place}
	}
	for _, p := range r.Pools {
		items[name{"pool", p.Name}] = item{value: *p, place: p.Place}
		probe(p.Probe)
	}
	for _, x := range r.Regions {
		items[name{"region", x.Name}] = item{value: x, place: x.Place}
	}
	for _, v := range r.Vantages {
		items[name{"vantage", v.Name}] = item{value: v, place: v.Place}
	}
	for _, z := range r.Zones {
		items[name{"zone", z.Name}] = item{value: z, place: z.Place}
	}
	return items
}

// scheduled is a schedule with its services by name.
type scheduled struct {
	steering.Schedule
	For []string
}

// derived are fields that say again what another item says.
var derived = map[reflect.Type][]string{
	reflect.TypeFor[steering.Endpoint](): {"Service", "Account"},
	reflect.TypeFor[steering.Service]():  {"Endpoints", "Schedule", "Weights"},
	reflect.TypeFor[steering.Rule]():     {"Reads"},
	reflect.TypeFor[steering.Schedule](): {"Services"},
}

// differences compares two values of one type, field by field. Whatever fields
// later releases add are seen without a word here.
func differences(before, after any) []Field {
	var fields []Field
	compare(reflect.ValueOf(before), reflect.ValueOf(after), "", &fields)
	return fields
}

func compare(a, b reflect.Value, path string, fields *[]Field) {
	t := a.Type()
	if t.Kind() == reflect.Struct && !written(t) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.IsExported() && f.Type != reflect.TypeFor[steering.Place]() && f.Type.Kind() != reflect.Func &&
				!strings.HasSuffix(f.Name, "Place") && !slices.Contains(derived[t], f.Name) {
				inner := path
				if !f.Anonymous {
					inner = join(path, label(f.Name))
				}
				compare(a.Field(i), b.Field(i), inner, fields)
			}
		}
		return
	}
	if x, y := text(a), text(b); x != y {
		*fields = append(*fields, Field{Name: path, Before: x, After: y})
	}
}

// written tells whether a type has a text of its own, such as an address.
func written(t reflect.Type) bool { return t.Implements(reflect.TypeFor[fmt.Stringer]()) }

// text writes a setting; two that are written alike are alike.
func text(v reflect.Value) string {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		whole := strings.Replace(time.Duration(v.Int()).String(), "m0s", "m", 1)
		return strings.Replace(whole, "h0m", "h", 1)
	case (v.Kind() == reflect.Struct || v.Kind() == reflect.Slice) && written(v.Type()):
		return fmt.Sprint(v.Interface())
	case v.Kind() == reflect.Pointer && v.IsNil():
		return "none"
	case v.Kind() == reflect.Pointer:
		if named := v.Elem().FieldByName("Name"); named.IsValid() {
			return named.String()
		}
		return text(v.Elem())
	case v.Kind() == reflect.String && v.Len() == 0:
		return "none"
	case v.Kind() == reflect.Float32 || v.Kind() == reflect.Float64:
		return fmt.Sprintf("%.6g", v.Float())
	}
	return composite(v)
}

func composite(v reflect.Value) string {
	var parts []string
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			parts = append(parts, text(v.Index(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		for _, key := range v.MapKeys() {
			parts = append(parts, text(key)+": "+text(v.MapIndex(key)))
		}
		slices.Sort(parts)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.IsExported() && f.Type != reflect.TypeFor[steering.Place]() && f.Type.Kind() != reflect.Func && !v.Field(i).IsZero() {
				parts = append(parts, label(f.Name)+": "+text(v.Field(i)))
			}
		}
	default:
		return fmt.Sprint(v.Interface())
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// label writes a Go name as the language does: PricePerGB is price_per_gb.
func label(name string) string {
	switch name {
	case "WhenText":
		return "when"
	case "ScoreText":
		return "score"
	case "ASNs":
		return "asns"
	}
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		begins := unicode.IsUpper(r) && i > 0 &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
