package httpserver

import (
	"crypto/tls"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestChallenge: RFC 8555 §8.3: the authority fetches
// "/.well-known/acme-challenge/" + token under the name in question, which need be none
// that players use; nothing else is answered there.
func TestChallenge(t *testing.T) {
	known := func(token string) (string, bool) { return "key-authorization", token == "asked-for" }
	r := start(t, Config{Challenge: known}, nil)
	for _, row := range []struct {
		method, path, host string
		status             int
		body               string
	}{
		{"GET", "/.well-known/acme-challenge/asked-for", "go.elsewhere.example", 200, "key-authorization\n"},
		{"HEAD", "/.well-known/acme-challenge/asked-for", "go.elsewhere.example", 200, ""},
		{"GET", "/.well-known/acme-challenge/other", "go.elsewhere.example", 421, ""},
		{"GET", "/.well-known/acme-challenge/other", "localhost", 404, ""},
		{"GET", "/.well-known/acme-challenge/asked-for?x=1", "localhost", 404, ""},
		{"GET", "/.well-known/acme-challenge/", "localhost", 404, ""},
		{"POST", "/.well-known/acme-challenge/asked-for", "localhost", 404, ""},
		{"GET", "/.well-known/acme-challenge/x/../asked-for", "localhost", 404, ""},
	} {
		request := row.method + " " + row.path + " HTTP/1.1\r\nHost: " + row.host + "\r\nConnection: close\r\n\r\n"
		answer := r.raw(t, request, 10*time.Second)
		if !strings.HasPrefix(answer, "HTTP/1.1 "+strconv.Itoa(row.status)) || row.body != "" && !strings.HasSuffix(answer, "\r\n\r\n"+row.body) {
			t.Errorf("%s %s of %s:\n%s\nwant %d %q", row.method, row.path, row.host, answer, row.status, row.body)
		}
		if row.status == 200 && !strings.Contains(answer, "Cache-Control: no-store") {
			t.Errorf("%s: may be kept:\n%s", row.path, answer)
		}
	}
}

// RFC 8737 §3: "Once the TLS handshake is completed, the client MUST NOT exchange any
// further data with the server and MUST immediately close the connection": one that sends a
// request all the same gets nothing by such a connection.
func TestHandshakeForItsOwnSake(t *testing.T) {
	server, client := certificate(t)
	server.NextProtos = []string{"acme-tls/1"}
	r := start(t, Config{TLS: TLS{Listen: []string{"127.0.0.1:0"}, Config: server}}, nil)
	client.NextProtos = []string{"acme-tls/1"}
	c, err := tls.Dial("tcp", r.TLSAddrs()[0], client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().NegotiatedProtocol; got != "acme-tls/1" {
		t.Fatalf("negotiated %q", got)
	}
	_, _ = io.WriteString(c, "GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if answer, _ := io.ReadAll(c); len(answer) > 0 {
		t.Errorf("was answered %s", answer)
	}
}
