// Package policies is the configuration language: YAML files in, one checked
// and compiled steering.Revision out.
//
// In:  files, from Read or from anywhere else.
// Out: a Configuration (the revision, and what this node needs beside it), and
// every finding of the whole set in one run, each with file:line:col and a
// remedy. One error is enough for no configuration at all: what cannot be loaded
// in part is refused as a whole, and the caller keeps what it has.
//
// # The language
//
// Files are YAML 1.2 in UTF-8, one document each, without anchors, aliases,
// merge keys and tags: what an operator reads at a line is what stands there.
// A folder is the union of its files; a name that is defined twice is a finding
// that tells both places. Unknown keys are errors. The schema is written down
// once, in the functions that read it: see compile.go for the top level and the
// files named after each section for the rest.
//
// # Expressions
//
// `when` and `score` are CEL (https://cel.dev), checked here against the
// variables in facts.go and language.go and against the names that the files
// declare. What comes out are plain functions of steering.Facts and of
// steering.Inputs, pure and safe for concurrent use. Questions about the path that
// is asked for run per query, so they become functions of their own, without CEL.
// Reads says which attribute values the conditions can tell apart, so that the
// address space is cut no finer.
//
// # Promises
//
// Compile never panics, whatever the bytes (FuzzCompile), opens no file and
// reads no clock: equal files give equal revisions. Only Read touches the disk.
//
// # Limits
//
// A file may have 32 MiB. Whether rules overlap and whether a vantage can reach
// a probe's target is not decided here.
package policies
