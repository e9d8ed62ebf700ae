package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// fetch gets the pinned package by npm and takes the database out of it.
func fetch(ctx context.Context) ([]byte, error) {
	folder, err := os.MkdirTemp("", "fairway-geodata-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	npm := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", folder, packageName+"@"+packageVersion)
	npm.Dir = folder
	if output, err := npm.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack %s@%s: %w\n%s", packageName, packageVersion, err, output)
	}
	archives, err := filepath.Glob(filepath.Join(folder, "*.tgz"))
	if err != nil {
		return nil, err
	}
	if len(archives) != 1 {
		return nil, fmt.Errorf("npm pack left %d archives, want 1", len(archives))
	}
	archive, err := os.ReadFile(archives[0])
	if err != nil {
		return nil, err
	}
	if got := integrity(archive); got != packageIntegrity {
		return nil, fmt.Errorf("%s@%s has the hash %s, want %s; do not use it", packageName, packageVersion, got, packageIntegrity)
	}
	return extract(archive, packageFile)
}

// integrity is the hash in the form of Subresource Integrity, as npm writes it.
func integrity(data []byte) string {
	sum := sha512.Sum512(data)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// extract takes one file out of a compressed tar archive.
func extract(archive []byte, name string) ([]byte, error) {
	zip, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := tar.NewReader(zip)
	for {
		header, err := files.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("the archive has no %s", name)
		case err != nil:
			return nil, err
		case header.Name == name:
			return io.ReadAll(files)
		}
	}
}

// samePlain tells whether two gzip files hold the same data.
func samePlain(a, b []byte) bool {
	plainA, errA := plain(a)
	plainB, errB := plain(b)
	return errA == nil && errB == nil && bytes.Equal(plainA, plainB)
}

func plain(packed []byte) ([]byte, error) {
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(zip)
}
