package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Command is a program of ours to start.
type Command struct {
	Program string // dbss, sif: found beside this executable, else on PATH
	Name    string // the instance, for the file that keeps its stderr
	Args    []string
	Dirs    Dirs
	Env     []string // besides this process's own environment

	Lock     Lock // a MonitorLock, handed on as --lock-fd
	Life     bool // --life-fd: the child ends when this process does
	Detached bool // a session of its own: the child outlives this process
}

// Process is a started program that has said that it is ready.
type Process struct {
	PID  int
	done chan struct{}
	err  error    // of Wait, valid once done is closed
	life *os.File // closed: the child ends
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is nil if the process ended with exit code 0; call it after Done.
func (p *Process) Err() error { return p.err }

// Signal sends a signal; an ended process is no error.
func (p *Process) Signal(sig os.Signal) error {
	err := syscall.Kill(p.PID, sig.(syscall.Signal))
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// Sibling is the path of another of our programs: beside this executable, else
// on PATH.
func Sibling(program string) (string, error) {
	if self, err := os.Executable(); err == nil {
		path := filepath.Join(filepath.Dir(self), program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("cannot find %s: %v", program, err)
	}
	return path, nil
}

// Start starts a program with --ready-fd and waits until it writes its line
// there. If it ends first, or ctx ends first (it is killed then), the error
// carries what it said on stderr. Its stderr is appended to PROGRAM-NAME.stderr
// in the run directory, so that neither side depends on the other's life and
// what a program died of is kept.
func Start(ctx context.Context, c Command) (*Process, error) {
	before := c.stderrSize()
	cmd, pipes, err := c.build()
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %v", c.Program, err)
	}
	defer pipes.closeChildEnds()
	if err := cmd.Start(); err != nil {
		pipes.closeOurEnds()
		return nil, fmt.Errorf("cannot start %s: %v", c.Program, err)
	}
	pipes.closeChildEnds()
	p := &Process{PID: cmd.Process.Pid, done: make(chan struct{}), life: pipes.life}
	go p.reap(cmd)
	if err := p.awaitReady(ctx, pipes.ready); err != nil {
		return nil, fmt.Errorf("cannot start %s: %v%s", instance(c.Program, c.Name), err, c.lastWords(before))
	}
	return p, nil
}

// reap waits for the child; its owner waits on Done.
func (p *Process) reap(cmd *exec.Cmd) {
	p.err = cmd.Wait()
	if p.life != nil {
		p.life.Close()
	}
	close(p.done)
}

// awaitReady reads one line from ready; a child that will not be ready in time is killed.
func (p *Process) awaitReady(ctx context.Context, ready *os.File) error {
	defer ready.Close()
	defer context.AfterFunc(ctx, func() { ready.Close() })()
	_, err := bufio.NewReader(io.LimitReader(ready, 256)).ReadString('\n')
	if err == nil {
		return nil
	}
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
	if ctx.Err() != nil {
		return fmt.Errorf("it was not ready in time: %w", ctx.Err())
	}
	if p.err == nil {
		return errors.New("it ended before it was ready")
	}
	return fmt.Errorf("it ended before it was ready: %v", p.err)
}

// childPipes are the ends of the pipes between this process and a child.
type childPipes struct {
	ready *os.File // read end
	life  *os.File // write end, nil without Life
	child []*os.File
}

func (p *childPipes) closeChildEnds() {
	for _, f := range p.child {
		f.Close()
	}
	p.child = nil
}

func (p *childPipes) closeOurEnds() {
	p.ready.Close()
	if p.life != nil {
		p.life.Close()
	}
}

// build makes the command with its descriptors: 3 is ready, then life, then lock.
func (c Command) build() (*exec.Cmd, *childPipes, error) {
	path, err := Sibling(c.Program)
	if err != nil {
		return nil, nil, err
	}
	stderr, err := os.OpenFile(c.stderrFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	args := append(c.Dirs.Args(), c.Args...)
	pipes := &childPipes{child: []*os.File{stderr}}
	cmd := exec.Command(path)
	cmd.Stderr = stderr
	cmd.Env = append(append(os.Environ(), QuietEnv+"=1"), c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: c.Detached}
	if !c.Detached {
		cmd.SysProcAttr.Setpgid = true // a Ctrl-C in a terminal is for its master, which ends it
	}
	hand := func(flag string, f *os.File) {
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		args = append(args, flag, strconv.Itoa(2+len(cmd.ExtraFiles)))
	}
	if err := pipes.open(c.Life, hand); err != nil {
		pipes.closeChildEnds()
		return nil, nil, err
	}
	if lock, ok := c.Lock.(*MonitorLock); ok {
		hand("--lock-fd", lock.File())
	}
	cmd.Args = append(cmd.Args, args...)
	return cmd, pipes, nil
}

func (p *childPipes) open(life bool, hand func(string, *os.File)) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	p.ready, p.child = r, append(p.child, w)
	hand("--ready-fd", w)
	if !life {
		return nil
	}
	r, w, err = os.Pipe()
	if err != nil {
		p.ready.Close()
		return err
	}
	p.life, p.child = w, append(p.child, r)
	hand("--life-fd", r)
	return nil
}

func (c Command) stderrFile() string {
	return filepath.Join(c.Dirs.Run, instance(c.Program, c.Name)+".stderr")
}

func (c Command) stderrSize() int64 {
	info, err := os.Stat(c.stderrFile())
	if err != nil {
		return 0
	}
	return info.Size()
}

// lastWords is the end of what the child said on stderr, which begins at the
// offset from, as a part of an error.
func (c Command) lastWords(from int64) string {
	const most = 2000
	f, err := os.Open(c.stderrFile())
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.NewSectionReader(f, max(from, c.stderrSize()-most), most))
	if s := strings.TrimSpace(string(b)); s != "" {
		return ": " + s
	}
	return ""
}

// Ready writes the line that tells the starter that this process does its
// work; fd is the value of --ready-fd, 0 where nobody waits.
func Ready(fd int) error {
	if fd == 0 {
		return nil
	}
	f := os.NewFile(uintptr(fd), "ready")
	if f == nil {
		return fmt.Errorf("cannot report readiness: bad descriptor %d", fd)
	}
	defer f.Close()
	if _, err := f.WriteString("ready\n"); err != nil {
		return fmt.Errorf("cannot report readiness: %v", err)
	}
	return nil
}

// WithLife returns a context that ends when the master at the other end of the
// pipe fd dies; fd is the value of --life-fd, 0 for no master.
func WithLife(ctx context.Context, fd int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if fd == 0 {
		return ctx, cancel
	}
	f := os.NewFile(uintptr(fd), "life")
	go func() { // ends with the pipe, or with the process
		defer cancel()
		_, _ = io.Copy(io.Discard, f)
	}()
	return ctx, cancel
}
