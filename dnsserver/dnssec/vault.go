package dnssec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fairway/steering/store/kept"
)

// Vault keeps the ring of each zone, as octets whose meaning is ours. What is
// saved is there for every process that shares the vault, whole or not at all.
type Vault interface {
	// Load returns what was saved for a zone; fs.ErrNotExist when nothing was.
	Load(zone string) ([]byte, error)
	// Save replaces what Load gave last. A vault that several processes write says
	// ErrConflict when it is no longer what is there.
	Save(zone string, data []byte) error
}

// ErrConflict means that another process has replaced a zone's keys meanwhile.
var ErrConflict = errors.New("another node has changed the keys meanwhile; look at them again: fairway dnssec status")

// Folder is a vault of files, ZONE.json, that nobody but their owner may read.
type Folder string

func (f Folder) path(zone string) string { return filepath.Join(string(f), FileName(zone)+".json") }

// FileName is a zone's name as one that every file system and store can have: no
// octets but a-z, 0-9, ".", "-", "_" and "%".
func FileName(zone string) string {
	if zone == "." {
		return "%2e"
	}
	var name strings.Builder
	for _, octet := range []byte(strings.TrimSuffix(zone, ".")) {
		if 'a' <= octet && octet <= 'z' || '0' <= octet && octet <= '9' || octet == '.' || octet == '-' || octet == '_' {
			name.WriteByte(octet)
			continue
		}
		fmt.Fprintf(&name, "%%%02x", octet)
	}
	return name.String()
}

// Load reads a zone's file. One that others may read is refused: the keys in it
// may be known.
func (f Folder) Load(zone string) ([]byte, error) {
	path := f.path(zone)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the keys of %s: %w", zone, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("read the keys of %s: %s has mode %04o, so others than its owner may have read it; chmod 600 it, and roll the keys if that may have happened", zone, path, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the keys of %s: %w", zone, err)
	}
	return data, nil
}

// Save puts the file in its place at once, so that a crash leaves the old one or
// the new one, and other processes never see a half.
func (f Folder) Save(zone string, data []byte) error {
	if err := f.save(f.path(zone), data); err != nil {
		return fmt.Errorf("save the keys of %s: %w", zone, err)
	}
	return nil
}

func (f Folder) save(path string, data []byte) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	return kept.WriteFile(path, data, 0o600)
}

// Seal returns a vault that keeps in another one what only the holders of a secret
// can read or make (AES-256-GCM; the zone's name is authenticated with it, so that
// one zone's keys cannot be put in another's place).
func Seal(v Vault, secret []byte) (Vault, error) {
	if len(secret) < 16 {
		return nil, errors.New("the secret that seals DNSSEC keys has fewer than 16 octets; make one: openssl rand -hex 32")
	}
	key := sha256.Sum256(secret)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	box, err := cipher.NewGCM(block)
	return &sealed{v, box}, err
}

type sealed struct {
	Vault
	box cipher.AEAD
}

func (s *sealed) Load(zone string) ([]byte, error) {
	data, err := s.Vault.Load(zone)
	if err != nil {
		return nil, err
	}
	size := s.box.NonceSize()
	if len(data) < size {
		return nil, fmt.Errorf("read the keys of %s: they are not sealed, or torn", zone)
	}
	plain, err := s.box.Open(nil, data[:size], data[size:], []byte(zone))
	if err != nil {
		return nil, fmt.Errorf("read the keys of %s: the secret does not open them", zone)
	}
	return plain, nil
}

func (s *sealed) Save(zone string, data []byte) error {
	nonce := make([]byte, s.box.NonceSize())
	rand.Read(nonce)
	return s.Vault.Save(zone, s.box.Seal(nonce, nonce, data, []byte(zone)))
}

// absent tells whether an error says that nothing was saved yet.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
