package dnsserver

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"fairway/steering/store/kept"
)

// maxSecrets bounds a file of secrets: one in use, one on its way in or out, and
// room for mistakes. Each costs a hash for every cookie that is not ours.
const maxSecrets = 4

// ReadSecrets reads a file of cookie secrets: one in each line, 32 hexadecimal
// digits, the one in use first. Empty lines, and what follows a #, mean nothing.
// A file that others may read is refused: whoever has a secret can forge cookies.
func ReadSecrets(path string) ([]Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cookie secrets: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("cookie secrets: %s may be read by others (mode %04o): chmod 600 %s, and make new ones if they may have leaked", path, mode, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cookie secrets: %w", err)
	}
	return parseSecrets(path, string(data))
}

func parseSecrets(path, text string) (secrets []Secret, err error) {
	var findings []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		octets, err := hex.DecodeString(line)
		if err != nil || len(octets) != len(Secret{}) {
			// What it says instead may be a secret all the same: it is not repeated.
			findings = append(findings, fmt.Errorf("%s:%d: a cookie secret is 32 hexadecimal digits; `fairway cookies new` makes one", path, number))
			continue
		}
		secrets = append(secrets, Secret(octets))
	}
	switch {
	case len(findings) > 0:
		return nil, errors.Join(findings...)
	case len(secrets) == 0:
		return nil, fmt.Errorf("cookie secrets: %s holds none; `fairway cookies new` makes one", path)
	case len(secrets) > maxSecrets:
		return nil, fmt.Errorf("cookie secrets: %s holds %d; at most %d are of use, remove the oldest", path, len(secrets), maxSecrets)
	}
	return secrets, nil
}

// WriteSecrets puts a file of secrets in place, whole or not at all, for its
// owner's eyes only.
func WriteSecrets(path string, secrets []Secret) error {
	text := "# DNS cookie secrets (RFC 9018). The first makes cookies; all of them are accepted.\n"
	for _, s := range secrets {
		text += hex.EncodeToString(s[:]) + "\n"
	}
	if err := kept.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("cookie secrets: %w", err)
	}
	return nil
}
