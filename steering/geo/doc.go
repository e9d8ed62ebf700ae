// Package geo compiles the network map into one table: address → cell.
//
// In:  the operator's regions, what the rules read, and geo databases: MMDB
// files, or the country table that is embedded here.
// Out: a Table, which satisfies steering.Table, and warnings for people.
//
// # How a client's region is found
//
// A region matches a network when each kind of selector that it names
// (prefixes, ASNs, subdivisions, countries, continents) has an entry for it.
// Of those that match, the one with the most specific selector wins: prefix,
// the longest first, then ASN, subdivision, country, continent; then the one
// with more kinds of selectors. Equals are an error that names both places.
// Nobody's clients are in steering.DefaultRegion.
//
// # How the table is made
//
// Each source becomes a layer: segments in address order that cover the whole
// family, each with a number for what is known there. Two layers are joined by
// one sweep over both. Databases join to attributes (of each attribute, the
// value of the first database that has one), attributes join with the regions'
// prefixes to cells, and neighbours in the same cell become one segment. That
// is why the prefix that Locate announces is the widest that can be: gdnsd
// merges its networks in the same way.
//
// # Promises
//
// A Table never changes and may be shared. Locate takes no lock and allocates
// nothing. Every database is read into memory whole, and a broken one is an
// error, never a panic and never a half-filled table.
//
// # Known limits
//
// The embedded data know countries only, are as old as Info says, and follow
// the registries more than the users; an operator's database is better. A
// database's aliases of IPv4 in IPv6 (6to4, Teredo) are not followed: such
// clients are in the default region unless a prefix names them. Of several
// nested subdivisions the largest counts, England rather than Oxfordshire.
package geo

//go:generate go run fairway/tools/geodata -out .
