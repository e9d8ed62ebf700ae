package consulstore

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// mute is a Consul that answers nothing, and notes when it was asked what.
type mute struct {
	mu    sync.Mutex
	asked []time.Time
	stale int
}

func (m *mute) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, time.Now())
	if r.URL.Query().Has("stale") { // any server may answer, not the leader alone
		m.stale++
	}
	return nil, errors.New("connection refused")
}

// A Consul that does not answer is asked less and less, never less than every ten
// seconds, and never in step with other nodes; any of its servers will do.
func TestWatchBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := new(mute)
		s, err := Open(Options{Address: "127.0.0.1:1"})
		must(t, err)
		defer s.Close()
		s.client, err = consul.NewClient(&consul.Config{Address: "127.0.0.1:1", HttpClient: &http.Client{Transport: away}})
		must(t, err)
		s.kv = s.client.KV()
		changes := s.Watch(t.Context())
		time.Sleep(time.Hour)
		s.Close()
		for range changes {
		}
		synctest.Wait()
		away.mu.Lock()
		defer away.mu.Unlock()
		if away.stale != len(away.asked) {
			t.Errorf("%d of %d questions were for the leading server alone", len(away.asked)-away.stale, len(away.asked))
		}
		different := make(map[time.Duration]bool)
		for i, most := 1, retryFirst; i < len(away.asked); i, most = i+1, min(2*most, retryMost) {
			d := away.asked[i].Sub(away.asked[i-1])
			if d < most/2 || d > most {
				t.Errorf("question %d came after %v, want %v to %v", i, d, most/2, most)
			}
			different[d] = true
		}
		if n := len(away.asked); n < 360 || len(different) < n/2 {
			t.Errorf("%d questions in an hour, after %d different waits", n, len(different))
		}
	})
}
