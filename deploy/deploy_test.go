package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fairway/cmd/fairway/localfleet"
	"fairway/policies"
)

// program finds a program that these tests drive.
func program(t *testing.T, name string) string {
	t.Helper()
	found, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed, and nothing else can check this: run tools/setup/install (or make setup)", name)
	}
	return found
}

// run runs a program, fails the test with what it printed when it fails, and
// returns that otherwise.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program(t, name), args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// units returns the units of this folder by name.
func units(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.service")
	if err != nil || len(names) != 5 {
		t.Fatalf("units: %q, %v; want one per role and one for all", names, err)
	}
	all := map[string]string{}
	for _, name := range names {
		all[name] = read(t, name)
	}
	return all
}

const installed = "/usr/bin/fairway"

// copies writes the units to a folder with a program in the place of fairway
// that exists here: systemd-analyze finds fault with one that does not.
func copies(t *testing.T) []string {
	t.Helper()
	standIn, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	var names []string
	for name, text := range units(t) {
		at := filepath.Join(folder, name)
		if err := os.WriteFile(at, []byte(strings.ReplaceAll(text, installed, standIn)), 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, at)
	}
	return names
}

// socket is a copy of the socket unit, beside its service.
func socket(t *testing.T, services []string) string {
	t.Helper()
	at := filepath.Join(filepath.Dir(services[0]), "fairway-dns.socket")
	if err := os.WriteFile(at, []byte(read(t, "fairway-dns.socket")), 0o644); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestUnitsVerify(t *testing.T) {
	services := copies(t)
	args := append([]string{"verify", "--man=no", socket(t, services)}, services...)
	// What it only warns of, such as an unknown key, it prints and exits with 0.
	if out := run(t, "systemd-analyze", args...); strings.TrimSpace(out) != "" {
		t.Errorf("systemd-analyze verify has something to say:\n%s", out)
	}
}

// TestUnitsAreHardened: systemd's own score of what a broken-into service could
// do stays at 2.0 of 10 or below. What is left is the network.
func TestUnitsAreHardened(t *testing.T) {
	for _, name := range copies(t) {
		run(t, "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", name)
	}
}

// TestUnitsDifferOnlyWhereTheyMust: five copies of one list drift apart unless
// somebody looks.
func TestUnitsDifferOnlyWhereTheyMust(t *testing.T) {
	shared := regexp.MustCompile(`(?s)\n# Stopping drains first.*\n# -- End of hardening\.\n`)
	want := shared.FindString(read(t, "fairway.service"))
	if len(want) < 1000 {
		t.Fatal("fairway.service has lost its hardening, or the comments that mark it")
	}
	for name, text := range units(t) {
		if shared.FindString(text) != want {
			t.Errorf("%s: from \"Stopping drains first\" to \"End of hardening\" it must say what fairway.service says", name)
		}
		role := strings.TrimSuffix(strings.TrimPrefix(name, "fairway-"), ".service")
		start := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(text)[1]
		if wants := " --role " + role + " "; name != "fairway.service" && !strings.Contains(start, wants) {
			t.Errorf("%s: ExecStart=%s, want%sin it", name, start, wants)
		}
		mayBind := strings.Contains(text, "\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n")
		if needs := role != "control" && role != "probe"; mayBind != needs {
			t.Errorf("%s: may bind low ports: %v, want %v", name, mayBind, needs)
		}
	}
}

func TestSystemUser(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs("fairway.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "systemd-sysusers", "--root="+root, file)
	if users := read(t, filepath.Join(root, "etc/passwd")); !strings.HasPrefix(users, "fairway:") || !strings.Contains(users, "nologin") {
		t.Errorf("made %q, want a user fairway that cannot log in", users)
	}
}

func TestPrometheus(t *testing.T) {
	if out := run(t, "promtool", "check", "config", "prometheus.yml"); !strings.Contains(out, "1 rule files found") {
		t.Errorf("the configuration does not load the rules:\n%s", out)
	}
	checkWithoutConsul(t)
	run(t, "promtool", "check", "rules", "alerts.yml")
	run(t, "promtool", "test", "rules", "alerts_test.yml")
}

// checkWithoutConsul checks the configuration for a fleet. Debian's promtool knows
// nothing of Consul, so that part is put aside for it.
func checkWithoutConsul(t *testing.T) {
	text := read(t, "prometheus-consul.yml")
	discovery := regexp.MustCompile(`(?s)    consul_sd_configs:\n.*?\n(    # The authority)`)
	if !discovery.MatchString(text) {
		t.Fatal("prometheus-consul.yml finds nothing in Consul")
	}
	folder := t.TempDir()
	authority, err := localfleet.NewAuthority()
	if err == nil {
		err = authority.WriteTo(filepath.Join(folder, "fleet-ca.pem"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"prometheus-consul.yml": discovery.ReplaceAllString(text, "    static_configs: [{targets: [127.0.0.1:8400]}]\n$1"), "alerts.yml": read(t, "alerts.yml"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "promtool", "check", "config", filepath.Join(folder, "prometheus-consul.yml"))
}

// TestExampleConfiguration: what operators start from has no mistake and
// deserves no warning.
func TestExampleConfiguration(t *testing.T) {
	files, err := policies.Read("fairway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	configuration, findings := policies.Compile(files)
	for _, f := range findings {
		t.Error(f)
	}
	if configuration == nil || len(configuration.Revision.Services) != 1 || len(configuration.Revision.Policies) != 1 {
		t.Fatalf("compiled to %+v, want one service and one policy", configuration)
	}
}

// TestImportsConfiguration: the imports of the example go with it, also where a score
// reads their signal as the first comment says.
func TestImportsConfiguration(t *testing.T) {
	imports := read(t, "imports.yaml")
	advised := regexp.MustCompile(`(?m)^#   (score: .*)$`).FindStringSubmatch(imports)
	if advised == nil {
		t.Fatal("imports.yaml advises no score")
	}
	example := read(t, "fairway.yaml")
	reading := strings.Replace(example, "score: 0.5 * latency + 0.3 * availability + 0.2 * cost", advised[1], 1)
	if reading == example {
		t.Fatal("fairway.yaml has another score than the one that imports.yaml extends")
	}
	for _, base := range []string{example, reading} {
		c, findings := policies.Compile([]policies.File{{Name: "fairway.yaml", Data: []byte(base)}, {Name: "imports.yaml", Data: []byte(imports)}})
		for _, f := range findings {
			t.Error(f)
		}
		if c == nil || len(c.Revision.Imports) != 3 || len(c.Revision.Signals) != 1 {
			t.Fatalf("compiled to %+v, want three imports and one signal", c)
		}
	}
}

// TestFleetConfiguration: what makes a fleet of the example has no mistake, and its
// tokens may do what the roles need.
func TestFleetConfiguration(t *testing.T) {
	folder := t.TempDir()
	// As its first comment says: the sections that are in both leave the example.
	example := regexp.MustCompile(`(?m)^(api|control):.*\n(  .*\n)*`).ReplaceAllString(read(t, "fairway.yaml"), "")
	for name, text := range map[string]string{"fairway.yaml": example, "fleet.yaml": Fleet} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := policies.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	configuration, findings := policies.Compile(files)
	for _, f := range findings {
		t.Error(f)
	}
	if configuration == nil {
		t.Fatal("it does not compile")
	}
	n := configuration.Node
	if n.Consul == nil || n.PeerTLS == nil || n.PeerTLS.CA == "" || n.ControlToken == "" || len(n.Control) != 2 || len(n.Tokens) != 6 {
		t.Errorf("compiled to %+v, want Consul, certificates, two control nodes and six tokens", n)
	}
	for _, token := range n.Tokens {
		if slices.Contains(token.Scopes, "measure") && len(token.Scopes) > 1 {
			t.Errorf("the token %s of a machine may do more than report: %v", token.Name, token.Scopes)
		}
	}
}
