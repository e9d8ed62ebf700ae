package policies

import (
	"strings"
	"testing"
)

func TestStarterCompiles(t *testing.T) {
	tests := [][]string{
		{"live.akamaized.net"},
		{"a.akamaized.net", "b.akamaized.net", "d111.cloudfront.net", "Video.Global.SSL.fastly.net."},
		{"cdn.one.example", "cdn.two.example", "localhost", "10_x.example"},
	}
	for _, hosts := range tests {
		text, err := Starter(hosts)
		if err != nil {
			t.Errorf("Starter(%q): %v", hosts, err)
			continue
		}
		c, findings := Compile([]File{{Name: "fairway.yaml", Data: text}})
		if c == nil {
			t.Errorf("Starter(%q) has errors:\n%s\n%s", hosts, report(findings), text)
			continue
		}
		if got := len(c.Revision.Service("live").Endpoints); got != len(hosts) {
			t.Errorf("Starter(%q) has %d endpoints", hosts, got)
		}
		for _, f := range findings {
			// One vantage is all that a starting configuration can know of.
			if !strings.Contains(f.Message, "is the only one") {
				t.Errorf("Starter(%q): %s", hosts, f)
			}
		}
	}
}

func TestStarterRefuses(t *testing.T) {
	tests := []struct {
		hosts []string
		want  []string
	}{
		{nil, []string{"at least one"}},
		{[]string{"https://cdn.example/x", "192.0.2.1", "good.example"}, []string{"https://cdn.example/x", "IP address"}},
		{[]string{"cdn.example", "CDN.example."}, []string{"twice"}},
		{[]string{"a\n  b: c"}, []string{"host names only"}},
	}
	for _, tt := range tests {
		text, err := Starter(tt.hosts)
		if err == nil {
			t.Errorf("Starter(%q) = %s", tt.hosts, text)
			continue
		}
		for _, part := range tt.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("Starter(%q): %q does not say %q", tt.hosts, err, part)
			}
		}
	}
}

func TestCDNOf(t *testing.T) {
	tests := []struct{ host, want string }{
		{"live.akamaized.net", "akamai"},
		{"akamaized.net", "akamai"},
		{"notakamaized.net", "notakamaized"},
		{"d1.cloudfront.net", "cloudfront"},
		{"x.edge.example", "edge"},
		{"localhost", "localhost"},
		{"x._.example", "cdn"},
	}
	for _, tt := range tests {
		if got := cdnOf(tt.host); got != tt.want {
			t.Errorf("cdnOf(%q) = %q, want %q", tt.host, got, tt.want)
		}
	}
}
