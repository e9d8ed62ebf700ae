package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairway/steering/api"
	"fairway/steering/certs"
	"fairway/steering/metrics"
)

// certificates are those of this node's listeners, and those that it obtains.
func (n *node) certificates() []api.Certificate {
	all := []api.Certificate{} // in JSON [], not null
	for _, of := range []struct {
		door  string
		files *certs.Files
	}{{"https", n.certificate}, {"dot", n.dotFiles}, {"api", n.peers}} {
		if of.files == nil {
			continue
		}
		c := api.Certificate{Doors: []string{of.door}, From: of.files.Name()}
		if err := of.files.Fault(); err != nil {
			c.Error = err.Error()
		}
		if leaf := of.files.Leaf(); leaf != nil {
			c.Describe(leaf)
			c.Late = certs.Late(leaf.NotBefore, leaf.NotAfter, time.Now())
		}
		all = append(all, c)
	}
	return append(all, n.obtained()...)
}

// obtained are those that come from an authority by ACME.
func (n *node) obtained() (all []api.Certificate) {
	if n.acme == nil {
		return nil
	}
	var doors []string
	if settings := n.config.Load().Node; settings.HTTP.ACME && n.http != nil {
		doors = append(doors, "https")
	}
	if settings := n.config.Load().Node; settings.DNS.TLS.ACME && n.dns != nil {
		doors = append(doors, "dot")
	}
	for _, s := range n.acme.Status() {
		all = append(all, api.Certificate{
			Doors: doors, From: "acme", Names: []string{s.Name}, NotAfter: s.NotAfter, Issuer: s.Issuer,
			Renewal: s.Next, Failures: s.Failures, Error: s.Error, Late: !s.NotAfter.IsZero() && certs.Late(s.Began, s.NotAfter, time.Now()),
		})
	}
	return all
}

// shownCertificates is what metrics show of them.
func (n *node) shownCertificates() (shown metrics.Certificates) {
	if n.api == nil {
		return shown // not made yet
	}
	for _, c := range n.certificates() {
		name, kind := c.From, "file"
		if c.From == "acme" {
			kind = c.From
		}
		if len(c.Names) > 0 {
			name = c.Names[0]
		}
		shown.All = append(shown.All, metrics.Certificate{Name: name, From: kind, Expires: c.NotAfter, Failures: c.Failures, Fault: c.Error != ""})
	}
	if n.acme != nil {
		tally := n.acme.Tally()
		shown.Obtained, shown.Failed, shown.Obtains = tally.Obtained, tally.Failed, true
	}
	return shown
}

// certificatesPath is where certificatesHandler answers.
const certificatesPath = "/certificates/v1"

// certificatesOrder is what a POST asks for: to renew a name's certificate now, or all.
type certificatesOrder struct {
	Renew string `json:"renew"` // "*" = all of them
}

// certificatesHandler tells of the certificates (GET), and has those of ACME renewed (POST).
func (n *node) certificatesHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+certificatesPath, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, n.certificates()) })
	mux.HandleFunc("POST "+certificatesPath, func(w http.ResponseWriter, r *http.Request) {
		var order certificatesOrder
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<10))
		if err == nil {
			err = json.Unmarshal(body, &order)
		}
		if err == nil {
			err = n.renew(order)
		}
		if err != nil {
			answerJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		answerJSON(w, http.StatusOK, n.certificates())
	})
	return mux
}

func (n *node) renew(order certificatesOrder) error {
	switch {
	case n.acme == nil:
		return errors.New("this node obtains no certificates: its configuration has no section acme")
	case !n.leads():
		return errors.New("another node obtains the certificates: ask the control node that leads")
	case order.Renew == "":
		return errors.New(`an order is {"renew": "go.video.example"}, or {"renew": "*"} for all`)
	case order.Renew == "*":
		return n.acme.Renew("")
	}
	return n.acme.Renew(strings.ToLower(strings.TrimSuffix(order.Renew, ".")))
}

func certificatesCommand() *cobra.Command {
	var ask asking
	show := func(c *cobra.Command, method string, order any) error {
		node, err := ask.node(c)
		if err != nil {
			return err
		}
		var all []api.Certificate
		if err := node.Do(c.Context(), method, certificatesPath, order, &all); err != nil {
			return err
		}
		return ask.show(c, all, func(w io.Writer) { printCertificates(w, all, time.Now()) })
	}
	c := &cobra.Command{
		Use:   "certificates",
		Short: "Show the certificates of a node's listeners, and renew them",
		Long: `Show what the listeners of a running node prove their names with: for which names,
from where, until when; of those that it obtains by ACME, when they are renewed and what
failed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return show(c, http.MethodGet, nil) },
	}
	ask.flags(c)
	var all bool
	renew := &cobra.Command{
		Use:   "renew NAME | --all",
		Short: "Obtain a new certificate for a name now",
		Long: `Obtain a new certificate for a name of the section acme now, whatever the age of the
one that serves, and without waiting out the pause after a failure. Authorities bound how
often: Let's Encrypt allows five certificates a week for the same name.`,
		Example: "  fairway certificates renew go.video.example",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return usageError{errors.New("name one, or give --all"), c.CommandPath()}
			}
			order := certificatesOrder{Renew: "*"}
			if !all {
				order.Renew = args[0]
			}
			return show(c, http.MethodPost, order)
		},
	}
	renew.Flags().BoolVar(&all, "all", false, "those of all names")
	ask.flags(renew)
	c.AddCommand(renew)
	return c
}

func printCertificates(w io.Writer, all []api.Certificate, now time.Time) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no listener has a certificate; see listen.https, listen.dot and api.tls (docs/CONFIGURATION.md)")
		return
	}
	t := newTable(w, "NAMES", "DOORS", "FROM", "ISSUER", "UNTIL", "LEFT", "RENEWAL")
	for _, c := range all {
		until, left, renewal := "NONE", "-", "-"
		if !c.NotAfter.IsZero() {
			until, left = c.NotAfter.Local().Format(time.DateTime), age(max(c.NotAfter.Sub(now), 0))
			if c.NotAfter.Before(now) {
				left = "EXPIRED"
			}
		}
		if c.From == "acme" {
			if renewal = "now"; c.Renewal.After(now) {
				renewal = c.Renewal.Local().Format(time.DateTime)
			}
		}
		t.row(orDash(strings.Join(c.Names, " ")), orDash(strings.Join(c.Doors, " ")), c.From, orDash(c.Issuer), until, left, renewal)
	}
	t.flush()
	for _, c := range all {
		if c.Late {
			fmt.Fprintf(w, "LATE %s: should have been renewed by now; %s\n", orDash(strings.Join(c.Names, " ")), renewer(c))
		}
		if c.Error == "" {
			continue
		}
		what := "FILES"
		if c.Failures > 0 {
			what = fmt.Sprintf("%d FAILURES", c.Failures)
		}
		fmt.Fprintf(w, "%s %s: %s\n", what, orDash(strings.Join(c.Names, " ")), indent(c.Error))
	}
}

// renewer says who should have renewed a certificate.
func renewer(c api.Certificate) string {
	if c.From == "acme" {
		return "the authority, or the way to it, fails: see below, and docs/CERTIFICATES.md, When it goes wrong"
	}
	return "whoever writes " + c.From + " has not: it is taken up when it changes"
}
