package rum

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"pgregory.net/rapid"
)

// TestEvents: the bodies that hls.js, dash.js and Shaka send, with what each of them
// gets wrong, are read.
func TestEvents(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"hls.js, with a final LF", `bl=(8400),br=(5000;v),e=rr,mtp=(16800),rc=200,sid="5f3c",sta=p,ts=1700000000123,ttfb=38,ttlb=210,url="https://a.cdn.test/live/s1.m4s",v=2` + "\n",
			"rr p sid=5f3c rc=200 ttfb=38ms ttlb=210ms br=5000000 mtp=16800000"},
		{"dash.js, a failure", `br=(800;v 128;a),d=2000,e=rr,ot=v,rc=503,sid="x",ts=1,url="https://a.cdn.test/live/s1.m4s"`,
			"rr sid=x rc=503 br=800000 d=2s"},
		{"dash.js, an error with a bare code", "e=e,ec=27,sid=\"x\",sta=f,ts=1\r\n", "e f sid=x"},
		{"a state change", `e=ps,sid="x",sta=r,ts=5`, "ps r sid=x"},
		{"dash.js, a stall and a start", `bsd=(1500;v 200;a),e=t,msd=2,ts=5`, "t bsd=1.7s msd=2ms"},
		{"booleans", "bg,bs=?1,su=?0,e=t,ts=1", "t bs bg"},
		{"quotation marks and commas within a string", `e=rr,url="https://a/x,y\"z",sid="a\\b"`, `rr sid=a\b`},
	} {
		var got []string
		if unread := events(c.body, func(r *record) { got = append(got, describe(r)) }); unread != 0 {
			t.Errorf("%s: %d lines unread", c.name, unread)
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func describe(r *record) string {
	words := []string{r.event}
	if r.state != 0 {
		words = append(words, string(r.state))
	}
	if r.session != "" {
		words = append(words, "sid="+r.session)
	}
	if r.status >= 0 {
		words = append(words, "rc="+number(float64(r.status)))
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"ttfb", r.ttfb}, {"ttlb", r.ttlb}} {
		if d.value > 0 {
			words = append(words, d.key+"="+d.value.String())
		}
	}
	if r.rate > 0 {
		words = append(words, "br="+number(r.rate))
	}
	if r.measured > 0 {
		words = append(words, "mtp="+number(r.measured))
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"d", r.length}, {"bsd", r.stall}, {"msd", r.start}} {
		if d.value > 0 {
			words = append(words, d.key+"="+d.value.String())
		}
	}
	for key, is := range map[string]bool{"bs": r.starved, "su": r.startup} {
		if is {
			words = append(words, key)
		}
	}
	if r.hidden {
		words = append(words, "bg")
	}
	return strings.Join(words, " ")
}

// TestBadLines: one bad line costs itself only; CTA-5004-B §6: "if the version is
// higher than a receiver knows, it ignores all"; §2.2: e is required.
func TestBadLines(t *testing.T) {
	read := 0
	body := "e=t,ts=1\n" + `e=rr,v=3,ts=1` + "\nrc=200,ts=1\n\x00\xff,,==;(((\n" + strings.Repeat("x", maxLine+1) + "\ne=t,ts=2"
	if unread := events(body, func(*record) { read++ }); read != 2 || unread != 4 {
		t.Errorf("%d read, %d unread, want 2 and 4", read, unread)
	}
	read = 0
	if unread := events(strings.Repeat("e=t,ts=1\n", maxRecords+5), func(*record) { read++ }); read != maxRecords || unread != 5 {
		t.Errorf("%d read, %d unread of too many lines", read, unread)
	}
}

