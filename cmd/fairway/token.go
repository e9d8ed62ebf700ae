package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// readToken reads a token file. One that others may read is refused: it is as
// good as no token.
func readToken(path string) (string, error) {
	token, err := readPrivate(path, "token")
	if err == nil && token == "" {
		err = fmt.Errorf("token file %s is empty: remove it to have a new token made", path)
	}
	return token, err
}

// readPrivate reads a file that nobody but the owner may read, without the blanks
// around what is in it.
func readPrivate(path, what string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("%s file %s may be read by others (mode %04o): chmod 600 %s, and make a new %s if it may have leaked", what, path, mode, path, what)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	return strings.TrimSpace(string(data)), nil
}

// makeToken writes a new random token to a file that only the owner can read.
// When another process of the same host was faster, its token is taken.
func makeToken(path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".token-*") // 0600 by contract
	if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	defer os.Remove(file.Name())
	token := rand.Text() + rand.Text()
	_, err = file.WriteString(token + "\n")
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	if err := os.Link(file.Name(), path); os.IsExist(err) {
		return readToken(path)
	} else if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	return token, nil
}

// steeringSecret reads the secret of steering sessions, or makes the file; nil
// when none is named.
func steeringSecret(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	secret, err := readToken(path)
	if errors.Is(err, os.ErrNotExist) {
		secret, err = makeToken(path)
	}
	return []byte(secret), err
}
