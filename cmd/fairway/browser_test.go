package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// browser is Chromium, driven by tools/players/drive.mjs.
type browser struct {
	t       *testing.T
	in      io.WriteCloser
	ordered int // how often
	answers chan browserAnswer
	said    *lockedBuffer
}

type browserAnswer struct {
	Of    int             `json:"of"` // the order that it is for
	Value json.RawMessage `json:"value"`
	Error string          `json:"error"`
}

// playersFolder has what npm installed.
const playersFolder = "../../tools/players"

// openBrowser starts Chromium for a test.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("there is no chromium to run players in: tools/setup/install installs it")
	}
	if _, err := os.Stat(filepath.Join(playersFolder, "node_modules", "playwright-core")); err != nil {
		t.Fatal("the players are not installed: tools/players/install installs them")
	}
	driver := exec.Command("node", filepath.Join(playersFolder, "drive.mjs"), chromium)
	b := &browser{t: t, answers: make(chan browserAnswer), said: &lockedBuffer{}}
	driver.Stderr = b.said
	if b.in, err = driver.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := driver.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(b.answers)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var a browserAnswer
			if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
				a.Error = "the driver wrote no answer: " + lines.Text()
			}
			b.answers <- a
		}
	}()
	t.Cleanup(func() {
		// At the end of its input it closes Chromium, and ends.
		b.in.Close()
		hung := time.AfterFunc(patience, func() { driver.Process.Kill() })
		for range b.answers {
		}
		<-read
		driver.Wait()
		hung.Stop()
		if t.Failed() {
			t.Logf("the browser said:\n%s", b.said)
		}
	})
	return b
}

// order has the driver do something and returns what came of it. What comes of one that
// was given up is not for the next.
func (b *browser) order(command map[string]any) (json.RawMessage, error) {
	b.ordered++
	command["order"] = b.ordered
	line, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	for late := time.After(2 * patience); ; {
		select {
		case a, ok := <-b.answers:
			switch {
			case !ok:
				return nil, errors.New("the browser's driver has ended: " + b.said.String())
			case a.Of != b.ordered && a.Of != 0:
				continue
			case a.Error != "":
				return nil, errors.New(a.Error)
			}
			return a.Value, nil
		case <-late:
			return nil, errors.New("the browser did not answer")
		}
	}
}

// tab is one page of the browser. Each has a session of its own: what one loads, or
// has open, does not count for another.
type tab struct {
	*browser
	name string
}

// open opens a page in place of the tab's last.
func (t tab) open(url string, dark bool) {
	t.t.Helper()
	if _, err := t.order(map[string]any{"open": url, "dark": dark, "page": t.name}); err != nil {
		t.t.Fatalf("open %s: %v", url, err)
	}
}

// close ends what is in the tab.
func (t tab) close() {
	if _, err := t.order(map[string]any{"close": true, "page": t.name}); err != nil {
		t.t.Logf("closing %s: %v", t.name, err)
	}
}

// run evaluates JavaScript in the page and reads its value.
func (t tab) run(script string, value any) error {
	raw, err := t.order(map[string]any{"run": script, "page": t.name})
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, value)
}

// picture writes a PNG of the page.
func (t tab) picture(path string) {
	t.t.Helper()
	if _, err := t.order(map[string]any{"picture": path, "page": t.name}); err != nil {
		t.t.Fatal(err)
	}
}
