package doctor

import (
	"cmp"
	"slices"
	"time"
)

// Report is what was found about a zone.
type Report struct {
	Zone     string    `json:"zone"`
	At       time.Time `json:"at"`
	Parent   string    `json:"parent,omitempty"` // the server of the parent zone that was asked
	Servers  []Server  `json:"servers"`
	Result   Result    `json:"result"` // the worst of the findings
	Findings []Finding `json:"findings"`
	Next     []string  `json:"next"` // what to do, the most urgent first
}

// Server is an authoritative server that was asked.
type Server struct {
	Name    string `json:"name,omitempty"` // as delegated; empty when it was named by address
	Address string `json:"address"`
}

// Finding is one thing that was looked at.
type Finding struct {
	Check   string `json:"check"`            // what was looked at, in a word
	Server  string `json:"server,omitempty"` // whose answer it was; empty when it is about several
	Result  Result `json:"result"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"` // what to do about it
}

// Result is how bad a finding is.
type Result string

// Results, from good to bad.
const (
	OK      Result = "ok"
	Note    Result = "note"    // nothing to do unless it is a surprise
	Warning Result = "warning" // works, and will hurt one day
	Error   Result = "error"   // some or all clients are served wrong, slowly, or not
)

func (r Result) rank() int { return slices.Index([]Result{OK, Note, Warning, Error}, r) }

// order names the checks in the order in which they are told: from what everything
// else rests upon to the details.
var order = [...]string{
	"parent", "delegation", "glue", "servers", "udp", "tcp", "authority", "soa", "serial", "ns", "recursion", "transfer",
	"edns", "size", "subnet", "case", "cookie", "nsid", "nxdomain", "names", "ttl", "ds", "signal", "signatures", "clock", "resolver", "certificate",
}

// settle sorts the findings and says what follows from them.
func (r *Report) settle() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(order[:], a.Check), slices.Index(order[:], b.Check))
	})
	r.Result = OK
	for _, f := range r.Findings {
		if f.Result.rank() > r.Result.rank() {
			r.Result = f.Result
		}
	}
	r.Next = []string{}
	for _, wanted := range []Result{Error, Warning, Note} {
		for _, f := range r.Findings {
			if f.Result == wanted && f.Remedy != "" && !slices.Contains(r.Next, f.Remedy) {
				r.Next = append(r.Next, f.Remedy)
			}
		}
	}
}

// Group is findings that say the same of several servers.
type Group struct {
	Finding
	Servers []string
}

// Groups puts findings that differ in the server alone together, in the order of
// the report.
func (r *Report) Groups() []Group {
	var groups []Group
	index := make(map[Finding]int)
	for _, f := range r.Findings {
		server := f.Server
		f.Server = ""
		i, known := index[f]
		if !known {
			i = len(groups)
			index[f] = i
			groups = append(groups, Group{Finding: f})
		}
		if server != "" {
			groups[i].Servers = append(groups[i].Servers, server)
		}
	}
	return groups
}
