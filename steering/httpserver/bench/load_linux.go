package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// load is what all servers are put under.
type load struct {
	title       string
	encrypted   bool
	http1       bool
	path        string
	connections int  // 0 = one for each request
	streams     int  // of each connection at once
	half        bool // afterwards, half as many a second as each server can answer
}

const (
	redirectPath = "/r/www/live/main.m3u8"
	pollPath     = "/steer/v1/www/hls?_HLS_pathway=%22A%22&_HLS_throughput=5140000"
	// client is whom requests are for.
	client = "5.9.0.1"
)

// loads are those of the tables. Beside the redirects of a player that starts they
// are the polls of those that play.
func loads() []load {
	return []load{
		{title: "Redirects over HTTP/1.1", http1: true, path: redirectPath, connections: 64, streams: 1, half: true},
		{title: "Redirects over HTTP/1.1 and TLS 1.3", http1: true, encrypted: true, path: redirectPath, connections: 64, streams: 1},
		{title: "Redirects over HTTP/2 and TLS 1.3", encrypted: true, path: redirectPath, connections: 8, streams: 16, half: true},
		{title: "Steering polls over HTTP/1.1", http1: true, path: pollPath, connections: 64, streams: 1, half: true},
		{title: "Steering polls over HTTP/1.1 and TLS 1.3", http1: true, encrypted: true, path: pollPath, connections: 64, streams: 1},
		{title: "Steering polls over HTTP/2 and TLS 1.3", encrypted: true, path: pollPath, connections: 8, streams: 16, half: true},
		{title: "Steering polls over HTTP/2 and TLS 1.3, one at a time on each connection", encrypted: true, path: pollPath, connections: 64, streams: 1},
		{title: "Steering polls over HTTP/2 and TLS 1.3, each with a handshake", encrypted: true, path: pollPath, streams: 1},
	}
}

// fresh is how many connections are opened for one request each. They come at once, and
// each must have its handshake within the time for it.
const fresh = 200

// count is how many requests a turn has: a whole number for each connection.
func (l *load) count(wanted int) int {
	if l.connections == 0 {
		return min(wanted, fresh)
	}
	return wanted / l.connections * l.connections
}

// turn is what one server did under a load.
type turn struct {
	answers      int
	took         time.Duration
	user, system time.Duration
	p50, p99     time.Duration
}

// perAnswer is the processor time of one answer.
func (t turn) perAnswer() time.Duration {
	return (t.user + t.system) / time.Duration(max(t.answers, 1))
}

// turn puts a server under load and measures; rate is how many requests a second there
// are, 0 = as fast as it goes.
func (s *server) turn(l load, rate, requests int, times string) (turn, error) {
	address, scheme := s.clear, "http"
	if l.encrypted {
		address, scheme = s.encrypted, "https"
	}
	count, connections := l.count(requests), l.connections
	if connections == 0 {
		connections = count
	}
	args := []string{"-c", "1", "h2load", "-t", "1", "-n", strconv.Itoa(count), "-c", strconv.Itoa(connections), "-m", strconv.Itoa(l.streams),
		"--log-file", times, "-H", "X-Forwarded-For: " + client}
	if l.http1 {
		args = append(args, "--h1")
	}
	if rate > 0 {
		args = append(args, "--rps", strconv.Itoa(max(1, rate/connections)))
	}
	if err := os.RemoveAll(times); err != nil {
		return turn{}, err
	}
	user, system, err := s.Used()
	if err != nil {
		return turn{}, err
	}
	began := time.Now()
	out, err := exec.Command("taskset", append(args, scheme+"://"+address+l.path)...).CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return turn{}, fmt.Errorf("%w: %s", err, out)
	}
	userEnd, systemEnd, err := s.Used()
	if err != nil {
		return turn{}, err
	}
	if answered := succeeded(out); answered != count {
		return turn{}, fmt.Errorf("%d of %d requests were answered:\n%s", answered, count, out)
	}
	t := turn{answers: count, took: took, user: userEnd - user, system: systemEnd - system}
	t.p50, t.p99, err = quantiles(times)
	return t, err
}

// perSecond is how many answers there were in a second.
func (t turn) perSecond() int { return int(float64(t.answers) / t.took.Seconds()) }

var success = regexp.MustCompile(`(\d+) succeeded`)

func succeeded(out []byte) int {
	found := success.FindSubmatch(out)
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n
}

// quantiles reads the times that h2load wrote, one request a line: when, status, µs.
func quantiles(file string) (p50, p99 time.Duration, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	var all []time.Duration
	for line := range bytes.Lines(text) {
		if fields := strings.Fields(string(line)); len(fields) >= 3 {
			us, err := strconv.Atoi(fields[2])
			if err != nil {
				return 0, 0, err
			}
			all = append(all, time.Duration(us)*time.Microsecond)
		}
	}
	if len(all) == 0 {
		return 0, 0, errors.New("h2load wrote no times")
	}
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100], nil
}
