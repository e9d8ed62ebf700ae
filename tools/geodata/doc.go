// Geodata makes the country table that steering/geo embeds.
//
//	go run fairway/tools/geodata -out steering/geo          write it
//	go run fairway/tools/geodata -out steering/geo -check   compare it with a fresh one
//
// In:  one pinned version of an npm package with a country MMDB, fetched with
// npm pack into a temporary folder and compared with its pinned hash.
// Out: country.bin.gz and country.LICENSE, the same bytes on every run. The
// bytes depend on the gzip writer of the Go release too; when a new release
// writes others, -check says so, and the table is written again.
//
// # Why this package
//
// iptoasn-country is dedicated to the public domain (PDDL 1.0), so that it may
// be shipped without attribution, and it is small. Its npm edition has ended
// and its maker knows of wrong entries in it: it is a default for a first run,
// and production should name a database of its own. To move to another source,
// change the pin and run this again.
package main
