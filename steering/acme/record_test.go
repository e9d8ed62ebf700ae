package acme

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func lasting(life time.Duration) *x509.Certificate {
	return &x509.Certificate{NotBefore: noon, NotAfter: noon.Add(life)}
}

// A third of a certificate's life is left at its renewal, half of a short one's.
func TestOwnWindow(t *testing.T) {
	const day = 24 * time.Hour
	for _, row := range []struct{ life, want time.Duration }{
		{90 * day, 60 * day}, {47 * day, 752 * time.Hour}, {10 * day, 5 * day}, {6 * day, 3 * day},
	} {
		w := ownWindow(lasting(row.life))
		if got := w.end.Sub(noon); got != row.want {
			t.Errorf("a certificate of %v is renewed by %v, want %v", row.life, got, row.want)
		}
		if w.end.Sub(w.start) != row.life/100 {
			t.Errorf("renewals of certificates of %v are spread over %v", row.life, w.end.Sub(w.start))
		}
	}
}

// RFC 9773 §4.2: "Select a uniform random time within the suggested window." Of one name it
// is always the same, so that asking again moves nothing.
func TestChoose(t *testing.T) {
	w := window{start: noon, end: noon.Add(100 * time.Hour)}
	var quarters [4]int
	for i := range 1000 {
		name := string([]byte{byte('a' + i%26), byte('a' + i/26%26), byte('a' + i/676)}) + ".video.example"
		at := w.choose(name)
		if at.Before(w.start) || at.After(w.end) || !at.Equal(w.choose(name)) {
			t.Fatalf("%s: %v", name, at)
		}
		quarters[min(int(at.Sub(noon)/(25*time.Hour)), 3)]++
	}
	for _, n := range quarters {
		if n < 150 {
			t.Errorf("by quarters of the window: %v", quarters)
		}
	}
}

func TestDue(t *testing.T) {
	here, trial := way{"https://a.example/dir", DNS}, way{"https://trial.example/dir", DNS}
	pair := &tls.Certificate{Leaf: lasting(90 * 24 * time.Hour)}
	later := noon.Add(60 * 24 * time.Hour)
	failed := func(r record, way way, failures int) record {
		r.Way, r.Failures, r.Tried = way.String(), failures, noon
		return r
	}
	held := record{pair: pair, Directory: here.directory, Obtained: noon, Renew: later}
	for _, row := range []struct {
		what string
		r    record
		want time.Time
	}{
		{"nothing there", record{}, time.Time{}},
		{"a certificate", held, later},
		{"one of another authority", record{pair: pair, Directory: trial.directory, Renew: later}, time.Time{}},
		{"one that its authority wants back at once", record{pair: pair, Directory: here.directory, Obtained: noon, Renew: noon.Add(-time.Hour)}, noon.Add(time.Hour)},
		{"one failure", failed(record{}, here, 1), noon.Add(time.Minute)},
		{"many failures", failed(record{}, here, 40), noon.Add(6 * time.Hour)},
		{"failures before it is due", failed(held, here, 1), later},
		{"failures another way", failed(record{}, trial, 40), time.Time{}},
		{"failures by another challenge", failed(record{}, way{here.directory, HTTP}, 40), time.Time{}},
	} {
		if got := row.r.due(here); !got.Equal(row.want) {
			t.Errorf("%s: due at %v, want %v", row.what, got, row.want)
		}
	}
}

// Let's Encrypt allows "5 failures per hostname, per account, per hour"; these are fewer.
func TestPausesKeepToRateLimits(t *testing.T) {
	var tries []time.Duration
	for at, failures := time.Duration(0), 0; at < 7*24*time.Hour; {
		tries = append(tries, at)
		failures++
		at += pause(failures)
	}
	for i, from := range tries {
		within := 0
		for _, at := range tries[i:] {
			if at < from+time.Hour {
				within++
			}
		}
		if within > 4 {
			t.Errorf("%d attempts in the hour from %v on", within, from)
		}
	}
	if len(tries) > 40 {
		t.Errorf("%d attempts in a week", len(tries))
	}
}
