package policies

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// File is one configuration file.
type File struct {
	Name string // as shown in findings; relative paths in the file are relative to its folder
	Data []byte
}

// Read returns the configuration at path: one file with the zone files that it
// names, or every .yaml, .yml and .zone file in a folder and its sub-folders, sorted
// by name. Hidden files and folders are left out, and so are policy tests
// (*_test.yaml).
func Read(path string) ([]File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	names := []string{path}
	if info.IsDir() {
		if names, err = List(path); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("read configuration: %s has no .yaml or .yml file: put one there, or name the right folder", path)
		}
	}
	files := make([]File, 0, len(names))
	for i := 0; i < len(names); i++ {
		data, err := os.ReadFile(names[i])
		switch {
		case err == nil:
			files = append(files, File{Name: names[i], Data: data})
		case i > 0 && !info.IsDir() && errors.Is(err, fs.ErrNotExist):
			continue // Compile says where it is named
		default:
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		if info.IsDir() {
			continue
		}
		for _, name := range Named(files[len(files)-1]) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return files, nil
}

var (
	zoneInYAML = regexp.MustCompile(`(?m)\bfile\s*:\s*["']?([^\s"',{}#]+\.zone)\b`)
	zoneInZone = regexp.MustCompile(`(?mi)^\$INCLUDE[ \t]+"?([^\s";]+\.zone)\b`)
)

// Named returns the zone files that a file names, whether they are there or not,
// without a close look at it: one too many does no harm. Those that lie outside its
// folder are left out, since they would not go where the configuration goes.
func Named(f File) []string {
	pattern := zoneInYAML
	if IsZone(f.Name) {
		pattern = zoneInZone
	}
	var names []string
	for _, match := range pattern.FindAllSubmatch(f.Data, -1) {
		if name := filepath.FromSlash(string(match[1])); filepath.IsLocal(name) {
			names = append(names, filepath.Join(filepath.Dir(f.Name), name))
		}
	}
	return names
}

// List returns the names of the configuration files below a folder, sorted; see
// Read for which these are.
func List(folder string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != folder && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case !isConfiguration(d.Name()):
			return nil
		}
		// A mounted Kubernetes ConfigMap shows its files as symbolic links into a
		// hidden folder, so the link's target decides.
		info, err := os.Stat(name)
		if err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

// isConfiguration tells by its name whether a file in a folder belongs to the
// configuration.
func isConfiguration(base string) bool {
	ext := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	return (ext == ".yaml" || ext == ".yml" || ext == zoneSuffix) && !strings.HasPrefix(base, ".") && !strings.HasSuffix(stem, "_test")
}

// Hash names the content of files, whatever folder they lie in and whatever
// their order: the hash of their revision, also where they do not compile.
func Hash(files []File) string {
	sums := make([]string, 0, len(files))
	for _, f := range files {
		h := sha256.New()
		base := filepath.Base(f.Name)
		// The length keeps a name's end and the data's beginning apart.
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(base))))
		h.Write([]byte(base))
		h.Write(f.Data)
		sums = append(sums, string(h.Sum(nil)))
	}
	slices.Sort(sums)
	sum := sha256.Sum256([]byte(strings.Join(sums, "")))
	return hex.EncodeToString(sum[:])
}
