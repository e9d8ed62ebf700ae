package manifest

import (
	"errors"
	"strings"
)

// variables are the values that a playlist gives to names (EXT-X-DEFINE with VALUE,
// RFC 8216bis §4.4.2.3). Those of the other kinds are the player's to fill in.
type variables map[string]string

// define takes in a tag's attributes.
func (v variables) define(tag attributes) {
	if name := tag.get("NAME"); name != "" {
		v[name] = tag.get("VALUE")
	}
}

// in puts the values in place of their names in a URI (§4.3). What stays is for the
// player, unless it might be what tells where the URI leads.
func (v variables) in(uri string) (string, error) {
	var filled strings.Builder
	rest := uri
	for {
		before, reference, found := strings.Cut(rest, "{$")
		filled.WriteString(before)
		if !found {
			break
		}
		name, after, _ := strings.Cut(reference, "}")
		if value, known := v[name]; known {
			filled.WriteString(value)
			rest = after
			continue
		}
		filled.WriteString("{$")
		rest = reference
	}
	if uri = filled.String(); strings.HasPrefix(uri, "{$") {
		return "", errors.New("the URI " + uri + " begins with a variable that has no VALUE here: nobody can tell where it leads")
	}
	return uri, nil
}
