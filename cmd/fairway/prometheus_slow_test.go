//go:build slow

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairway/deploy"
	"fairway/steering/store/consultest"
	"fairway/tools/freeport"

	consul "github.com/hashicorp/consul/api"
)

// TestPrometheusFindsTheFleet: a real Prometheus, with deploy/prometheus-consul.yml, its
// rules and a token by deploy/consul/prometheus.hcl, finds every node of a fleet as in
// production in a real Consul, scrapes it over the fleet's TLS, and says what it is. A
// node that drains is found no more, so that its end wakes nobody.
func TestPrometheusFindsTheFleet(t *testing.T) {
	program, err := consultest.Program()
	if err != nil {
		t.Fatal(err)
	}
	temp, network := t.TempDir(), fmt.Sprintf("127.%d", 3+os.Getpid()%200)
	fleet := start(t, temp, "demo", "fleet", "--consul", program, "--network", network, "--restart", "0s")
	until(t, 3*patience, "the fleet says what to type", func() bool { return strings.Contains(fleet.output.String(), "Ctrl-C ends everything.") })
	said := fleet.output.String()
	shared := regexp.MustCompile(`Files: ([^;]+);`).FindStringSubmatch(said)[1] + "/shared"
	at := regexp.MustCompile(`CONSUL_HTTP_ADDR=http://(\S+) CONSUL_HTTP_TOKEN=(\S+)`).FindStringSubmatch(said)
	p := startPrometheus(t, at[1], grantPrometheus(t, at[1], at[2]), filepath.Join(shared, "fleet-ca.pem"))

	want := map[string]string{
		"control-1": "control", "control-2": "control", "vantage-1": "probe", "vantage-2": "probe", "vantage-3": "probe", "dns-1": "dns", "dns-2": "dns", "http-1": "http", "http-2": "http",
	}
	until(t, 4*patience, "every node is scraped", func() bool {
		up := p.ask(t, `up{job="fairway"} == 1`)
		found := make(map[string]string)
		for _, labels := range up {
			if labels["version"] == version() {
				found[labels["instance"]] = labels["role"]
			}
		}
		return len(up) == len(want) && fmt.Sprint(found) == fmt.Sprint(want)
	})
	until(t, 2*patience, "one node leads, by its metrics", func() bool { return len(p.ask(t, `fairway_fleet_leads{role="control"} == 1`)) == 1 })
	until(t, 2*patience, "the rules say what headroom each role has", func() bool { return len(p.ask(t, `fairway:headroom:ratio`)) == 4 })

	pid, err := strconv.Atoi(regexp.MustCompile(`(?m)^dns-2  +(\d+)  `).FindStringSubmatch(said)[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, 2*patience, "the node that drains is no target any more", func() bool {
		targets := p.targets(t)
		return len(targets) == len(want)-1 && !slices.Contains(targets, "dns-2")
	})
	if firing := p.ask(t, `ALERTS{alertname="FairwayNodeDown"}`); len(firing) > 0 {
		t.Errorf("a node that drained raises %v", firing)
	}
}

// grantPrometheus makes the token that deploy/consul/prometheus.hcl describes.
func grantPrometheus(t *testing.T, address, manager string) string {
	t.Helper()
	client, err := consul.NewClient(&consul.Config{Address: address, Token: manager})
	if err != nil {
		t.Fatal(err)
	}
	policy, _, err := client.ACL().PolicyCreate(&consul.ACLPolicy{Name: "prometheus", Rules: deploy.PrometheusRules}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := client.ACL().TokenCreate(&consul.ACLToken{Policies: []*consul.ACLLink{{ID: policy.ID}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token.SecretID
}

// realPrometheus is a Prometheus that runs until the test ends.
type realPrometheus struct{ address string }

// startPrometheus runs it with the files of deploy, in which only the address of Consul
// is another.
func startPrometheus(t *testing.T, consulAt, token, authority string) realPrometheus {
	t.Helper()
	path, err := exec.Command("../../tools/prometheus/build", "--path").Output()
	program := strings.TrimSpace(string(path))
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		t.Fatalf("there is no Prometheus with Consul: %v\n    build it: tools/prometheus/build", err)
	}
	folder := t.TempDir()
	copied := func(from, name string, replace ...string) string {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, folder, name, strings.NewReplacer(replace...).Replace(string(text)))
	}
	config := copied("../../deploy/prometheus-consul.yml", "prometheus.yml", "127.0.0.1:8500", consulAt)
	copied("../../deploy/alerts.yml", "alerts.yml")
	copied(authority, "fleet-ca.pem")
	write(t, folder, "consul-token", token+"\n")

	p := realPrometheus{fmt.Sprintf("127.0.0.1:%d", freeport.Find(t, "127.0.0.1"))}
	var output lockedBuffer
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address="+p.address)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus said:\n%s", &output)
		}
	})
	return p
}

// ask gives the labels of what a query finds; nothing while Prometheus does not answer.
func (p realPrometheus) ask(t *testing.T, query string) (found []map[string]string) {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	p.get(t, "query?query="+url.QueryEscape(query), &answer)
	for _, r := range answer.Data.Result {
		found = append(found, r.Metric)
	}
	return found
}

// targets are the nodes that it scrapes.
func (p realPrometheus) targets(t *testing.T) (instances []string) {
	t.Helper()
	var answer struct {
		Data struct {
			ActiveTargets []struct{ Labels map[string]string }
		}
	}
	p.get(t, "targets?state=active", &answer)
	for _, target := range answer.Data.ActiveTargets {
		instances = append(instances, target.Labels["instance"])
	}
	return instances
}

func (p realPrometheus) get(t *testing.T, path string, into any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/api/v1/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := direct.Do(q)
	if err != nil {
		return
	}
	defer r.Body.Close()
	_ = json.NewDecoder(r.Body).Decode(into) // the caller asks again
}
