package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func zipped(t *testing.T, level int, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestIntegrity(t *testing.T) {
	t.Parallel()
	// SHA-512 of "abc", FIPS 180-4's own example, in base64.
	const want = "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw=="
	if got := integrity([]byte("abc")); got != want {
		t.Errorf("integrity(abc) = %s, want %s", got, want)
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"package/README.md", "package/data.mmdb"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(name)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	archive := zipped(t, gzip.BestSpeed, b.Bytes())
	if got, err := extract(archive, "package/data.mmdb"); err != nil || string(got) != "package/data.mmdb" {
		t.Errorf("extract = %q, %v", got, err)
	}
	if _, err := extract(archive, "package/other.mmdb"); err == nil || !strings.Contains(err.Error(), "package/other.mmdb") {
		t.Errorf("extract of a file that is not there: error %v", err)
	}
	if _, err := extract(archive[:len(archive)/2], "package/data.mmdb"); err == nil {
		t.Error("extract took half an archive")
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("some data, "), 1000)
	path := filepath.Join(t.TempDir(), "country.bin.gz")
	fresh := zipped(t, gzip.BestCompression, data)
	for _, test := range []struct {
		name      string
		committed []byte
		want      string // part of the error; empty = none
	}{
		{"the same", fresh, ""},
		{"another compressor", zipped(t, gzip.NoCompression, data), "another Go release"},
		{"other data", zipped(t, gzip.BestCompression, data[1:]), "differs from a fresh one"},
		{"no gzip", []byte("x"), "differs from a fresh one"},
	} {
		if err := os.WriteFile(path, test.committed, 0o600); err != nil {
			t.Fatal(err)
		}
		err := compare(path, fresh)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: compare says %v, want %q", test.name, err, test.want)
		}
	}
	if err := compare(path+".none", fresh); err == nil {
		t.Error("compare took a file that is not there")
	}
}
