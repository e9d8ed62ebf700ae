package dnsserver

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSecretFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	if _, err := ReadSecrets(path); err == nil {
		t.Error("a missing file is read")
	}
	if err := WriteSecrets(path, testSecrets()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("written with mode %v, %v", info.Mode(), err)
	}
	if got, err := ReadSecrets(path); err != nil || !slices.Equal(got, testSecrets()) {
		t.Errorf("written %x, read %x, %v", testSecrets(), got, err)
	}
	os.Chmod(path, 0o640)
	if _, err := ReadSecrets(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may read: %v", err)
	}
}

// FuzzSecrets: whatever a file holds, it is read whole or not at all, and no error tells
// what stands in it.
func FuzzSecrets(f *testing.F) {
	for _, text := range []string{
		"", "# none\n", "e5e973e5a6b2a43f48e7dc849e37bfcf", " E5E973E5A6B2A43F48E7DC849E37BFCF # of Monday\n\n445536bcd2513298075a5d379663c962\n",
		"e5e973e5a6b2a43f48e7dc849e37bfc", "secret", strings.Repeat("e5e973e5a6b2a43f48e7dc849e37bfcf\n", 5), "e5e973e5a6b2a43f48e7dc849e37bfcf00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secrets, err := parseSecrets("f", text)
		if (err == nil) != (len(secrets) > 0 && len(secrets) <= maxSecrets) {
			t.Fatalf("%d secrets and %v", len(secrets), err)
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); err != nil && len(line) >= 20 && strings.Contains(err.Error(), line) {
				t.Fatalf("%q is told in %v", line, err)
			}
		}
	})
}

// A secret that is put first makes the cookies from then on, and those of the old
// one are accepted as long as it is there. A file that cannot be read changes
// nothing.
func TestSecretsRoll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	write := func(secrets ...Secret) {
		t.Helper()
		if err := WriteSecrets(path, secrets); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var jar cookieJar
		config := Cookies{SecretFile: path}
		old, next := testSecrets()[1], testSecrets()[0]
		write(old)
		if err := jar.fill(config); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var log bytes.Buffer
		go jar.follow(ctx, config, slog.New(slog.NewTextHandler(&log, nil)))
		synctest.Wait()

		client, asked := netip.MustParseAddr(inEU), make([]byte, clientCookie)
		var first, second [cookieOctets]byte
		jar.answer(&first, asked, client, 1000)
		write(next, old)
		time.Sleep(2 * followEvery)
		synctest.Wait()
		if state := jar.answer(&second, first[:], client, 1000); state != cookieValid || first == second {
			t.Errorf("after the roll: state %v, cookie % x", state, second)
		}
		os.WriteFile(path, []byte("oops"), 0o600)
		time.Sleep(2 * followEvery)
		synctest.Wait()
		if state := jar.answer(&first, second[:], client, 1000); state != cookieValid || first != second {
			t.Errorf("with a broken file: state %v", state)
		}
		write(next)
		time.Sleep(2 * followEvery)
		synctest.Wait()
		old.seal(&first, client)
		if state := jar.answer(&second, first[:], client, 1000); state != cookieBad {
			t.Errorf("after the old one is gone: state %v", state)
		}
		stop()
		synctest.Wait()
		if got := log.String(); strings.Count(got, "took up") != 2 || strings.Count(got, "old ones stand") != 1 || strings.Contains(got, "oops") {
			t.Errorf("log:\n%s", got)
		}
	})
}
