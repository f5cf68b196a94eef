package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

var (
	servers = []string{"M1", "W1", "F1", "M2", "W2", "F2"}
	reals   = []string{"RS1", "RS2", "RS3"}
	groups  = []string{"Mail", "Web", "FTP"}
)

// bin holds the real executables, built once with the race detector.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pss-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	for _, p := range []string{"pss", "dbss", "dsrs", "sif"} {
		out, err := exec.Command("go", "build", "-race", "-tags", "libvirt_dlopen", "-o", filepath.Join(dir, p), "../../cmd/"+p).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "cannot build %s: %v\n%s", p, err, out)
			return 1
		}
	}
	return m.Run()
}

// speed is how fast the fleet of the process tests runs: slow enough for
// binaries with the race detector on two busy cores.
const speed = 10

func newRig(t *testing.T) *Rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "pss-rig-") // short: it holds sockets
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(dir, bin, "../../testdata/paper", map[string]string{"speed": fmt.Sprint(speed), "ps2_accesses": "100", "look_ahead": "false"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if t.Failed() {
			t.Logf("files and logs: %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	r.LaunchAll(servers, reals)
	return r
}

// settle waits until nothing is under way, in the wanted condition.
func settle(t *testing.T, r *Rig, c cluster.Condition) {
	t.Helper()
	err := r.Await(context.Background(), "rest in "+string(c), 10*time.Minute, func() string {
		if why := r.InCondition(c); why != "" {
			return why
		}
		if why := r.Settled(servers, reals); why != "" {
			return why
		}
		return companions(r)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// companions says which monitor has no sif, or more than one.
func companions(r *Rig) string {
	all, err := r.Processes()
	if err != nil {
		return err.Error()
	}
	sifs := map[string]int{}
	for _, p := range all {
		if p.Program == "sif" {
			sifs[p.Target()]++
		}
	}
	for _, p := range all {
		if (p.Program == "dbss" || p.Program == "dsrs") && sifs[p.Target()] != 1 {
			return fmt.Sprintf("%s %s has %d sif", p.Program, p.Target(), sifs[p.Target()])
		}
	}
	return ""
}

// sound checks what must hold at every rest.
func sound(t *testing.T, r *Rig, since time.Time) {
	t.Helper()
	s, err := r.Status(since)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range s.Violations {
		t.Errorf("violation at %s: %s %s", v.At.Format("15:04:05.00"), v.Kind, v.What)
	}
	tab, err := r.Tables()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(tab.VIPs()); n != 6 || len(tab.Spares) != 3 || len(tab.Real)+len(tab.Suspended) != 3 || len(tab.State) != 3 {
		t.Errorf("rows are lost: %+v", tab)
	}
	for _, f := range r.Failures() {
		t.Error(f)
	}
}

// kill ends one process with -9, waiting for it to be there.
func kill(t *testing.T, r *Rig, prog, target string) {
	t.Helper()
	err := r.Await(context.Background(), prog+" "+target, time.Minute, func() string {
		p, ok := r.Find(prog, target)
		if !ok {
			return "does not run"
		}
		if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
			return err.Error()
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKillAnyProcess kills each of the four programs with -9 during a shift
// and during a recovery: the system converges, the fleet records no violation
// and no row is lost.
func TestKillAnyProcess(t *testing.T) {
	r := newRig(t)
	if err := r.Load(60, 5, groups...); err != nil {
		t.Fatal(err)
	}
	settle(t, r, cluster.Moderate)
	victims := []struct{ prog, target string }{
		{"pss", ""}, {"dbss", "W2"}, {"sif", "W2"}, {"dsrs", "RS3"}, {"sif", "RS3"},
	}
	for _, v := range victims {
		t.Run("shift/"+v.prog+v.target, func(t *testing.T) {
			from := r.Now()
			shiftWithKill(t, r, 15, cluster.PS1, v.prog, v.target)
			shiftWithKill(t, r, 60, cluster.Moderate, v.prog, v.target)
			sound(t, r, from)
		})
	}
	t.Run("shift/spare", func(t *testing.T) {
		from := r.Now()
		shiftWithKill(t, r, 15, cluster.PS1, "pss", "")
		kill(t, r, "dbss", "Ws")
		kill(t, r, "sif", "Fs")
		settle(t, r, cluster.PS1)
		shiftWithKill(t, r, 60, cluster.Moderate, "sif", "Ws")
		sound(t, r, from)
	})
	for _, v := range []struct{ prog, target string }{{"pss", ""}, {"dbss", "M1"}, {"sif", "M1"}, {"dsrs", "RS1"}, {"sif", "RS1"}} {
		t.Run("vm/"+v.prog+v.target, func(t *testing.T) {
			from := r.Now()
			inject(t, r, sim.VMShutdown, "M1")
			awaitSeparated(t, r, "M1")
			kill(t, r, v.prog, v.target)
			settle(t, r, cluster.Moderate)
			sound(t, r, from)
		})
	}
	for _, v := range []struct{ prog, target string }{{"pss", ""}, {"dbss", "M1"}, {"dsrs", "RS1"}, {"sif", "RS1"}} {
		t.Run("real/"+v.prog+v.target, func(t *testing.T) {
			from := r.Now()
			inject(t, r, sim.RealShutdown, "RS1")
			awaitSeparated(t, r, "M1")
			if p, ok := r.Find(v.prog, v.target); ok { // dbss may have handed over by now
				_ = syscall.Kill(p.PID, syscall.SIGKILL)
			}
			settle(t, r, cluster.Moderate)
			sound(t, r, from)
		})
	}
}

func inject(t *testing.T, r *Rig, kind, target string) {
	t.Helper()
	if err := r.Fault(kind, target); err != nil {
		t.Fatal(err)
	}
}

func awaitSeparated(t *testing.T, r *Rig, host string) {
	t.Helper()
	err := r.Await(context.Background(), "the separation of "+host, time.Minute, func() string {
		tab, err := r.Tables()
		if err != nil {
			return err.Error()
		}
		if !tab.Separation.Has(host) {
			return "not in separation"
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
}

// shiftWithKill changes the load, kills a process once the shift has begun,
// and waits for the end.
func shiftWithKill(t *testing.T, r *Rig, percent float64, to cluster.Condition, prog, target string) {
	t.Helper()
	from := r.Now()
	if err := r.Load(percent, 5, groups...); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AwaitLine(context.Background(), "pss", "shift start", from, 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	kill(t, r, prog, target)
	settle(t, r, to)
}
