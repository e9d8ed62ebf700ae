package httpserver

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestRetire: a successor has the listener. Who is connected gets one more
// answer, which says that it is the last, and nobody is reset; then Run returns.
func TestRetire(t *testing.T) {
	r := start(t, Config{}, nil)
	var held []net.Conn
	var readers []*bufio.Reader
	for range 3 {
		nc, err := net.Dial("tcp", r.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(30 * time.Second))
		held, readers = append(held, nc), append(readers, bufio.NewReader(nc))
		if got := askHeld(t, nc, readers[len(readers)-1]); got.Close {
			t.Error("the first answer ends the connection")
		}
	}
	r.Retire()
	for i, nc := range held {
		for { // Retire is noticed when it is noticed
			if answer := askHeld(t, nc, readers[i]); answer.Close {
				break
			}
		}
		if _, err := readers[i].ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("after its last answer the client sees %v", err)
		}
	}
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	r.ended <- nil
}

func askHeld(t *testing.T, nc net.Conn, reader *bufio.Reader) *http.Response {
	t.Helper()
	if _, err := nc.Write([]byte("GET /r/live/x HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(reader, nil)
	if err != nil || answer.StatusCode != http.StatusFound {
		t.Fatalf("answer %v, %v", answer, err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer
}
