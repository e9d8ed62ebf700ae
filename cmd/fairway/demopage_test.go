package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// pageState is what the demo's page shows of each player, and what it complains of.
const pageState = `({
	notice: document.querySelector('#notice').textContent,
	players: [...document.querySelectorAll('.player')].map((p) => ({
		name: p.querySelector('h2').textContent, from: p.querySelector('.from').textContent,
		stalls: p.querySelector('.stalls').textContent, ahead: parseFloat(p.querySelector('.ahead').textContent) || 0,
	})),
})`

type shownPlayer struct {
	Name, From, Stalls string
	Ahead              float64
}

type shownPage struct {
	Notice  string
	Players []shownPlayer
}

// shows waits until both players of the page are as wanted.
func shows(b tab, what string, so func(shownPlayer) bool) (shownPage, error) {
	var page shownPage
	var err error
	_, ok := reached(patience, func() bool {
		if err = b.run(pageState, &page); err != nil {
			return true
		}
		for _, p := range page.Players {
			if !so(p) {
				return false
			}
		}
		return len(page.Players) == 2
	})
	if !ok {
		err = fmt.Errorf("not within %v: %s; the page shows %+v", patience, what, page)
	}
	return page, err
}

// TestDemoPage: on the demo's page two players play, and the button that kills their
// CDN moves both without a stall. With FAIRWAY_PICTURES a folder, it leaves pictures
// of the page there, in light and dark.
func TestDemoPage(t *testing.T) {
	b := tab{openBrowser(t), "demo"}
	p, d, _ := startDemo(t)
	found := regexp.MustCompile(`players +(http://\S+)`).FindStringSubmatch(p.output.String())
	if found == nil {
		t.Fatalf("the demo does not say where its page is:\n%s", p.output)
	}
	tries(t, func() error { return killAndMend(b, d, found[1]) })
}

func killAndMend(b tab, d *doors, url string) error {
	b.open(url, os.Getenv("FAIRWAY_DARK") != "")
	if _, err := shows(b, "both play and have a buffer", func(p shownPlayer) bool { return p.Ahead > 8 && p.From != "–" }); err != nil {
		return err
	}
	var page shownPage
	if err := b.run(pageState, &page); err != nil {
		return err
	}
	cdn := page.Players[0].From
	press := func(fault string) error {
		var pressed bool
		return b.run(fmt.Sprintf("document.querySelector('.cdn.%s [data-fault=%s]').click(), true", cdn, fault), &pressed)
	}
	if err := press("blackhole"); err != nil {
		return err
	}
	defer press("clear")
	page, err := shows(b, "both have left "+cdn, func(p shownPlayer) bool { return p.From != cdn && p.Ahead > 8 })
	if err != nil {
		return err
	}
	if folder := os.Getenv("FAIRWAY_PICTURES"); folder != "" {
		b.picture(filepath.Join(folder, "page.png"))
	}
	for _, p := range page.Players {
		if p.Stalls != "0" || page.Notice != "" {
			return fmt.Errorf("after the death of %s: %+v", cdn, page)
		}
	}
	return nil
}

// TestEmbeddedPlayersAreTheTested: the demo's page has the players that the tests
// run; tools/players/vendor puts them there.
func TestEmbeddedPlayersAreTheTested(t *testing.T) {
	for _, p := range []player{hlsJS, dashJS} {
		want, err := os.ReadFile(filepath.Join(playersFolder, "node_modules", p.script))
		if err != nil {
			t.Fatalf("%v\n\tinstall the players: tools/players/install", err)
		}
		packed, err := os.ReadFile(filepath.Join("demo/page/vendor", filepath.Base(p.script)+".gz"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the demo embeds another %s than tools/players pins: run tools/players/vendor", p.kind)
		}
	}
}
