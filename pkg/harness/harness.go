// Package harness runs the whole system as its users do: the four real
// executables as separate processes on the emulated fleet, each kept alive by
// a launcher. The demo and the process tests are built on it; no product
// program imports it.
package harness

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/sim/remote"
)

// Rig is one running system in a directory of its own.
type Rig struct {
	Dir   string // holds conf, run, state, log
	Bin   string // holds pss, dbss, dsrs, sif
	Clock clock.Clock
	Fleet *remote.Client
	Conf  *conffile.Dir

	out      io.Writer // the programs' standard error
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	ctx      context.Context
	mu       sync.Mutex
	launched map[string]*launcher
	fleetCmd *exec.Cmd
}

// Sub is a directory of the rig: conf, run, state or log.
func (r *Rig) Sub(name string) string { return filepath.Join(r.Dir, name) }

func (r *Rig) dirFlags() []string {
	return []string{"--conf", r.Sub("conf"), "--run", r.Sub("run"), "--state", r.Sub("state"), "--log", r.Sub("log")}
}

// New lays out dir with a copy of the configuration in conf, the keys of set
// changed in its settings.toml, and starts the emulated fleet, with more flags
// for it in fleet. The caller must Close it.
func New(dir, bin, conf string, set map[string]string, fleet ...string) (*Rig, error) {
	r := &Rig{Dir: dir, Bin: bin, launched: map[string]*launcher{}}
	for _, d := range []string{"run", "state", "log"} {
		if err := os.MkdirAll(r.Sub(d), 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.CopyFS(r.Sub("conf"), os.DirFS(conf)); err != nil {
		return nil, fmt.Errorf("cannot copy %s: %v", conf, err)
	}
	file := filepath.Join(r.Sub("conf"), "settings.toml")
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(setKeys(string(b), set)), 0o600); err != nil {
		return nil, err
	}
	errs, err := os.Create(filepath.Join(r.Sub("log"), "stderr.log"))
	if err != nil {
		return nil, err
	}
	r.out = errs
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if err := r.startFleet(fleet); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// setKeys gives keys of a settings.toml other values, each where it stands.
func setKeys(text string, set map[string]string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		key, _, _ := strings.Cut(l, "=")
		key = strings.TrimSpace(strings.TrimPrefix(key, "# ")) // one that goes by the profile stands there as a comment
		if v, ok := set[key]; ok {
			lines[i] = key + " = " + v
		}
	}
	return strings.Join(lines, "\n")
}

// command is one of the rig's executables with the directories set.
func (r *Rig) command(prog string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(r.Bin, prog), append(args, r.dirFlags()...)...)
	cmd.Stdout, cmd.Stderr = r.out, r.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// startFleet starts `pss fleet serve` and waits for its readiness line.
func (r *Rig) startFleet(flags []string) error {
	ready, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := r.command("pss", append([]string{"fleet", "serve", "--ready-fd", "3"}, flags...)...)
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("cannot start the emulated fleet: %v", err)
	}
	r.fleetCmd = cmd
	if n, _ := ready.Read(make([]byte, 1)); n == 0 {
		return fmt.Errorf("cannot start the emulated fleet: see %s", filepath.Join(r.Sub("log"), "stderr.log"))
	}
	if r.Clock, err = clock.Load(r.Sub("run")); err != nil {
		return err
	}
	r.Conf = conffile.Open(r.Sub("conf"), conffile.Options{Clock: r.Clock, Holder: "harness"})
	r.Fleet, err = remote.Dial(filepath.Join(r.Sub("run"), "fleet.sock"), r.Clock)
	return err
}

// Launch starts a program under a launcher; name is what Kill and PID know it by.
func (r *Rig) Launch(name, prog string, args ...string) {
	l := &launcher{name: name, wait: r.Clock.Wall(time.Second), done: make(chan struct{}),
		cmd: func() *exec.Cmd { return r.command(prog, args...) }}
	r.mu.Lock()
	r.launched[name] = l
	r.mu.Unlock()
	r.wg.Go(func() { l.run(r.ctx) })
}

// LaunchAll starts a dbss for every home server, a dsrs for every real server
// and pss.
func (r *Rig) LaunchAll(servers, reals []string) {
	r.LaunchMonitors(servers, reals)
	r.Launch("pss", "pss", "run")
}

// LaunchMonitors starts a dbss for every server and a dsrs for every real server.
func (r *Rig) LaunchMonitors(servers, reals []string) {
	for _, s := range servers {
		r.Launch("dbss-"+s, "dbss", filepath.Join(r.Sub("conf"), s+".dat"))
	}
	for _, s := range reals {
		r.Launch("dsrs-"+s, "dsrs", filepath.Join(r.Sub("conf"), s+".dat"))
	}
}

// Processes are all processes of the rig but the emulated fleet.
func (r *Rig) Processes() ([]Process, error) {
	all, err := processes(r.Sub("run"))
	var out []Process
	for _, p := range all {
		if !p.Has("fleet") {
			out = append(out, p)
		}
	}
	return out, err
}

// Find returns the process of prog that watches target, if there is one.
func (r *Rig) Find(prog, target string) (Process, bool) {
	all, err := r.Processes()
	if err != nil {
		return Process{}, false
	}
	for _, p := range all {
		if p.Program == prog && (target == "" || p.Target() == target) {
			return p, true
		}
	}
	return Process{}, false
}

// Failures says which launchers gave up, and why.
func (r *Rig) Failures() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, l := range r.launched {
		l.mu.Lock()
		if l.err != nil {
			out = append(out, l.err.Error())
		}
		l.mu.Unlock()
	}
	return out
}

// Await polls ok until it says "" or the emulated time limit is over; what it
// said last is then the error.
func (r *Rig) Await(ctx context.Context, what string, limit time.Duration, ok func() string) error {
	ctx, cancel := r.Clock.Timeout(ctx, limit)
	defer cancel()
	last := ""
	for {
		if last = ok(); last == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not come about in %v: %s", what, limit, last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close ends every process of the rig, by pid: launched ones first by TERM,
// then whatever still works in the run directory, and the fleet last.
func (r *Rig) Close() {
	r.cancel()
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
	}
	r.killLeft()
	<-done
	if r.Fleet != nil {
		_ = r.Fleet.Close()
	}
	if r.fleetCmd != nil {
		_ = r.fleetCmd.Process.Signal(syscall.SIGTERM)
		_ = r.fleetCmd.Wait()
	}
	if c, ok := r.out.(io.Closer); ok {
		_ = c.Close()
	}
}

// killLeft ends what still works in the run directory, until several looks find
// nothing: a dying dbss may have begun to start another sif.
func (r *Rig) killLeft() {
	const looks = 5
	end := time.Now().Add(10 * time.Second)
	for quiet := 0; quiet < looks && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left, err := r.Processes()
		if err != nil {
			return
		}
		if quiet++; len(left) > 0 {
			quiet = 0
		}
		for _, p := range left {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
}

// Log is the system log of a program instance, one string a line.
func (r *Rig) Log(program, name string) []string {
	file := program + ".log"
	if name != "" {
		file = program + "-" + name + ".log"
	}
	b, err := os.ReadFile(filepath.Join(r.Sub("log"), file))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(string(b), "\n"), "\n")
}

// FleetPID is the process of the emulated fleet.
func (r *Rig) FleetPID() int { return r.fleetCmd.Process.Pid }
