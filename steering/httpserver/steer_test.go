package httpserver

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairway/steering"
)

// decision is one in which pathways share as told: "A 0.5", "B 0 down".
func decision(t testing.TB, candidates ...string) *steering.Decision {
	t.Helper()
	var list []steering.Candidate
	for _, text := range candidates {
		var id, reason string
		var weight float64
		fmt.Sscan(text, &id, &weight, &reason)
		if reason == "" {
			reason = string(steering.ReasonBest)
		}
		list = append(list, steering.Candidate{Endpoint: &steering.Endpoint{ID: id, Pathway: id}, Weight: weight, Reason: steering.Reason{Code: steering.ReasonCode(reason)}})
	}
	split, err := steering.NewSplit(list, 20*time.Second, steering.Reason{Code: steering.ReasonBest}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &steering.Decision{Split: split}
}

func TestPathways(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		name       string
		candidates []string
		seen       session
		reported   string
		want       string
		avoid      string // in the next state
	}{
		{"a session begins with the decision's order", []string{"A 1", "B 0", "C 0"}, session{}, "", "A B C", ""},
		{"unhealthy ones come last and stay listed", []string{"A 1", "B 0 down", "C 0 worse", "D 0 drained", "E 0 pool-down"}, session{}, "", "A C B D E", ""},
		{"what is denied is not listed", []string{"A 1", "B 0 denied", "C 0"}, session{}, "", "A C", ""},
		{"all are down and one is handed out all the same", []string{"A 1 all-down", "B 0 down"}, session{}, "", "A B", ""},
		{"the policy moves everybody: at once", []string{"B 1", "A 0"}, session{first: "A", since: ago(time.Second)}, "A", "B A", ""},
		{"the first fails: at once", []string{"B 1", "A 0 down"}, session{first: "A", since: ago(time.Second)}, "A", "B A", ""},
		{"a share moves: not before the session has settled", []string{"B 0.9999999", "A 0.0000001"}, session{first: "A", since: ago(settle - time.Second)}, "A", "A B", ""},
		{"a share moves: after it has settled", []string{"B 0.9999999", "A 0.0000001"}, session{first: "A", since: ago(settle)}, "A", "B A", ""},
		{"the player failed over: it stays where it is", []string{"A 1", "B 0", "C 0"}, session{first: "A", since: ago(time.Hour)}, "B", "B C A", "A"},
		{"and stays there during the penalty", []string{"A 1", "B 0", "C 0"}, session{first: "B", since: ago(90 * time.Second), avoid: "A", until: now.Add(30 * time.Second)}, "B", "B C A", "A"},
		{"and is sent back after it", []string{"A 1", "B 0", "C 0"}, session{first: "B", since: ago(penalty), avoid: "A", until: now}, "B", "A B C", ""},
		{"where it fled to goes down during the penalty", []string{"A 1", "C 0", "B 0 down"}, session{first: "B", since: ago(9 * time.Second), avoid: "A", until: now.Add(time.Minute)}, "B", "C A B", "A"},
		{"a player that is still on its way is no failover", []string{"B 1", "A 0"}, session{first: "B", since: ago(5 * time.Second), before: "A"}, "A", "B A", ""},
		{"one that stays behind is", []string{"B 1", "A 0"}, session{first: "B", since: ago(underway), before: "A"}, "A", "A B", "B"},
		{"a list counts by its last one", []string{"A 1", "B 0"}, session{first: "A", since: ago(time.Hour)}, "B,A", "A B", ""},
		{"fled to a pathway that we do not know", []string{"A 1", "B 0"}, session{first: "A", since: ago(time.Hour)}, "X", "B A", "A"},
		{"fled to one that is denied", []string{"A 1", "B 0", "C 0 denied"}, session{first: "A", since: ago(time.Hour)}, "C", "B A", "A"},
		{"a first poll reports what the manifest began with", []string{"A 1", "B 0"}, session{}, "B", "A B", ""},
	} {
		if c.seen.first != "" {
			c.seen.began = setOf("A", "B", "C", "D", "X")
		}
		list, next, failed := pathways(decision(t, c.candidates...), c.seen, reported(c.reported), now)
		ids := list.ids()
		if got := strings.Join(ids, " "); got != c.want || next.avoid != c.avoid || next.first != ids[0] {
			t.Errorf("%s: %s, avoiding %q; want %s, avoiding %q", c.name, got, next.avoid, c.want, c.avoid)
		}
		if next.first != c.seen.first && (!next.since.Equal(now) || next.before != c.seen.first) {
			t.Errorf("%s: the change is not remembered: %+v", c.name, next)
		}
		if want := next.avoid != "" && next.avoid != c.seen.avoid; failed != want {
			t.Errorf("%s: failed %v, want %v", c.name, failed, want)
		}
	}
}

