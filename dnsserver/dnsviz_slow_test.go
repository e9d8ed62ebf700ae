//go:build slow

package dnsserver

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// debianShim lets dnsviz 0.9.4 run with pygraphviz 1.7, as Debian 12 has them: it looks
// for the version in a module that is there no more.
const debianShim = `import sys, types
import pygraphviz
release = types.ModuleType("pygraphviz.release")
release.version = pygraphviz.__version__
pygraphviz.release = sys.modules["pygraphviz.release"] = release
`

// TestDNSViz: dnsviz, which looks at everything that the servers of a zone say, has
// neither an error nor a warning to tell.
func TestDNSViz(t *testing.T) {
	w := exampleWorld(netip.MustParseAddr("127.0.0.1"))
	k := newKeeper(t, w)
	address := serveSigned(t, w, k, "127.0.0.1:0")
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var keys strings.Builder
	for _, key := range keysOf(k, "video.example.") {
		fmt.Fprintln(&keys, oneLine(key))
	}
	anchor, probed := file("anchor", keys.String()), file("probed", "")
	file("sitecustomize.py", debianShim)
	names := []string{"video.example", "www.video.example", "inside.video.example", "shop.video.example", "nothing.video.example", "ent.video.example", "x.wild.video.example"}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	dnsviz := func(arguments ...string) string {
		t.Helper()
		command := exec.CommandContext(ctx, "dnsviz", append(arguments, names...)...)
		command.Env = append(os.Environ(), "PYTHONPATH="+folder)
		var said bytes.Buffer
		command.Stderr = &said
		out, err := command.Output()
		if err != nil {
			t.Fatalf("dnsviz %v: %v\n%s", arguments, err, &said)
		}
		return string(out)
	}
	dnsviz("probe", "-A", "-4", "-a", "video.example", "-x", "video.example+:ns1.video.example="+address, "-R", "A,MX,TXT", "-o", probed)
	if all := dnsviz("grok", "-l", "info", "-t", anchor, "-r", probed); strings.Count(all, `"SECURE"`) < 20 {
		t.Fatalf("dnsviz has hardly looked:\n%s", all)
	}
	if found := strings.TrimSpace(dnsviz("grok", "-l", "warning", "-t", anchor, "-r", probed)); found != "" {
		t.Errorf("dnsviz has found:\n%s", found)
	}
}
