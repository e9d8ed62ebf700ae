package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/api"
	"fairway/steering/api/client"
)

// A recording is a file of JSON lines, each with one of these set. A saved state
// is a recording of one moment.
type recordLine struct {
	At       time.Time     `json:"at"`
	Node     string        `json:"node,omitempty"` // where it was asked; in the first line
	Revision *api.Revision `json:"revision,omitempty"`
	State    *api.State    `json:"state,omitempty"` // without decisions, except in the first and last
	Queries  *api.Queries  `json:"queries,omitempty"`
}

// capture is a node at one moment.
type capture struct {
	node     string
	revision api.Revision
	state    api.State
	traffic  []steering.Traffic
}

// askNode takes a capture of a running node. Files and decisions are two
// questions, and a reload may come between them, so it asks again until both
// are of one revision.
func askNode(ctx context.Context, to *connection) (capture, error) {
	node, err := to.open()
	if err != nil {
		return capture{}, err
	}
	c := capture{node: node.Address()}
	for range 5 {
		if c.revision, err = node.Revision(ctx); err != nil {
			return c, err
		}
		if c.state, err = node.State(ctx); err != nil {
			return c, err
		}
		if c.state.State.Revision == c.revision.Hash {
			c.traffic, err = node.Traffic(ctx)
			return c, err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return c, err
		}
	}
	return c, errors.New("the node changes its configuration again and again; try when it has settled")
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// save writes a capture as a recording of one moment.
func (c *capture) save(path string) error {
	return writeFile(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		return errors.Join(
			e.Encode(recordLine{At: c.state.Now, Node: c.node, Revision: &c.revision}),
			e.Encode(recordLine{At: c.state.Now, State: &c.state}),
			e.Encode(recordLine{At: c.state.Now, Queries: &api.Queries{Queries: c.traffic}}))
	})
}

// writeFile has write fill a file, which holds a whole configuration. What was there
// before is only touched when there is something to write.
func writeFile(path string, write func(io.Writer) error) error {
	f := &lateFile{path: path}
	w := bufio.NewWriter(f)
	return errors.Join(write(w), w.Flush(), f.close())
}

// lateFile is opened, and emptied, by the first write.
type lateFile struct {
	path string
	file *os.File
}

func (f *lateFile) Write(data []byte) (n int, err error) {
	if f.file == nil {
		if f.file, err = os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			return 0, err
		}
	}
	return f.file.Write(data)
}

func (f *lateFile) close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// recording is what a file of lines holds.
type recording struct {
	capture             // the newest with decisions
	moments []api.State // all of them
	first   api.Revision
	others  int // revisions after the first
}

func readRecording(path string) (*recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := new(recording)
	d := json.NewDecoder(bufio.NewReader(f))
	for n := 1; ; n++ {
		var line recordLine
		err := d.Decode(&line)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && n > 1 {
			break // a last line may be cut off when the recorder was killed
		}
		if err != nil {
			return nil, fmt.Errorf("%s: entry %d is not what \"fairway record\" or \"fairway plan --save\" writes: %w", path, n, err)
		}
		r.add(&line)
	}
	switch {
	case r.first.Hash == "" || len(r.moments) == 0:
		return nil, fmt.Errorf("%s holds no configuration with a state; make one with \"fairway plan --save FILE\" or \"fairway record --out FILE\"", path)
	case r.state.State.Services == nil:
		r.state = r.moments[0]
	}
	return r, nil
}

func (r *recording) add(line *recordLine) {
	if line.Node != "" {
		r.node = line.Node
	}
	if line.Revision != nil {
		if r.first.Hash == "" {
			r.first = *line.Revision
		} else {
			r.others++
		}
		r.revision = *line.Revision
	}
	if line.State != nil {
		if n := len(r.moments); n > 0 && r.moments[n-1].Now.Equal(line.State.Now) {
			r.moments = r.moments[:n-1] // the last one once more, with its decisions
		}
		r.moments = append(r.moments, *line.State)
		if line.State.State.Services != nil {
			r.state = *line.State
		}
	}
	if line.Queries != nil {
		r.traffic = line.Queries.Queries
	}
}

// compileRevision compiles a node's files here. The geo databases that they
// name may not be here; the built-in data stands in, which is said.
func compileRevision(r api.Revision) (*configuration, error) {
	files := make([]policies.File, 0, len(r.Files))
	for _, f := range r.Files {
		files = append(files, policies.File{Name: f.Name, Data: f.Data})
	}
	c, _, err := compile(files, true)
	if err != nil {
		return nil, fmt.Errorf("the node's own configuration does not compile here; are the node and this program of one release? %w", err)
	}
	return c, nil
}

// recorder polls a node and writes what it says.
type recorder struct {
	node     *client.Client
	begun    func() // called when the first moment is recorded
	out      *json.Encoder
	revision string // hash of the last one written
	moments  int
	missed   int
	newest   *api.State
}

// run records until the time is over or ctx ends. A node that does not answer
// for a while leaves a gap, not an end.
func (r *recorder) run(ctx context.Context, every time.Duration) error {
	for {
		began := time.Now()
		if err := r.moment(ctx); err != nil {
			if r.moments == 0 && ctx.Err() == nil {
				return err
			}
			r.missed++
		}
		if pause(ctx, every-time.Since(began)) != nil {
			return r.finish(context.WithoutCancel(ctx))
		}
	}
}

// moment writes one state, after the files if they are others than before.
func (r *recorder) moment(ctx context.Context) error {
	state, err := r.node.State(ctx)
	if err != nil {
		return err
	}
	first := r.moments == 0
	if state.State.Revision != r.revision {
		revision, err := r.node.Revision(ctx)
		if err != nil {
			return err
		}
		if revision.Hash != state.State.Revision {
			return errors.New("the configuration changed between two questions")
		}
		line := recordLine{At: state.Now, Revision: &revision}
		if first {
			line.Node = r.node.Address()
		}
		if err := r.out.Encode(line); err != nil {
			return err
		}
		r.revision = revision.Hash
	}
	if first {
		r.begun()
	}
	r.newest = &state
	r.moments++
	written := state
	if !first {
		written.State.Services = nil // most of the bytes, and a replay decides for itself
	}
	return r.out.Encode(recordLine{At: state.Now, State: &written})
}

// finish writes the last decisions, to plan from, and the queries.
func (r *recorder) finish(ctx context.Context) error {
	if r.newest == nil {
		return errors.New("nothing was recorded")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	traffic, err := r.node.Traffic(ctx)
	if err != nil {
		r.missed++
	}
	now := r.newest.Now
	return errors.Join(
		r.out.Encode(recordLine{At: now, State: r.newest}),
		r.out.Encode(recordLine{At: now, Queries: &api.Queries{Queries: traffic}}))
}