func setOf(ids ...string) (s idSet) {
	for _, id := range ids {
		s = s.with(id)
	}
	return s
}

// A pathway that came to be after a player had its manifest is no failure of that
// pathway when the player does not use it, and is used by those who learn of it.
func TestNewPathway(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		name       string
		candidates []string
		first      string
		learned    idSet
		reported   string
		want, told string
		failed     bool
	}{
		{"it is listed first, and the session is told the next", []string{"N 1", "A 0", "B 0"}, "A", "", "A", "N A B", "A", false},
		{"a player that learns of it is there", []string{"N 1", "A 0", "B 0"}, "A", "", "N", "N A B", "N", false},
		{"it leaves it again", []string{"N 1", "A 0", "B 0"}, "N", setOf("N"), "A", "A B N", "A", true},
		{"it leaves another, which the session does know", []string{"N 1", "A 0", "B 0"}, "A", "", "B", "B N A", "B", true},
		{"it flees to it", []string{"A 1", "B 0", "N 0"}, "A", "", "N", "N B A", "N", true},
		{"all that the session knew is gone", []string{"N 1", "M 0"}, "A", "", "A", "N M", "N", false},
	} {
		seen := session{first: c.first, since: now.Add(-time.Hour), began: setOf("A", "B"), learned: c.learned}
		list, next, failed := pathways(decision(t, c.candidates...), seen, reported(c.reported), now)
		if got := strings.Join(list.ids(), " "); got != c.want || next.first != c.told || failed != c.failed {
			t.Errorf("%s: %s, told %s, failed %v; want %s, told %s, failed %v", c.name, got, next.first, failed, c.want, c.told, c.failed)
		}
	}
}

// A player that polls at the end of each TTL, and each time fails where it is
// sent, is never sent to a pathway that failed it within the penalty, as long as
// there is another.
func TestPenaltyHolds(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	d := decision(t, "A 0.4", "B 0.3", "C 0.3")
	list, seen, _ := pathways(d, session{}, nil, now)
	ids := list.ids()
	failed := make(map[string]time.Time)
	for range 20 {
		now = now.Add(40 * time.Second)
		failed[ids[0]] = now
		list, seen, _ = pathways(d, seen, []string{ids[1]}, now)
		ids = list.ids()
		if at, ok := failed[ids[0]]; ok && now.Sub(at) < 40*time.Second {
			t.Fatalf("sent back to %s %v after it failed", ids[0], now.Sub(at))
		}
	}
}

func TestSession(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	door := newSteeringDoor([]byte("secret"))
	want := session{first: "A", since: now.Add(-time.Minute), before: "B", avoid: "C-1.x_", until: now.Add(penalty), began: setOf("A", "B", "C-1.x_"), learned: setOf("D")}
	sealed := door.seal(want, "live", "viewer")
	if got := door.open(sealed, "live", "viewer", now); got != want {
		t.Errorf("opened %+v, want %+v", got, want)
	}
	if got := newSteeringDoor([]byte("secret")).open(sealed, "live", "viewer", now); got != want {
		t.Errorf("another node opened %+v", got)
	}
	if strings.ContainsAny(sealed, "&?#% +=") {
		t.Errorf("%s needs to be encoded in a query", sealed)
	}
	for what, got := range map[string]session{
		"for another service": door.open(sealed, "vod", "viewer", now),
		"for another viewer":  door.open(sealed, "live", "other", now),
		"of another secret":   newSteeringDoor(nil).open(sealed, "live", "viewer", now),
		"changed":             door.open(strings.Replace(sealed, "A", "B", 1), "live", "viewer", now),
		"cut":                 door.open(sealed[:len(sealed)-1], "live", "viewer", now),
		"from a time to come": door.open(sealed, "live", "viewer", now.Add(-time.Hour)),
		"empty":               door.open("", "live", "viewer", now),
	} {
		if got != (session{}) {
			t.Errorf("one %s is %+v, want a session that begins", what, got)
		}
	}
}

