package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// books is a Carrier with real books.
type books struct {
	book  usage.Book
	doors []string
}

func (b *books) revision() *steering.Revision {
	return &steering.Revision{
		Currency: "EUR", Regions: []steering.Region{{Name: "eu"}},
		Providers: []*steering.Provider{
			{
				Name: "alpha", Terms: steering.Terms{PricePerGB: steering.Tariff{{UpToGB: 100, Price: 0.01}, {Price: 0.005}}, CapGbps: 10},
				Commit: steering.Commit{GBMonth: 1000, Strictness: 1}, P95Gbps: 4, Headroom: 0.1,
			},
			{Name: "bravo", Regions: map[string]steering.Terms{"eu": {CapGbps: 2, PricePerGB: steering.FlatTariff(0.02)}}},
		},
	}
}

func (b *books) Usage() (Usage, error) {
	now := time.Now()
	return DescribeUsage(b.revision(), b.book.Standing(now), 1, now), nil
}

func (b *books) Contracts() (providers, regions []string) {
	return []string{"alpha", "bravo"}, b.revision().RegionNames()
}

func (b *books) Report(_ context.Context, samples []usage.Sample, openings []usage.Opening, doors *DoorCounts) (UsageTaken, error) {
	taken := UsageTaken{Samples: b.book.Add(samples), Openings: len(openings)}
	for _, o := range openings {
		b.book.Begin(o)
	}
	if doors != nil {
		b.doors = append(b.doors, doors.Node)
		taken.Handed = len(doors.Handed)
	}
	return taken, nil
}

func exchange(f *fixture, method, body string) (status int, answer string) {
	r := f.ask(method, "/api/v1/usage", body)
	return r.Code, r.Body.String()
}

func TestUsage(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Usage = new(books) })
	start := time.Now().Add(-2 * usage.Bin).Truncate(usage.Bin).UTC().Format(time.RFC3339)
	until := time.Now().Add(-3 * usage.Bin).UTC().Format(time.RFC3339)
	report := fmt.Sprintf(`{"version":1,
		"samples":[{"provider":"alpha","region":"eu","start":%q,"seconds":300,"bytes":300e9,"requests":600}],
		"month_so_far":[{"provider":"alpha","until":%q,"bytes":50e9}],
		"doors":{"node":"edge-1/7/9","handed":[{"service":"live","region":"eu","rule":"all","endpoint":"live/alpha","count":12}]}}`, start, until)
	for i, want := range []usage.Effect{{Added: 1}, {Replaced: 1}} { // the second time it is a retry
		status, body := exchange(f, "POST", report)
		var taken UsageTaken
		if err := json.Unmarshal([]byte(body), &taken); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		if taken.Samples != want || taken.Openings != 1 || taken.Handed != 1 {
			t.Errorf("report %d: %+v, want %+v", i+1, taken, want)
		}
	}
	status, body := exchange(f, "GET", "")
	var u Usage
	if err := json.Unmarshal([]byte(body), &u); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if u.Currency != "EUR" || u.Stretch != 1 || len(u.Rows) != 4 {
		t.Fatalf("%+v, want four rows: alpha, alpha in eu, bravo, bravo in eu", u)
	}
	alpha, eu := u.Rows[0], u.Rows[1]
	near := func(what string, got, want float64) {
		t.Helper()
		if got < want*0.999-1e-9 || got > want*1.001+1e-9 {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
	}
	near("now", alpha.Gbps, 8)
	near("load", alpha.Load, 0.8)
	near("month", alpha.MonthGB, 350)
	near("cost", alpha.Cost, 100*0.01+250*0.005)
	near("price of the next", alpha.PricePerGB, 0.005)
	near("requests", eu.RPS, 2)
	if alpha.BurstsUsed != 1 || alpha.BurstsFree == 0 || alpha.CommitGB != 1000 || alpha.Pace == 1 {
		t.Errorf("alpha %+v: its rate was above 4 Gbit/s once, and it has a commit", alpha)
	}
	if bravo := u.Rows[3]; bravo.Known || bravo.CapGbps != 2 || bravo.PricePerGB != 0.02 || bravo.Region != "eu" {
		t.Errorf("bravo in eu %+v: nothing is known but its contract", bravo)
	}
}

func TestUsageFindings(t *testing.T) {
	b := new(books)
	f := newFixture(t, func(c *Config) { c.Usage = b })
	future := time.Now().Add(time.Hour).Truncate(usage.Bin).UTC().Format(time.RFC3339)
	past := time.Now().Add(-2 * usage.Bin).Truncate(usage.Bin).UTC().Format(time.RFC3339)
	status, body := exchange(f, "POST", fmt.Sprintf(`{"version":1,"samples":[
		{"provider":"alpha","region":"eu","start":%q,"seconds":300,"bytes":1},
		{"provider":"alfa","region":"eu","start":%q,"seconds":300,"bytes":1},
		{"provider":"alpha","region":"mars","start":%q,"seconds":300,"bytes":1},
		{"provider":"alpha","region":"eu","start":%q,"seconds":17,"bytes":1},
		{"provider":"alpha","region":"eu","start":%q,"seconds":300,"bytes":1},
		{"provider":"alpha","region":"eu","start":%q,"seconds":300,"bytes":-1}],
		"month_so_far":[{"provider":"alpha","until":%q,"bytes":1}],"doors":{"node":"","handed":[]}}`, past, past, past, past, future, past, future))
	if status != http.StatusBadRequest {
		t.Fatalf("status %d: %s", status, body)
	}
	for _, want := range []string{"samples[1]", "alfa", "samples[2]", "mars", "samples[3]", "samples[4]", "ahead", "samples[5]", "month_so_far[0]", "doors[0]", "nothing of this report was taken"} {
		if !strings.Contains(body, want) {
			t.Errorf("the answer does not speak of %s:\n%s", want, body)
		}
	}
	if strings.Contains(body, "samples[0]") {
		t.Errorf("the sound sample has a finding: %s", body)
	}
	if b.book.Standing(time.Now()).Account("alpha") != nil {
		t.Error("part of a wrong report was taken")
	}
	for body, want := range map[string]int{
		`{"version":9}`:               http.StatusBadRequest,
		`{"version":1,"sample":[]}`:   http.StatusBadRequest,
		`{"version":1,"samples":[{}]`: http.StatusBadRequest,
		`{"version":1,"samples":[` + strings.Repeat(`{},`, MaxBatch) + `{}]}`: http.StatusRequestEntityTooLarge,
	} {
		if status, answer := exchange(f, "POST", body); status != want {
			t.Errorf("%.40s: %d %s, want %d", body, status, answer, want)
		}
	}
	none := newFixture(t, nil)
	if status, _ := exchange(none, "GET", ""); status != http.StatusServiceUnavailable {
		t.Errorf("a node without control answers %d", status)
	}
}
