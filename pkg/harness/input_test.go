package harness

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// TestBadInput runs the real programs on faulty files: `FILE:LINE: message`,
// exit 2, and nothing is written.
func TestBadInput(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		edit func(string) string
		cmd  []string // {conf} is replaced
		line string   // what standard error or output begins a line with
	}{
		"dat of 7 lines":       {"M1.dat", func(s string) string { return strings.Join(strings.Split(s, "\n")[:7], "\n") }, []string{"dbss", "{conf}/M1.dat"}, "{conf}/M1.dat:8: "},
		"dat of 9 lines":       {"M1.dat", func(s string) string { return strings.TrimRight(s, "\n") + "\nmore\n" }, []string{"dbss", "{conf}/M1.dat"}, "{conf}/M1.dat:9: "},
		"daemon for the shell": {"M1.dat", func(s string) string { return strings.Replace(s, "dovecot postfix", "x; reboot", 1) }, []string{"dbss", "{conf}/M1.dat"}, "{conf}/M1.dat:5: "},
		"checked daemon":       {"M1.dat", func(s string) string { return strings.Replace(s, "dovecot postfix", "x; reboot", 1) }, []string{"dbss", "--check", "{conf}/M1.dat"}, "{conf}/M1.dat:5: "},
		"host name":            {"RS1.dat", func(s string) string { return strings.Replace(s, "M1 W1", "M1 $(reboot)", 1) }, []string{"dsrs", "{conf}/RS1.dat"}, "{conf}/RS1.dat:4: "},
		"VIP twice":            {"operation.conf", func(s string) string { return strings.Replace(s, "172.21.14.104", "172.21.14.101", 1) }, []string{"pss", "run"}, "{conf}/operation.conf:"},
		"row with 4 fields":    {"operation.conf", func(s string) string { return s + "Mail 172.21.14.201 172.21.14.107 M9\n" }, []string{"pss", "check"}, "{conf}/operation.conf:"},
		"unknown setting":      {"settings.toml", func(s string) string { return s + "\nspeeed = 1\n" }, []string{"dsrs", "{conf}/RS1.dat"}, "{conf}/settings.toml:"},
		"missing file":         {"state.conf", nil, []string{"pss", "run"}, "{conf}/state.conf:"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			conf := filepath.Join(dir, "conf")
			if err := os.CopyFS(conf, os.DirFS("../../testdata/paper")); err != nil {
				t.Fatal(err)
			}
			spoil(t, filepath.Join(conf, c.file), c.edit)
			before := contents(t, conf)
			args := []string{"--conf", conf, "--run", filepath.Join(dir, "run"), "--state", filepath.Join(dir, "state"), "--log", filepath.Join(dir, "log")}
			for _, a := range c.cmd[1:] {
				args = append(args, strings.ReplaceAll(a, "{conf}", conf))
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, filepath.Join(bin, c.cmd[0]), args...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("ended with %v, want exit 2\n%s", err, out)
			}
			want := strings.ReplaceAll(c.line, "{conf}", conf)
			if !strings.HasPrefix(string(out), want) && !strings.Contains(string(out), "\n"+want) {
				t.Errorf("printed\n%swant a line that begins with %q", out, want)
			}
			if after := contents(t, conf); after != before {
				t.Errorf("the configuration has changed:\n%s", after)
			}
		})
	}
}

func spoil(t *testing.T, file string, edit func(string) string) {
	t.Helper()
	if edit == nil {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if edit(string(b)) == string(b) {
		t.Fatalf("%s is not spoilt", file)
	}
	if err := os.WriteFile(file, []byte(edit(string(b))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// contents is every file of dir with its name, the lock left out.
func contents(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, e := range entries {
		if e.IsDir() || e.Name() == ".lock" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(e.Name() + "\n" + string(b) + "\n")
	}
	return out.String()
}

// TestBrokenFileWhileRunning breaks a file under the running system: shifts
// stop with one alarm that names the line, a takeover does not stop and keeps
// the operator's typing aside; mended, shifts go on.
func TestBrokenFileWhileRunning(t *testing.T) {
	r := newRig(t)
	if err := r.Load(60, 5, groups...); err != nil {
		t.Fatal(err)
	}
	settle(t, r, cluster.Moderate)
	from := r.Now()
	state := filepath.Join(r.Sub("conf"), "state.conf")
	whole, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, whole[:len(whole)-20], 0o600); err != nil { // half-written
		t.Fatal(err)
	}
	if err := r.Load(15, 5, groups...); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AwaitLine(context.Background(), "pss", "state.conf:", from, time.Minute); err != nil {
		t.Error(err)
	}
	awaitCycles(t, r, from, 8)
	if l, ok := r.When("pss", "shift start", from); ok {
		t.Errorf("a shift began with a broken file: %s", l.Text)
	}
	inject(t, r, sim.VMShutdown, "M1")
	if _, err := r.AwaitLine(context.Background(), "dbss-M1", "server function recovered", from, time.Minute); err != nil {
		t.Error(err)
	}
	kept, err := filepath.Glob(state + ".rejected-*")
	if err != nil || len(kept) != 1 {
		t.Errorf("want the operator's typing kept in one file, have %q, %v", kept, err)
	}
	settle(t, r, cluster.PS1) // the takeover wrote the last good copy
	if err := os.Remove(filepath.Join(r.Sub("conf"), "spare-server.conf")); err != nil {
		t.Fatal(err)
	}
	inject(t, r, sim.VMCrash, "M1")
	settle(t, r, cluster.PS1)
	sound(t, r, from)
}

// awaitCycles waits for n cycles of pss, which looks every 10 s.
func awaitCycles(t *testing.T, r *Rig, from time.Time, n int) {
	t.Helper()
	err := r.Await(context.Background(), "cycles of pss", time.Hour, func() string {
		if r.Now().Sub(from) < time.Duration(n)*10*time.Second {
			return "too early"
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
}
