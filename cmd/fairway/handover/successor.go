package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// What the two processes tell each other.
const (
	prepared = "prepared"
	proceed  = "go"
	serving  = "serving"
)

// Successor is the process that takes over from this one. It is used by one
// goroutine.
type Successor struct {
	process  *os.Process
	from, to *os.File
	lines    *bufio.Reader
	ended    chan struct{}
	status   string      // how it ended; to be read when ended is closed
	free     func() bool // lets it live on when the context of Start ends
}

// Start starts a program as the successor of this process, with its arguments,
// environment, standard output and standard error, and with the sockets. When ctx
// ends before the successor serves, it is killed.
func (s *Sockets) Start(ctx context.Context, program string, args []string) (*Successor, error) {
	names, fds, err := s.files()
	if err != nil {
		return nil, err
	}
	defer closeFDs(fds)
	theirFrom, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirFrom.Close()
	from, theirTo, err := os.Pipe()
	if err != nil {
		to.Close()
		return nil, err
	}
	defer theirTo.Close()
	files := append([]uintptr{0, 1, 2, theirFrom.Fd(), theirTo.Fd()}, fds...)
	pid, err := syscall.ForkExec(program, append([]string{program}, args...), &syscall.ProcAttr{Env: environment(names), Files: files})
	if err != nil {
		from.Close()
		to.Close()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, err // never on Unix
	}
	successor := &Successor{process: process, from: from, to: to, lines: bufio.NewReader(from), ended: make(chan struct{})}
	successor.free = context.AfterFunc(ctx, func() { _ = process.Kill() })
	go successor.reap()
	return successor, nil
}

// environment is this process' own, with what the successor is to know. What
// systemd said of the sockets counted for this process only.
func environment(names []name) []string {
	own := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, namesVariable+"=") || strings.HasPrefix(v, "LISTEN_")
	})
	var list []string
	for _, n := range names {
		list = append(list, n.network+"/"+n.address)
	}
	return append(own, namesVariable+"="+strings.Join(list, " "))
}

func (s *Successor) reap() {
	state, err := s.process.Wait()
	if s.status = fmt.Sprint(state); err != nil {
		s.status = err.Error()
	}
	close(s.ended)
}

// PID is its process id.
func (s *Successor) PID() int { return s.process.Pid }

// Prepared waits until the successor needs nothing more but what this process
// still holds.
func (s *Successor) Prepared(within time.Duration) error { return s.hear(prepared, within) }

// Proceed tells the successor to serve, and waits until it does.
func (s *Successor) Proceed(within time.Duration) error {
	if _, err := io.WriteString(s.to, proceed+"\n"); err != nil {
		return s.failed(err)
	}
	if err := s.hear(serving, within); err != nil {
		return err
	}
	s.free()
	return nil
}

// hear waits for one line of the successor.
func (s *Successor) hear(want string, within time.Duration) error {
	s.from.SetReadDeadline(time.Now().Add(within))
	line, err := s.lines.ReadString('\n')
	switch {
	case err != nil:
		return s.failed(err)
	case line != want+"\n":
		return s.failed(fmt.Errorf("it said %q, not %q", line, want))
	}
	return nil
}

// failed ends the successor and says what went wrong.
func (s *Successor) failed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("it took too long")
	}
	s.Kill()
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("the new process did not take over: it ended: %s", s.status)
	}
	return fmt.Errorf("the new process did not take over: %w", err)
}

// Kill ends the successor and waits until it has ended.
func (s *Successor) Kill() {
	_ = s.process.Kill()
	<-s.ended
	s.from.Close()
	s.to.Close()
}

// Predecessor is the process that this one takes over from.
type Predecessor struct{ from, to *os.File }

// Prepared says that everything is ready, and waits to be told to go. When the
// predecessor has thought better of it, or is gone, that is the error.
func (p *Predecessor) Prepared() error {
	if _, err := io.WriteString(p.to, prepared+"\n"); err != nil {
		return fmt.Errorf("take over: the old process is gone: %w", err)
	}
	line, err := bufio.NewReader(p.from).ReadString('\n')
	if err != nil || line != proceed+"\n" {
		return fmt.Errorf("take over: the old process did not let go: %q, %w", line, err)
	}
	return nil
}

// Serving says that this process answers.
func (p *Predecessor) Serving() error {
	_, err := io.WriteString(p.to, serving+"\n")
	p.to.Close()
	p.from.Close()
	return err
}