func (r *running) poll(t testing.TB, path string) (steeringBody, *http.Response) {
	t.Helper()
	resp, body := r.do(t, "GET", path, "X-Forwarded-For", "10.1.2.3")
	var m steeringBody
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal([]byte(body), &m); err != nil {
			t.Fatalf("GET %s: %v\n%s", path, err, body)
		}
		reload, ok := strings.CutPrefix(m.ReloadURI, "http://"+r.addr+"/steer/v1/")
		if !ok {
			t.Fatalf("GET %s: RELOAD-URI %q is not at the door that was asked", path, m.ReloadURI)
		}
		m.ReloadURI = "/steer/v1/" + reload
	}
	return m, resp
}

// The whole life of a player: its polls in every form, a failover, and the end of
// its service.
func TestSteeringPolls(t *testing.T) {
	r := start(t, Config{SteeringSecret: []byte("s")}, nil)
	m, resp := r.poll(t, "/steer/v1/live/hls?s=viewer&a=asset%2F1")
	if resp.StatusCode != 200 || m.Version != 1 || len(m.Priority) != 3 || m.TTL < 8 || m.TTL > 11 { // half of 20 s, ± 15 %
		t.Fatalf("first poll: %d %+v", resp.StatusCode, m)
	}
	if h := resp.Header; h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" {
		t.Errorf("header: %v", h)
	}
	first := m.Priority
	for _, report := range []string{"_HLS_pathway=%s&_HLS_throughput=1", "_HLS_pathway=%%22%s%%22", "_DASH_pathway=%%22X,%s%%22&_DASH_throughput=1,", "%.0s"} {
		m, resp = r.poll(t, m.ReloadURI+"&"+fmt.Sprintf(report, first[0]))
		if resp.StatusCode != 200 || !slices.Equal(m.Priority, first) || m.TTL < 17 || m.TTL > 23 || !strings.Contains(m.ReloadURI, "&a=asset%2F1") || strings.Contains(m.ReloadURI, "_HLS_") {
			t.Fatalf("poll %s: %d %+v", report, resp.StatusCode, m)
		}
	}
	m, _ = r.poll(t, m.ReloadURI+"&_HLS_pathway="+first[2])
	if want := []string{first[2], first[1], first[0]}; !slices.Equal(m.Priority, want) {
		t.Errorf("after a failover from %s to %s: %v, want %v", first[0], first[2], m.Priority, want)
	}
	gone := strings.Replace(m.ReloadURI, "/live/", "/ended/", 1)
	if _, resp := r.poll(t, gone); resp.StatusCode != 404 {
		t.Errorf("a service that never was: %d", resp.StatusCode)
	}
	known := r.steering.seal(session{first: "A", since: time.Now(), before: "B"}, "ended", "viewer")
	if m, resp := r.poll(t, "/steer/v1/ended/dash?s=viewer&k="+known); resp.StatusCode != 200 || !slices.Equal(m.Priority, []string{"A", "B"}) {
		t.Errorf("a service that ended under a player: %d %+v", resp.StatusCode, m)
	}
	for path, want := range map[string]int{
		"/steer/v1/live/hls?s=%zz": 400, "/steer/v1/live/smooth": 400, "/steer/v1/live": 400, "/steer/v1/live/hls/x": 400, "/steer/v1/none/hls": 404, "/steer/v1/dark/hls": 200,
	} {
		if _, resp := r.poll(t, path); resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// While something is wrong players come sooner, whatever the policy's TTL.
func TestIncidentTTL(t *testing.T) {
	r := start(t, fromNA, nil)
	for client, most := range map[string]int{naClient: 11, "10.1.2.3": 23} { // in na alpha is down
		sealed := r.steering.seal(session{first: "C", since: time.Now()}, "live", "me")
		_, body := r.do(t, "GET", "/steer/v1/live/hls?s=me&k="+sealed, "X-Forwarded-For", client)
		var m steeringBody
		if err := json.Unmarshal([]byte(body), &m); err != nil || m.TTL > most || m.TTL < most*2/3 {
			t.Errorf("client %s: TTL %d, want at most %d (%v)", client, m.TTL, most, err)
		}
	}
}

// What players have in their buffer outlasts the wait for the next poll and a segment,
// whatever the policy's TTL, jitter and a cache in between; but under overload they
// come later, and are still answered with 200.
func TestPollsBeforeTheBufferIsEmpty(t *testing.T) {
	r := start(t, Config{SteeringSecret: []byte("s")}, nil) // its TTL is 20 s
	live := r.snapshot.Layout.Services[r.snapshot.Layout.ByKey("live")].Service
	for player, most := range map[steering.Player]int{
		{Buffer: 12 * time.Second, Segment: 4 * time.Second}:         8,
		{Buffer: 3 * time.Second, Segment: 2 * time.Second}:          1,
		{Buffer: 2500 * time.Millisecond, Segment: time.Millisecond}: 2,
		{Buffer: time.Minute, Segment: 6 * time.Second}:              23, // it may be told more
	} {
		live.Player = player
		m, _ := r.poll(t, "/steer/v1/live/hls?s=viewer")
		for range 50 {
			if m, _ = r.poll(t, m.ReloadURI+"&_HLS_pathway="+m.Priority[0]); m.TTL > most || m.TTL < most*7/10 {
				t.Fatalf("%+v: TTL %d, want at most %d", player, m.TTL, most)
			}
		}
		resp, body := r.do(t, "GET", "/steer/v1/live/hls/c/10.0.0.0-8.42")
		var shared steeringBody
		var held int
		if err := json.Unmarshal([]byte(body), &shared); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(resp.Header.Get("Cache-Control"), "public, max-age=%d", &held); err != nil || held < 1 {
			t.Fatalf("%v (%v)", resp.Header, err)
		}
		if longest := max(player.LongestPoll(), 2*time.Second); time.Duration(shared.TTL+held)*time.Second > longest {
			t.Errorf("%+v: TTL %d of an answer that may be %d s old, want %v together", player, shared.TTL, held, longest)
		}
	}
	live.Player = steering.Player{Buffer: 12 * time.Second, Segment: 4 * time.Second}
	r.steering.busy.Store(8 * r.steering.crowd)
	if m, resp := r.poll(t, "/steer/v1/live/hls?s=viewer"); resp.StatusCode != 200 || m.TTL < 16 {
		t.Errorf("under overload: %d, TTL %d", resp.StatusCode, m.TTL)
	}
}

// What explain shows is what a player is told.
func TestPreviewSteering(t *testing.T) {
	r := start(t, fromNA, nil)
	live := r.snapshot.Layout.Services[r.snapshot.Layout.ByKey("live")].Service
	live.Player = steering.Player{Buffer: 12 * time.Second, Segment: 4 * time.Second}
	for _, c := range []struct{ service, client, want string }{
		{"live", naClient, "C, B, A; ask again in 6 to 8 s"},
		{"nothere", naClient, ""},
	} {
		if got := r.PreviewSteering(c.service, netip.MustParseAddr(c.client)); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.service, c.client, got, c.want)
		}
	}
	_, body := r.do(t, "GET", "/steer/v1/live/hls", "X-Forwarded-For", naClient)
	if !strings.Contains(body, `"PATHWAY-PRIORITY":["C","B","A"]`) {
		t.Errorf("the player is told %s", body)
	}
	live.Player = steering.Player{}
	if got, want := r.PreviewSteering("live", netip.MustParseAddr("10.1.2.3")), "ask again in 17 to 23 s"; !strings.HasSuffix(got, want) {
		t.Errorf("without a bound: %q, want %q", got, want)
	}
	r.publish(nil)
	if got := r.PreviewSteering("live", netip.MustParseAddr(naClient)); got != "" {
		t.Errorf("before the first generation: %q", got)
	}
}

