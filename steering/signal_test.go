package steering

import (
	"testing"
	"time"
)

// TestSignalsAreFound: a value holds for all that its signal does not tell apart; in a
// part of a region that of the part goes before that of the whole.
func TestSignalsAreFound(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	reading := func(k SignalKey, value float64) SignalReading { return SignalReading{k, value, at} }
	table := NewSignalTable([]SignalReading{
		reading(SignalKey{Signal: "errors", Provider: "a"}, 1), reading(SignalKey{Signal: "errors", Provider: "b"}, 2),
		reading(SignalKey{Signal: "slow", Provider: "a", Region: "de"}, 3), reading(SignalKey{Signal: "slow", Provider: "a", Region: "eu"}, 4),
		reading(SignalKey{Signal: "hot", Endpoint: "live/a/one"}, 5), reading(SignalKey{Signal: "hot", Endpoint: "live/a/two"}, 6),
		reading(SignalKey{Signal: "busy", Service: "live", Pool: "one"}, 7),
	})
	one := &Endpoint{ID: "live/a/one", Service: "live", Provider: "a", Pool: "one"}
	bare := &Endpoint{ID: "vod/b", Service: "vod", Provider: "b"}
	for _, x := range []struct {
		signal        string
		of            *Endpoint
		region, whole string
		want          float64 // 0 = none
	}{
		{"errors", one, "eu", "", 1}, {"errors", bare, "na", "", 2},
		{"slow", one, "de", "eu", 3}, {"slow", one, "at", "eu", 4}, {"slow", one, "eu", "", 4}, {"slow", one, "na", "", 0}, {"slow", bare, "eu", "", 0},
		{"hot", one, "eu", "", 5}, {"hot", bare, "eu", "", 0},
		{"busy", one, "na", "", 7}, {"busy", bare, "na", "", 0},
		{"absent", one, "eu", "", 0},
	} {
		got, known := table.Get(x.signal, x.of, x.region, x.whole)
		if known != (x.want != 0) || got.Value != x.want {
			t.Errorf("%s of %s in %s: %v, %t; want %v", x.signal, x.of.ID, x.region, got.Value, known, x.want)
		}
	}
	var none *SignalTable
	if _, known := none.Get("errors", one, "eu", ""); known || none.Readings() != nil || NewSignalTable(nil) != nil {
		t.Error("an empty table knows something")
	}
}

// TestSignalsStayTheSame: an age changes nothing, a value, or one that is gone, does.
func TestSignalsStayTheSame(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	of := func(age time.Duration, values ...float64) *SignalTable {
		var list []SignalReading
		for i, v := range values {
			list = append(list, SignalReading{SignalKey{Signal: "errors", Provider: string(rune('a' + i))}, v, at.Add(age)})
		}
		return NewSignalTable(list)
	}
	for _, x := range []struct {
		a, b *SignalTable
		want bool
	}{
		{nil, nil, true}, {of(0, 1, 2), of(time.Second, 1, 2), true}, {of(0, 1, 2), of(0, 1, 3), false}, {of(0, 1), of(0, 1, 2), false}, {nil, of(0, 1), false},
	} {
		if x.a.SameValues(x.b) != x.want || x.b.SameValues(x.a) != x.want {
			t.Errorf("%v and %v: want %t", x.a.Readings(), x.b.Readings(), x.want)
		}
	}
}
