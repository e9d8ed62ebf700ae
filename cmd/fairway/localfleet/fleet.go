package localfleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Process is a program to run.
type Process struct {
	Name string
	Args []string // the program first
	Env  []string // beside this process's own
}

// Config is what a Fleet needs.
type Config struct {
	Logs string // an existing folder: what NAME says goes to NAME.log
	// Restart is how long after its end a process is started again; 0 = never.
	Restart time.Duration
	// Tell is told of what nobody asked for: ends, and starts after them. It may be
	// called from several goroutines. Required.
	Tell func(string)
}

// Fleet is processes that live and end together. Make one with New; Stop ends it.
type Fleet struct {
	Config
	ending context.Context
	end    context.CancelFunc
	starts chan start
	begun  sync.WaitGroup // the goroutines of this Fleet

	mu      sync.Mutex
	running []*member // in the order of their first start
}

// member is a process with its present incarnation.
type member struct {
	Process
	process *os.Process // nil = it does not run
	stopped bool
	gone    chan struct{} // closed when it has ended for good
}

type start struct {
	cmd    *exec.Cmd
	result chan<- error
}

// New makes a Fleet without processes.
func New(c Config) *Fleet {
	f := &Fleet{Config: c, starts: make(chan start)}
	f.ending, f.end = context.WithCancel(context.Background())
	f.begun.Go(f.startAll)
	return f
}

// startAll starts processes from one thread that lasts as long as the Fleet: Linux
// ends a child with the thread that made it (prctl(2), PR_SET_PDEATHSIG).
func (f *Fleet) startAll() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for s := range f.starts {
		s.result <- s.cmd.Start()
	}
}

// Start starts a process and keeps it running.
func (f *Fleet) Start(p Process) error {
	m := &member{Process: p, gone: make(chan struct{})}
	cmd, err := f.launch(m)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.running = append(f.running, m)
	f.mu.Unlock()
	f.begun.Go(func() { f.keep(m, cmd) })
	return nil
}

// launch starts a process once.
func (f *Fleet) launch(m *member) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(f.Logs, m.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", m.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(m.Args[0], m.Args[1:]...)
	cmd.Env = append(os.Environ(), m.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()
	result := make(chan error, 1)
	select {
	case <-f.ending.Done():
		return nil, errors.New("start " + m.Name + ": the fleet is ending")
	case f.starts <- start{cmd, result}:
	}
	if err := <-result; err != nil {
		return nil, fmt.Errorf("start %s: %w", m.Name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.process = cmd.Process; m.stopped { // meanwhile
		m.process.Kill()
	}
	return cmd, nil
}

// keep waits for the end of a process and starts it again, until it is stopped.
func (f *Fleet) keep(m *member, cmd *exec.Cmd) {
	defer close(m.gone)
	for {
		err := cmd.Wait()
		f.mu.Lock()
		m.process = nil
		stopped := m.stopped
		f.mu.Unlock()
		if stopped {
			return
		}
		how := "exit status 0"
		if err != nil {
			how = err.Error()
		}
		if f.Restart == 0 {
			f.Tell(fmt.Sprintf("%s has ended: %s", m.Name, how))
			return
		}
		f.Tell(fmt.Sprintf("%s has ended: %s; it is started again in %v", m.Name, how, f.Restart))
		if cmd = f.again(m); cmd == nil {
			return
		}
	}
}

// again starts a process that has ended, after a while; nil when it is to stay so.
func (f *Fleet) again(m *member) *exec.Cmd {
	for {
		select {
		case <-f.ending.Done():
			return nil
		case <-time.After(f.Restart):
		}
		cmd, err := f.launch(m)
		if err == nil {
			f.Tell(fmt.Sprintf("%s is started again, process %d", m.Name, cmd.Process.Pid))
			return cmd
		}
		f.Tell(err.Error())
	}
}

// PID is the process id of a process; 0 = it does not run.
func (f *Fleet) PID(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.running {
		if m.Name == name && m.process != nil {
			return m.process.Pid
		}
	}
	return 0
}

// Stop ends every process, the last that was started first: by SIGTERM, and by
// SIGKILL those that are still there after grace. It returns when all are gone.
func (f *Fleet) Stop(grace time.Duration) {
	f.end()
	f.mu.Lock()
	all := f.running
	f.mu.Unlock()
	deadline := time.After(grace)
	for i := len(all) - 1; i >= 0; i-- {
		f.signal(all[i], syscall.SIGTERM)
	}
	for i := len(all) - 1; i >= 0; i-- {
		select {
		case <-all[i].gone:
			continue
		case <-deadline:
		}
		expired := make(chan time.Time)
		close(expired)
		deadline = expired // for all that are left
		f.signal(all[i], syscall.SIGKILL)
		<-all[i].gone
	}
	close(f.starts)
	f.begun.Wait()
}

// signal sends a signal to a process that runs, and has it stay away afterwards.
func (f *Fleet) signal(m *member, s syscall.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m.stopped = true
	if m.process != nil {
		_ = m.process.Signal(s) // it has ended, or it is ours
	}
}