// A session that has begun is never told of an error, though all pathways of its
// service are gone; one that has not is.
func TestPathwaysGone(t *testing.T) {
	r := start(t, fromNA, nil)
	r.snapshot.Layout.Services[r.snapshot.Layout.ByKey("plain")].Service.Endpoints[0].Pathway = ""
	if resp, _ := r.do(t, "GET", "/steer/v1/plain/dash?s=me"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a session that begins: %d", resp.StatusCode)
	}
	sealed := r.steering.seal(session{first: "B", since: time.Now(), before: "A"}, "plain", "me")
	resp, body := r.do(t, "GET", "/steer/v1/plain/dash?s=me&k="+sealed)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"PATHWAY-PRIORITY":["B","A"]`) || !strings.Contains(body, sealed) {
		t.Errorf("one that has begun: %d %s", resp.StatusCode, body)
	}
}

// Without a session id every door begins with the same endpoint; with one,
// redirect, decide and manifest do.
func TestSteeringAgrees(t *testing.T) {
	r := start(t, Config{}, nil)
	for i := range 200 {
		q := steering.Query{Service: r.snapshot.Layout.ByKey("live")}
		path := "/steer/v1/live/dash"
		if i%2 == 0 {
			q.Session = fmt.Sprint("s", i)
			path += "?s=" + q.Session
		}
		q.Client = netip.MustParseAddr("127.0.0.1")
		d := r.snapshot.Decide(q)
		want, _ := d.First()
		if m, _ := r.poll(t, path); m.Priority[0] != want.Endpoint.Pathway {
			t.Errorf("session %q: manifest begins with %s, redirect with %s", q.Session, m.Priority[0], want.Endpoint.Pathway)
		}
	}
}

// Under load players are told to come later, and are answered all the same.
func TestSteeringUnderLoad(t *testing.T) {
	door := newSteeringDoor(nil)
	for busy, want := range map[int64]int{0: 20, 256: 20, 257: 40, 2000: 160, 1 << 40: 300} {
		door.busy.Store(busy)
		seen := make(map[int]bool)
		for range 100 {
			ttl := door.spread(20*time.Second, 0)
			seen[ttl] = true
			if got := float64(ttl); got < 0.84*float64(want)-1 || got > min(1.16*float64(want), 300) {
				t.Errorf("%d polls at once: TTL %g, want about %d", busy, got, want)
			}
		}
		if len(seen) < 3 && want < 300 { // of the 7 seconds or more that there are
			t.Errorf("%d polls at once: TTLs %v: players that began together ask together", busy, seen)
		}
	}
}

// FuzzSteer: whatever is asked, the answer is a manifest that players can read, or
// an error; and its RELOAD-URI asks for the same session again.
func FuzzSteer(f *testing.F) {
	for _, query := range []string{"s=a&_HLS_pathway=B", "k=2~A~~~~~~&a=%2F", "clones&_HLS_pathway=B", "_DASH_pathway=%22A,B%22", "&&=&s", "a=b&a=c;d"} {
		f.Add("live", query)
	}
	snapshot := newSnapshot(f, 3)
	current, _ := steering.NewCurrent(snapshot)
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		f.Fatal(err)
	}
	const here = "http://127.0.0.1"
	f.Fuzz(func(t *testing.T, service, query string) {
		ask := func(uri string) (answer, target, bool) {
			r := &http.Request{Method: "GET", RequestURI: uri, Host: "127.0.0.1", RemoteAddr: "10.1.2.3:4", Header: http.Header{}}
			tt, refusal := parseTarget(r)
			if refusal != "" || tt.door != doorSteer {
				return answer{}, tt, false
			}
			return s.route(httptest.NewRecorder(), r, tt), tt, true
		}
		a, tt, ok := ask("/steer/v1/" + service + "/hls?" + query)
		if !ok || a.status != http.StatusOK {
			return
		}
		var m steeringBody
		if err := json.Unmarshal(a.json, &m); err != nil || m.Version != 1 || m.TTL < 1 || len(m.Priority) == 0 || !strings.HasPrefix(m.ReloadURI, here+"/steer/v1/") {
			t.Fatalf("%s: %v", a.json, err)
		}
		again, tt2, ok := ask(m.ReloadURI[len(here):])
		p, err := readPoll(tt)
		p2, err2 := readPoll(tt2)
		if !ok || again.status != http.StatusOK || err != nil || err2 != nil || p.session != p2.session || p.kept != p2.kept {
			t.Fatalf("RELOAD-URI %q: %+v, session %q, then %q", m.ReloadURI, again, p.session, p2.session)
		}
	})
}

// What is written by hand is what encoding/json writes.
func TestSteeringBodyIsJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 302))
	text := func() string {
		alphabet := []string{"a", "Z", "~", "&", "=", "/", "<", ">", `"`, `\`, "\x00", "\x1f", "\x7f", "\x80", "\xff", "é", "\u2028", "%20"}
		var b strings.Builder
		for range random.IntN(8) {
			b.WriteString(alphabet[random.IntN(len(alphabet))])
		}
		return b.String()
	}
	for range 5000 {
		body := steeringBody{Version: random.IntN(2), TTL: random.IntN(400), ReloadURI: text()}
		for range random.IntN(4) {
			body.Priority = append(body.Priority, text())
		}
		if random.IntN(10) == 0 {
			body.Clones = []clone{{Base: text(), ID: text(), Replace: replacement{Host: text()}}}
		}
		if got, want := string(body.encode()), string(encode(body)); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

// What has travelled with players is understood by the next release: pathways are known
// by FNV-1a of 32 bits (draft-eastlake-fnv), folded.
func TestHashOfPathways(t *testing.T) {
	for _, id := range []string{"", "A", "alpha-live", strings.Repeat("x", 64), "\xff\x00"} {
		h := fnv.New32a()
		_, _ = h.Write([]byte(id))
		sum := h.Sum(nil)
		if got, want := hashID(id), [2]byte{sum[0] ^ sum[2], sum[1] ^ sum[3]}; got != want {
			t.Errorf("%q: %x, want %x", id, got, want)
		}
	}
}