// TestOfRequest: CMCD 1 and 2 as query argument and as headers.
func TestOfRequest(t *testing.T) {
	for _, c := range []struct {
		name, query string
		header      http.Header
		want        string
	}{
		{"CMCD 1 in the query, numbers plain, the string quoted", `?a=b&CMCD=bl%3D21300%2Cbr%3D3200%2Cbs%2Cd%3D4004%2Cmtp%3D25400%2Cot%3Dv%2Csid%3D%226e2fb550%22&c=d`, nil, "sid=6e2fb550 br=3200000 mtp=25400000 d=4.004s bs"},
		{"a string without quotation marks", "?CMCD=sid%3D6e2f-b550%2Cmtp%3D900", nil, "sid=6e2f-b550 mtp=900000"},
		{"headers win over the query (§6)", "?CMCD=mtp%3D1", http.Header{"Cmcd-Request": {"mtp=25400,su"}, "Cmcd-Session": {`sid="s"`}}, "sid=s mtp=25400000 su"},
		{"none", "?x=CMCD", nil, "none"},
		{"a malformed argument", "?CMCD=%zz", nil, "none"},
	} {
		r, found := ofRequest(c.query, c.header)
		got := strings.TrimSpace(describe(&r))
		if !found {
			got = "none"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestDictionaryReference: whatever a strict parser of RFC 8941 accepts, ours reads
// alike.
func TestDictionaryReference(t *testing.T) {
	key := rapid.StringMatching(`[a-z*][a-z0-9_\-.*]{0,5}`)
	item := rapid.OneOf(
		rapid.StringMatching(`[0-9]{1,12}`), rapid.StringMatching(`[0-9]{1,9}\.[0-9]{1,3}`),
		rapid.StringMatching(`[A-Za-z*][A-Za-z0-9:/%&'.-]{0,8}`), rapid.StringMatching(`"([ !#-\[\]-~]|\\["\\]){0,8}"`), rapid.SampledFrom([]string{"?0", "?1"}))
	rapid.Check(t, func(t *rapid.T) {
		var members []string
		for range rapid.IntRange(0, 6).Draw(t, "members") {
			text := key.Draw(t, "key")
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
			case 1:
				text += "=" + item.Draw(t, "item")
			case 2:
				text += "=" + item.Draw(t, "item") + ";" + key.Draw(t, "parameter")
			case 3:
				list := rapid.SliceOfN(item, 0, 3).Draw(t, "list")
				text += "=(" + strings.Join(list, ";v ") + ")"
			}
			members = append(members, text)
		}
		line := strings.Join(members, rapid.SampledFrom([]string{",", ", ", " ,\t"}).Draw(t, "comma"))
		want, err := httpsfv.UnmarshalDictionary([]string{line})
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got := make(map[string]member)
		for d := (dictionary{line}); ; {
			m, more := d.next()
			if !more {
				break
			}
			got[m.key] = m
		}
		if len(got) != len(want.Names()) {
			t.Fatalf("%q: %d members, want %v", line, len(got), want.Names())
		}
		for _, name := range want.Names() {
			value, _ := want.Get(name)
			compare(t, line, got[name], value)
		}
	})
}

func compare(t *rapid.T, line string, got member, want httpsfv.Member) {
	if list, is := want.(httpsfv.InnerList); is {
		n := 0
		for item := range got.items {
			if n < len(list.Items) {
				compareItem(t, line, member{got.key, item}, list.Items[n].Value)
			}
			n++
		}
		if n != len(list.Items) {
			t.Fatalf("%q: %s has %d items, want %d", line, got.key, n, len(list.Items))
		}
		return
	}
	compareItem(t, line, got, want.(httpsfv.Item).Value)
}

func compareItem(t *rapid.T, line string, got member, want any) {
	ok := true
	switch want := want.(type) {
	case int64:
		n, _ := got.number()
		ok = n == float64(want)
	case float64:
		n, _ := got.number()
		ok = n == want
	case string:
		ok = got.text() == want
	case httpsfv.Token:
		ok = got.text() == string(want)
	case bool:
		ok = got.truth() == want
	}
	if !ok {
		t.Fatalf("%q: %s is %q, want %#v", line, got.key, got.value, want)
	}
}

// FuzzEvents: no body does harm.
func FuzzEvents(f *testing.F) {
	f.Add("e=rr,br=(1;v 2;a),url=\"https://a/\",ts=1\n")
	f.Add("e=\"\\")
	f.Add("e=(((\"),;=")
	f.Fuzz(func(t *testing.T, body string) {
		events(body, func(r *record) {
			if r.rate < 0 || r.ttfb < 0 || r.ttfb > time.Hour || r.status > 999 || len(r.session) > maxSession {
				t.Fatalf("%q: %+v", body, r)
			}
		})
	})
}
