package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"fairway/cmd/fairway/doctor"
	"fairway/policies"
	"fairway/steering/certs"
)

func doctorCommand() *cobra.Command {
	var (
		servers, parents, names, clients []string
		shown                            []string
		resolver, config, output, caFile string
		timeout                          time.Duration
		strict                           bool
	)
	c := &cobra.Command{
		Use:   "doctor ZONE",
		Short: "Look at a zone from outside, and say what to do next",
		Long: `Ask the parent zone, every name server and a resolver about a zone, as the
world does, and say what is wrong and what to do about it: delegation and glue,
reachability over UDP and TCP, lame servers, serials, EDNS and packet sizes,
client subnet, case, cookies, names that do not exist, TTLs, the chain of trust
and the clock; and of names that are asked over TLS, the certificates and their end.

It needs neither a running node nor a configuration, and works on any zone. It
sees what this machine's place in the network sees: run it outside your own.

Exit code 0 when there is nothing worse than a warning (with --strict: than a
note), 1 otherwise.`,
		Example: `  fairway doctor cdn.video.example
  fairway doctor cdn.video.example --name live.cdn.video.example
  fairway doctor cdn.video.example --config fairway.yaml
  fairway doctor cdn.video.example --tls go.cdn.video.example --tls ns1.cdn.video.example:853
  fairway doctor cdn.video.example --server 192.0.2.53 --server 198.51.100.53:5300`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(c, output); err != nil {
				return err
			}
			patient := doctor.Config{Zone: args[0], Names: names, Timeout: timeout}
			patient.TLS = shown
			if err := readFlags(&patient, servers, parents, clients, resolver); err != nil {
				return usageError{err, c.CommandPath()}
			}
			if caFile != "" {
				var err error
				if patient.Roots, err = certs.Authority(caFile); err != nil {
					return fmt.Errorf("--ca-file: %w", err)
				}
			}
			if config != "" {
				if err := addHostnames(&patient, config); err != nil {
					return err
				}
			}
			d, err := doctor.New(patient)
			if err != nil {
				return usageError{err, c.CommandPath()}
			}
			report := d.Examine(c.Context())
			if output == "json" {
				err = writeJSON(c.OutOrStdout(), report)
			} else {
				printReport(c.OutOrStdout(), report)
			}
			if err == nil && (report.Result == doctor.Error || strict && report.Result == doctor.Warning) {
				return errTold
			}
			return err
		},
	}
	c.Flags().StringArrayVar(&servers, "server", nil, "ask this server, ADDRESS or ADDRESS:PORT, in place of those that the parent names (repeat)")
	c.Flags().StringArrayVar(&parents, "parent", nil, "ask this server of the parent zone for the delegation, in place of those that the resolver finds (repeat)")
	c.Flags().StringVar(&resolver, "resolver", "", "the resolver to begin with, ADDRESS or ADDRESS:PORT; none: ask no resolver (default: the system's)")
	c.Flags().StringArrayVar(&names, "name", nil, "look at this steered name of the zone too (repeat)")
	c.Flags().StringArrayVar(&shown, "tls", nil, "look at the certificate that this name shows, NAME or NAME:PORT (repeat; default port 443)")
	c.Flags().StringVar(&caFile, "ca-file", "", "PEM file with the authorities that certificates must lead back to (default the system's)")
	c.Flags().StringVarP(&config, "config", "c", "", "look at the steered names of this configuration that lie in the zone, and at the certificates of its listeners")
	c.Flags().StringArrayVar(&clients, "client", nil, "compare the answers for clients in this network, such as 192.0.2.0/24 (repeat)")
	durationFlag(c, &timeout, "timeout", 2*time.Second, "how long to wait for an answer; over UDP three times")
	c.Flags().BoolVar(&strict, "strict", false, "exit with 1 for warnings too")
	outputFlag(c, &output)
	return c
}

