package api

import (
	"cmp"
	"crypto/x509"
	"time"
)

// Certificate is one that a listener shows.
type Certificate struct {
	Doors    []string  `json:"doors"` // https, dot, api; none on a node that only obtains it
	From     string    `json:"from"`  // its file, or "acme"
	Names    []string  `json:"names,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"` // zero = there is none
	Late     bool      `json:"late,omitempty"`     // it should have been renewed by now
	Issuer   string    `json:"issuer,omitempty"`
	Renewal  time.Time `json:"renewal,omitzero"` // when it is asked for next; zero for files
	Failures int       `json:"failures,omitempty"`
	Error    string    `json:"error,omitempty"` // why it could not be renewed, or read again
}

// Describe fills in what a certificate says; nil = there is none.
func (c *Certificate) Describe(leaf *x509.Certificate) {
	if leaf == nil {
		return
	}
	c.Names, c.NotAfter, c.Issuer = leaf.DNSNames, leaf.NotAfter, cmp.Or(leaf.Issuer.CommonName, leaf.Issuer.String())
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
}
