package policies

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Schema returns the JSON Schema (draft 2020-12) of one configuration file, for
// editors: they complete keys, explain them and mark mistakes while one types.
// A file may be part of a folder, so that what other files may hold is not
// required here; what refers to a name, or depends on another key, only
// `fairway check` can tell.
//
// The sections are described once, in the schema_*.go files; tests ask the
// functions that read the language whether they know the same keys, words,
// bounds and defaults.
func Schema() []byte {
	root := object("A Fairway configuration file. A folder is the union of its files; every key may be left out of a file.",
		listenSchema(), dnsSchema(), httpSchema(), apiSchema(), controlSchema(), storeSchema(), keysSchema(), acmeSchema(), drainSchema(), geoSchema(),
		zonesSchema(), currencySchema(), vantagesSchema(), regionsSchema(), providersSchema(), poolsSchema(),
		servicesSchema(), probesSchema(), probingSchema(), referencesSchema(), importsSchema(), policiesSchema(), schedulesSchema(), tsigSchema(), learningSchema())
	root.Draft = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "Fairway configuration"
	root.Defs = map[string]*schema{
		"country": {Type: "string", Enum: words(countries), Description: "An ISO 3166-1 alpha-2 code in capitals; XK is Kosovo."},
		"name": {Type: "string", Pattern: `^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`,
			Description: "1 to 63 of a-z A-Z 0-9 . _ - with a letter or digit first: names stand in URLs, metrics and commands."},
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		panic("policies: schema: " + err.Error())
	}
	return out.Bytes()
}

// schema is a JSON Schema, as far as the language needs it.
type schema struct {
	Draft       string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Type        any                `json:"type,omitempty"` // a word, or several
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Minimum     *float64           `json:"minimum,omitempty"`
	Maximum     *float64           `json:"maximum,omitempty"`
	MinItems    int                `json:"minItems,omitempty"`
	MinProps    int                `json:"minProperties,omitempty"`
	MaxProps    int                `json:"maxProperties,omitempty"`
	Unique      bool               `json:"uniqueItems,omitempty"`
	Default     any                `json:"default,omitempty"`
	Examples    []any              `json:"examples,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	More        any                `json:"additionalProperties,omitempty"` // false, or the schema of the values of any key
	Names       *schema            `json:"propertyNames,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	Defs        map[string]*schema `json:"$defs,omitempty"`
}

// property is a key of an object.
type property struct {
	key      string
	required bool
	*schema
}

// key describes an optional key; doc is what an editor shows when one points at
// it.
func key(name, doc string, s *schema) property {
	s.Description = doc
	return property{key: name, schema: s}
}

// needed makes the key required.
func (p property) needed() property {
	p.required = true
	return p
}

// by states what is meant when the key is missing.
func (p property) by(value any) property {
	p.Default = value
	return p
}

// like gives an example.
func (p property) like(examples ...any) property {
	p.Examples = examples
	return p
}

// object is a mapping with these keys and no others. Where none is needed,
// nothing at all behind the colon is an empty mapping.
func object(doc string, properties ...property) *schema {
	s := &schema{Description: doc, Type: []string{"object", "null"}, Properties: make(map[string]*schema), More: false}
	for _, p := range properties {
		s.Properties[p.key] = p.schema
		if p.required {
			s.Required = append(s.Required, p.key)
			s.Type = "object"
		}
	}
	return s
}

// entries is a mapping from names to things.
func entries(of *schema) *schema {
	return &schema{Type: []string{"object", "null"}, Names: &schema{Ref: "#/$defs/name"}, More: of}
}

func list(of *schema) *schema { return &schema{Type: "array", Items: of, Unique: of.Type == "string"} }

// some is a list with at least one item.
func some(of *schema) *schema {
	s := list(of)
	s.MinItems = 1
	return s
}

// oneOrList is one thing, or a list.
func oneOrList(of *schema) *schema { return &schema{AnyOf: []*schema{of, list(of)}} }

// oneOrSome is one thing, or a list that is not empty.
func oneOrSome(of *schema) *schema { return &schema{AnyOf: []*schema{of, some(of)}} }

func text() *schema { return &schema{Type: "string", Pattern: `\S`} }

func matching(pattern string) *schema { return &schema{Type: "string", Pattern: pattern} }

func reference() *schema { return &schema{Ref: "#/$defs/name"} }

func word(choices ...string) *schema { return &schema{Type: "string", Enum: choices} }

func words(separated string) []string { return strings.Fields(separated) }

// number is any number in bounds, whole only whole ones.
func number(low, high float64) *schema {
	return &schema{Type: "number", Minimum: &low, Maximum: &high}
}

func whole(low, high float64) *schema {
	return &schema{Type: "integer", Minimum: &low, Maximum: &high}
}

// from is a number without an upper bound.
func from(low float64) *schema { return &schema{Type: "number", Minimum: &low} }

func duration() *schema {
	return matching(`^([0-9]+d|[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+|[-+]?0)$`)
}

func percentage() *schema {
	return matching(`^\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*%$`)
}

func hostname() *schema { return matching(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?$`) }

func address() *schema { return matching(`^[0-9A-Fa-f:.]+$`) }

func prefix() *schema { return matching(`^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$`) }

func baseURL() *schema { return matching(`^[hH][tT][tT][pP][sS]?://[^\s?#@]+$`) }

func listener() *schema { return matching(`^(\[[0-9A-Fa-f:.%]*\]|[0-9.]*|localhost):[0-9]{1,5}$`) }