// readFlags reads the addresses of a command line.
func readFlags(to *doctor.Config, servers, parents, clients []string, resolver string) (err error) {
	if to.Servers, err = readServers("--server", servers); err != nil {
		return err
	}
	if to.Parents, err = readServers("--parent", parents); err != nil {
		return err
	}
	for _, text := range clients {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("--client %q is not a network, such as 192.0.2.0/24", text)
		}
		to.Clients = append(to.Clients, prefix)
	}
	switch {
	case resolver == "none", resolver == "" && len(to.Servers) > 0:
	case resolver == "":
		to.Resolver, err = systemResolver("/etc/resolv.conf")
	default:
		to.Resolver, err = readServer("--resolver", resolver)
	}
	return err
}

func readServers(flag string, texts []string) (servers []netip.AddrPort, err error) {
	for _, text := range texts {
		server, err := readServer(flag, text)
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// readServer reads an address with or without a port.
func readServer(flag, text string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(addr, 53), nil
	}
	server, err := netip.ParseAddrPort(text)
	if err != nil {
		return server, fmt.Errorf("%s %q is neither an IP address nor address:port", flag, text)
	}
	return server, nil
}

// systemResolver is the first name server of resolv.conf(5).
func systemResolver(file string) (netip.AddrPort, error) {
	c, err := dns.ClientConfigFromFile(file)
	if err != nil || len(c.Servers) == 0 {
		return netip.AddrPort{}, fmt.Errorf("%s names no resolver; name one with --resolver", file)
	}
	port, err := strconv.ParseUint(c.Port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s: port %q", file, c.Port)
	}
	addr, err := netip.ParseAddr(c.Servers[0])
	return netip.AddrPortFrom(addr, uint16(port)), err
}

// addHostnames adds the steered names of a configuration that lie in the zone.
func addHostnames(to *doctor.Config, path string) error {
	files, err := policies.Read(path)
	if err != nil {
		return err
	}
	compiled, findings := policies.Compile(files)
	if compiled == nil {
		return fmt.Errorf("%s: %s; fairway check tells more", path, count(findings.Errors(), "error"))
	}
	to.TLS = append(to.TLS, certifiedNames(compiled)...)
	for _, s := range compiled.Revision.Services {
		for _, name := range s.Hostnames {
			if dns.IsSubDomain(dns.CanonicalName(to.Zone), name) {
				to.Names = append(to.Names, name)
			}
		}
	}
	return nil
}

// certifiedNames are the names that listeners prove, with their ports: those of acme, and
// else the HTTP door's.
func certifiedNames(c *policies.Configuration) (names []string) {
	add := func(listeners, of []string) {
		for _, name := range of {
			if len(listeners) == 0 || strings.HasPrefix(name, "*.") {
				continue
			}
			if _, port, _ := net.SplitHostPort(listeners[0]); port != "0" {
				names = append(names, net.JoinHostPort(name, port))
			}
		}
	}
	n := c.Node
	if n.HTTP.ACME && n.ACME != nil {
		add(n.Listen.HTTPS, n.ACME.Names)
	} else {
		add(n.Listen.HTTPS, n.HTTPHosts)
	}
	if n.DNS.TLS.ACME && n.ACME != nil {
		add(n.Listen.DoT, n.ACME.Names)
	}
	return names
}

func printReport(w io.Writer, r *doctor.Report) {
	fmt.Fprintf(w, "%s, %s asked\n\n", r.Zone, count(len(r.Servers), "server"))
	t := newTable(w, "CHECK", "RESULT", "SERVER", "FOUND")
	for _, g := range r.Groups() {
		t.row(g.Check, string(g.Result), whose(g.Servers, len(r.Servers)), g.Message)
	}
	t.flush()
	if len(r.Next) > 0 {
		fmt.Fprintln(w, "\nwhat to do next")
	}
	for i, step := range r.Next {
		fmt.Fprintf(w, "  %d. %s\n", i+1, step)
	}
	fmt.Fprintf(w, "\nresult: %s\n", r.Result)
}

// whose names the servers that a finding is about, shortly where it is about all.
func whose(servers []string, all int) string {
	switch {
	case len(servers) == 0:
		return "-"
	case len(servers) == 1:
		return servers[0]
	case len(servers) == all:
		return fmt.Sprintf("all %d", all)
	}
	return fmt.Sprintf("%s and %d more", servers[0], len(servers)-1)
}
