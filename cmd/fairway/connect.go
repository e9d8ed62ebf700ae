package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fairway/steering/api/client"
	"fairway/steering/certs"
	"fairway/steering/store/kept"

	"github.com/spf13/cobra"
)

// connection is how a command finds a running node.
type connection struct {
	address, tokenFile, caFile string
	// waiting is where it is said that a command waits for a control node to lead;
	// nil = it does not wait.
	waiting func() io.Writer
}

// orderPatience is how long a command waits while no control node leads. Another one
// leads after 21 s at most, where Consul itself is well.
const orderPatience = 45 * time.Second

// flags adds --api, --token-file and --ca-file to a command.
func (c *connection) flags(cmd *cobra.Command) {
	c.waiting = cmd.ErrOrStderr
	cmd.Flags().StringVar(&c.address, "api", "", "the node's API (default $FAIRWAY_API, else the running demo, else http://127.0.0.1:8400)")
	cmd.Flags().StringVar(&c.caFile, "ca-file", "", "PEM file of the authority of the API's certificate (default $FAIRWAY_CA_FILE, else the running demo's, else the system's)")
	cmd.Flags().StringVar(&c.tokenFile, "token-file", "", "file with the API's token (default $FAIRWAY_TOKEN_FILE, else the running demo's)")
}

// open returns a client for the node: as the flags say, else the environment,
// else a demo that runs on this machine, else the default address.
func (c *connection) open() (*client.Client, error) {
	address, tokenFile := c.address, c.tokenFile
	if address == "" {
		address = os.Getenv("FAIRWAY_API")
	}
	if tokenFile == "" {
		tokenFile = os.Getenv("FAIRWAY_TOKEN_FILE")
	}
	caFile := cmp.Or(c.caFile, os.Getenv("FAIRWAY_CA_FILE"))
	if demo, running := findDemo(); running && (address == "" || address == demo.API) {
		address = demo.API
		tokenFile, caFile = cmp.Or(tokenFile, demo.TokenFile), cmp.Or(caFile, demo.CAFile)
	}
	if address == "" {
		address = "http://127.0.0.1:8400"
	}
	token := ""
	if tokenFile != "" {
		var err error
		if token, err = readToken(tokenFile); err != nil {
			return nil, err
		}
	}
	var options []client.Option
	if caFile != "" && strings.HasPrefix(address, "https://") {
		over, err := certs.Trust(caFile)
		if err != nil {
			return nil, err
		}
		options = append(options, client.Over(over))
	}
	if c.waiting != nil {
		options = append(options, client.Patient(orderPatience, func(why error) {
			fmt.Fprintf(plainWriter{c.waiting()}, "fairway: %v\n    trying again for up to %v\n", why, orderPatience)
		}))
	}
	return client.New(address, token, options...)
}

// asking is what the commands that ask a node have in common: where it is, and
// in which form its answer is shown.
type asking struct {
	connection
	output string
}

func (a *asking) flags(c *cobra.Command) {
	a.connection.flags(c)
	outputFlag(c, &a.output)
}

// node checks the flags and returns a client for the node.
func (a *asking) node(c *cobra.Command) (*client.Client, error) {
	if err := checkOutput(c, a.output); err != nil {
		return nil, err
	}
	return a.open()
}

// show writes an answer as JSON, or as text does.
func (a *asking) show(c *cobra.Command, answer any, text func(io.Writer)) error {
	if a.output == "json" {
		return writeJSON(c.OutOrStdout(), answer)
	}
	text(plainWriter{c.OutOrStdout()})
	return nil
}

// runningDemo is what a demo leaves for other commands to find it.
type runningDemo struct {
	PID       int    `json:"pid"`
	API       string `json:"api"`
	TokenFile string `json:"token_file"`
	CAFile    string `json:"ca_file,omitempty"` // of the API's certificate; empty = there is none
	Folder    string `json:"folder"`
	Faults    string `json:"faults,omitempty"` // where its CDNs are broken, if not by its API
}

// demoFile is where the demo of this user says that it runs.
func demoFile() string {
	return filepath.Join(os.TempDir(), "fairway-demo-"+strconv.Itoa(os.Getuid())+".json")
}

// findDemo returns the demo that runs on this machine, if there is one.
func findDemo() (runningDemo, bool) {
	var demo runningDemo
	info, err := os.Lstat(demoFile())
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Getuid()) {
		return demo, false // the folder is everybody's: the file of another user must not say where our token goes
	}
	data, err := os.ReadFile(demoFile())
	if err != nil || json.Unmarshal(data, &demo) != nil || demo.PID <= 0 {
		return demo, false
	}
	return demo, alive(demo.PID)
}

// announce writes the file that findDemo reads.
func (d runningDemo) announce() error {
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if err := kept.WriteFile(demoFile(), data, 0o600); err != nil {
		return fmt.Errorf("say where the demo runs: %w", err)
	}
	return nil
}

// withdraw removes the file, unless another demo has written it since.
func (d runningDemo) withdraw() {
	if found, _ := findDemo(); found.PID == d.PID {
		os.Remove(demoFile())
	}
}
