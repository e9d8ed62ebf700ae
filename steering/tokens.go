package steering

import "time"

// Tokens says how URLs of one provider are given the token by which it lets a
// viewer in. It has no secrets, only where they are.
type Tokens struct {
	Scheme     string // as steering/token knows it
	Keys       []TokenKey
	TTL        time.Duration
	Cover      string   // exact, directory or prefix; empty = directory where the scheme can, else exact
	Prefix     string   // the path that cover prefix is about
	Param      string   // empty = as the provider calls it
	InPath     bool     // the token stands before the path, not in the query
	BindClient bool     // the token holds for the viewer's address only
	Hash       string   // CloudFront, Fastly: sha1 or sha256; empty = as the scheme has it
	Issuer     string   // CAT
	Salt       TokenKey // Akamai; without a file and a variable there is none
	Place      Place
}

// TokenKey is where a secret is: in a file or in a variable of the environment.
type TokenKey struct {
	ID   string
	File string
	Env  string
	From time.Time // signs from then on; zero = always
}
