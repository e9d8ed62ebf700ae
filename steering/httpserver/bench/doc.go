// Command bench measures the HTTP door beside others: how much processor time one
// answer costs the server.
//
// In:  flags; the programs taskset, nginx, haproxy and h2load
// (tools/setup/install --peers).
// Out: tables in Markdown on standard output, progress on standard error; or the
// tables of docs/PERFORMANCE.md, written into it.
//
//	make compare-http                                  # all tables
//	go run ./steering/httpserver/bench -only fairway,nginx -rounds 15
//
// # How
//
// Every server runs at once, on processor 0, and redirects alike: nginx by return,
// HAProxy by http-request redirect, both without looking at the client. The load
// comes from h2load on processor 1, round after round to one server after the
// other, so that whatever else the machine does meets all of them alike. The figure
// is the median over the rounds of user and system time (/proc/PID/stat) per answer.
// Each request names a client in X-Forwarded-For, which Fairway finds the region of,
// and the answers are counted as a running node counts them.
//
// # What it does not do
//
// It does not measure a network: packets go over the loopback interface. A turn of
// TLS includes its handshakes, a few dozen. Linux only.
package main
