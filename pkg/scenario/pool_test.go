package scenario

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// verdict is what a worker says about a seed, as one line of JSON on descriptor 3.
type verdict struct {
	Seed     uint64
	Seconds  float64 // virtual
	Failed   string
	Schedule string // shrunk, where it failed
	Log      string
}

// job is what a worker is told, as one line of JSON.
type job struct {
	Seed   uint64
	Shrink bool // if it fails
}

// work plays the seeds that come on standard input.
func work(t *testing.T) {
	lazy()
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.NewFile(3, "verdicts"))
	for {
		var j job
		if err := in.Decode(&j); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		done := impatient(j.Seed)
		c := play(t, j.Seed, nil)
		done()
		v := verdict{Seed: j.Seed, Seconds: c.took.Seconds(), Log: c.log}
		if c.err != nil {
			v.Failed = c.err.Error()
			v.Schedule = Text(c.script)
			if j.Shrink {
				v.Schedule = Text(shrink(t, j.Seed, c))
			}
		}
		if err := out.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
}

// A seed counts as hung that takes so much processor time, or so long while the
// worker waits for something that virtual time does not see.
const (
	patience     = 10 * time.Minute
	cpuPatience  = time.Minute
	patienceLook = time.Second
)

// impatient kills this process with the stacks of all goroutines once a seed
// has taken too much processor time.
func impatient(seed uint64) (done func()) {
	begun, quit := used(), make(chan struct{})
	go func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(patienceLook):
			}
			if used()-begun > cpuPatience {
				debug.SetTraceback("all")
				panic(fmt.Sprintf("seed %d takes more than %v of processor time", seed, cpuPatience))
			}
		}
	}()
	return func() { close(quit) }
}

// used is the processor time of this process.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano())
}

// process is one worker: a process of its own, so that the seeds do not share
// a scheduler and one that hangs or crashes takes no other with it.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

func startProcess() (*process, error) {
	p := &process{cmd: exec.Command(os.Args[0], "-test.run=^TestCampaign$", "-worker", "-test.timeout=0")}
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOTRACEBACK=all", "GODEBUG=adaptivestackstart=1")
	p.cmd.Stdout, p.cmd.Stderr = &p.stderr, &p.stderr
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	p.cmd.ExtraFiles = []*os.File{w}
	p.out = bufio.NewReader(r)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return p, p.cmd.Start()
}

// play has the worker play a seed.
func (p *process) play(j job) verdict {
	hung := time.AfterFunc(patience, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
	defer hung.Stop()
	_ = json.NewEncoder(p.in).Encode(j) // a dead worker answers nothing
	var v verdict
	line, err := p.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &v)
	}
	if err != nil {
		_ = p.cmd.Wait()
		text := p.stderr.Bytes()
		return verdict{Seed: j.Seed, Failed: "the worker died or hung", Log: string(text[:min(len(text), 20000)])}
	}
	return v
}

func (p *process) dead() bool { return p.cmd.ProcessState != nil }

func (p *process) close() {
	p.in.Close()
	if !p.dead() {
		_ = p.cmd.Wait()
	}
}

// pool plays seeds in several processes.
type pool struct {
	t     *testing.T
	begun time.Time

	mu      sync.Mutex
	next    uint64
	played  int
	virtual float64
	failed  []uint64
}

// shrunkMost bounds how many failing schedules are shrunk.
const shrunkMost = 3

// campaigns plays many seeds, telling how far it is.
func campaigns(t *testing.T) {
	n := *workers
	if n == 0 {
		n = runtime.NumCPU()
	}
	p := &pool{t: t, begun: time.Now(), next: uint64(*first)}
	var wg sync.WaitGroup
	for range min(n, *seeds) {
		wg.Go(p.run)
	}
	wg.Wait()
	fmt.Println(p.progress())
	if len(p.failed) > 0 {
		slices.Sort(p.failed)
		t.Errorf("%d of %d seeds failed: %v", len(p.failed), p.played, p.failed)
	}
}

// run feeds one worker after the other.
func (p *pool) run() {
	var w *process
	for {
		j, ok := p.job()
		if !ok {
			break
		}
		if w == nil || w.dead() {
			var err error
			if w, err = startProcess(); err != nil {
				p.t.Error(err)
				return
			}
		}
		p.done(w.play(j))
	}
	if w != nil {
		w.close()
	}
}

func (p *pool) job() (job, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next >= uint64(*first+*seeds) {
		return job{}, false
	}
	p.next++
	return job{Seed: p.next - 1, Shrink: len(p.failed) < shrunkMost}, true
}

func (p *pool) done(v verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.played++
	p.virtual += v.Seconds
	if v.Failed != "" {
		p.failed = append(p.failed, v.Seed)
		p.tell(v)
	}
	if p.played%100 == 0 {
		fmt.Println(p.progress())
	}
}

func (p *pool) progress() string {
	took := time.Since(p.begun)
	return fmt.Sprintf("campaign: %d of %d seeds, %d failed, %.1f seeds/s, %.0f s of virtual time each, %v so far",
		p.played, *seeds, len(p.failed), float64(p.played)/took.Seconds(), p.virtual/float64(max(1, p.played)), took.Round(time.Second))
}

// tell prints a failing seed, how to play it again, and the events that are enough.
func (p *pool) tell(v verdict) {
	dir := *logDir
	if dir == "" {
		dir = os.TempDir()
	}
	base := filepath.Join(dir, fmt.Sprintf("campaign-%d", v.Seed))
	for suffix, text := range map[string]string{".schedule": v.Schedule, ".log": v.Log} {
		if err := os.WriteFile(base+suffix, []byte(text), 0o644); err != nil {
			p.t.Error(err)
		}
	}
	fmt.Printf("seed %d failed: %s\n  again:  %s\n  shrunk: %s\n  log:    %s\n%s", v.Seed, v.Failed,
		again(v.Seed, ""), again(v.Seed, base+".schedule"), base+".log", v.Schedule)
}
