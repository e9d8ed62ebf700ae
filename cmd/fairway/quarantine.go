package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"fairway/dnsserver"
)

// quarantinePath is where a node shows the queries that made its DNS door panic.
const quarantinePath = "/dns/v1/quarantine"

func quarantineCommand() *cobra.Command {
	var ask asking
	c := &cobra.Command{
		Use:   "quarantine",
		Short: "Show the queries that made the DNS door panic",
		Long: `Show the queries that made the DNS door of a running node panic. Each was answered
SERVFAIL; one that comes again is refused for ten minutes. The last 64 are kept, in
memory. They are mistakes in Fairway: please report them, with the output of -o json,
which holds the query, the client's address and the stack.`,
		RunE: func(c *cobra.Command, _ []string) error {
			node, err := ask.node(c)
			if err != nil {
				return err
			}
			var kept []dnsserver.Quarantined
			if err := node.Do(c.Context(), http.MethodGet, quarantinePath, nil, &kept); err != nil {
				return err
			}
			return ask.show(c, kept, func(w io.Writer) { printQuarantine(w, kept, time.Now()) })
		},
	}
	ask.flags(c)
	return c
}

func printQuarantine(w io.Writer, kept []dnsserver.Quarantined, now time.Time) {
	if len(kept) == 0 {
		fmt.Fprintln(w, "no query has made the DNS door panic since it was started")
		return
	}
	t := newTable(w, "AGE", "FINGERPRINT", "OVER", "REFUSED", "QUESTION", "PANIC")
	for _, q := range kept {
		t.row(age(now.Sub(q.At)), q.Fingerprint, q.Transport, fmt.Sprint(q.Refused), questionIn(q.Packet), indent(q.Panic))
	}
	t.flush()
}

// questionIn tells what a packet asks; its first octets, where that cannot be read.
func questionIn(packet []byte) string {
	var m dns.Msg
	if err := m.Unpack(packet); err != nil || len(m.Question) == 0 {
		return hex.EncodeToString(packet[:min(len(packet), 24)])
	}
	return m.Question[0].Name + " " + dns.Type(m.Question[0].Qtype).String()
}

// quarantineHandler serves what the command shows.
func (n *node) quarantineHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the quarantine is only looked at", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(n.dns.Quarantine()) // a client that is gone needs no answer
	})
}
