package httpserver

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"

	"fairway/steering"
)

// Who says that it can is given clones of what came to be after its session began
// (draft-pantos-content-steering §5: BASE-ID names a pathway that the player has, ID is
// a new one), where host names are all that differs.
func TestClones(t *testing.T) {
	began := session{began: setOf("A", "B")}
	way := func(id, url string) pathway { return pathway{id: id, to: &steering.Endpoint{Provider: id, URL: url}} }
	for _, c := range []struct {
		name     string
		protocol string
		ways     pathwayList
		signer   Signer
		want     []clone
	}{
		{"another host", "hls", pathwayList{way("N", "https://n.test/live"), way("A", "https://a.test/live")}, nil, []clone{{"A", "N", replacement{"n.test"}}}},
		{"the first that fits is the base", "hls", pathwayList{way("B", "https://b.test/other"), way("A", "https://a.test/live"), way("N", "https://n.test/live")}, nil, []clone{{"A", "N", replacement{"n.test"}}}},
		{"hls.js keeps the base's port", "hls", pathwayList{way("N", "http://192.0.2.1:8080/live"), way("A", "http://a.test:8080/live")}, nil, []clone{{"A", "N", replacement{"192.0.2.1"}}}},
		{"dash.js takes none for the scheme's own", "dash", pathwayList{way("N", "http://[2001:db8::1]:8080/live"), way("A", "http://a.test:8080/live")}, nil, []clone{{"A", "N", replacement{"[2001:db8::1]:8080"}}}},
		{"another port, path or scheme", "hls", pathwayList{way("N", "https://n.test:8443/live"), way("M", "https://m.test/x"), way("O", "http://o.test/live"), way("A", "https://a.test/live")}, nil, nil},
		{"a clone is no base", "hls", pathwayList{way("N", "https://n.test/x"), way("M", "https://m.test/x"), way("A", "https://a.test/live")}, nil, nil},
		{"it needs a token", "hls", pathwayList{way("N", "https://n.test/live"), way("A", "https://a.test/live")}, tokensFor("N"), nil},
		{"the base needs one", "hls", pathwayList{way("N", "https://n.test/live"), way("A", "https://a.test/live")}, tokensFor("A"), nil},
		{"not by HTTP", "hls", pathwayList{way("N", ""), way("A", "https://a.test/live")}, nil, nil},
	} {
		s := &Server{config: Config{Signer: c.signer}}
		if got := s.clones(c.ways, &began, &steering.Query{}, c.protocol); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// tokensFor is a Signer of one provider.
type tokensFor string

func (p tokensFor) Sign(e *steering.Endpoint, url string, _ netip.Addr, _ string) (string, error) {
	if e.Provider == string(p) {
		url += "?token=1"
	}
	return url, nil
}

// A session of a player that began without charlie hears of it in a form that players
// read, as long as it lasts; others do not.
func TestCloneInPoll(t *testing.T) {
	r := start(t, fromNA, nil)
	live := r.snapshot.Layout.Services[r.snapshot.Layout.ByKey("live")].Service
	live.Endpoints[2].URL = "https://charlie.cdn.test/live"
	for _, ask := range []string{"&clones", "&clones=1", ""} {
		sealed := r.steering.seal(session{first: "A", began: setOf("A", "B")}, "live", "me")
		path := "/steer/v1/live/hls?s=me" + ask + "&k=" + sealed
		for range 3 {
			resp, body := r.do(t, "GET", path, "X-Forwarded-For", naClient)
			var m steeringBody
			if err := json.Unmarshal([]byte(body), &m); err != nil || resp.StatusCode != 200 || m.Version != 1 || m.Priority[0] != "C" {
				t.Fatalf("GET %s: %d %s %v", path, resp.StatusCode, body, err)
			}
			if want := []clone{{"A", "C", replacement{"charlie.cdn.test"}}}; ask != "" && !reflect.DeepEqual(m.Clones, want) || ask == "" && m.Clones != nil {
				t.Errorf("%q: clones %+v\n%s", ask, m.Clones, body)
			}
			path = m.ReloadURI[len("http://"+r.addr):] + "&_HLS_pathway=C"
		}
	}
	// Without a session that is known there is nothing that it has not.
	if _, body := r.do(t, "GET", "/steer/v1/live/hls?s=new&clones", "X-Forwarded-For", naClient); body == "" || json.Valid([]byte(body)) && len(between(body, "PATHWAY-CLONES", "]")) > 0 {
		t.Errorf("a first poll: %s", body)
	}
}
