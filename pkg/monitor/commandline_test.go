package monitor_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/daemon"
)

const paper = "../../testdata/paper"

// bin holds dbss and dsrs.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "monitor-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	bin = dir
	out, err := exec.Command("go", "build", "-race", "-tags", "libvirt_dlopen", "-o", bin, "../../cmd/dbss", "../../cmd/dsrs").CombinedOutput()
	if err != nil {
		panic(string(out))
	}
	return m.Run()
}

// dirs are directories of a test, with short paths for the sockets.
func dirs(t *testing.T) daemon.Dirs {
	t.Helper()
	root, err := os.MkdirTemp("", "monitor-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	d := daemon.Dirs{Conf: paper, Run: filepath.Join(root, "run"), State: filepath.Join(root, "state"), Log: filepath.Join(root, "log")}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

// program runs dbss or dsrs to its end.
func program(t *testing.T, d daemon.Dirs, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), append(d.Args(), args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestCommandLine(t *testing.T) {
	for _, p := range []struct{ name, target, data, faulty string }{
		{"dbss", "M1", "Mail\ndovecot postfix\nMb\n", "172.21.14.101\nM1\n172.21.14.300\nMail\npostfix\n\n\n172.21.14.201\n"},
		{"dsrs", "RS1", "172.21.14.201\nRS1\n00:00:00:00:00:01\nM1 W1\n", "172.21.14.201\nRS1\nno-mac\nM1 W1\n"},
	} {
		d := dirs(t)
		bad := filepath.Join(t.TempDir(), p.target+".dat")
		if err := os.WriteFile(bad, []byte(p.faulty), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			args           []string
			code           int
			stdout, stderr string
		}{
			"help":            {[]string{"--help"}, 0, "Usage: " + p.name, ""},
			"check":           {[]string{"--check", paper + "/" + p.target + ".dat"}, 0, p.data, ""},
			"check, by name":  {[]string{"--check", p.target + ".dat"}, 0, p.data, ""},
			"check, faulty":   {[]string{"--check", bad}, 2, "", bad + ":3: "},
			"faulty":          {[]string{bad}, 2, "", bad + ":3: "},
			"no data":         {nil, 2, "", p.name + ": cannot start: want the management data"},
			"unknown flag":    {[]string{"--frobnicate"}, 2, "", p.name + ": cannot read the command line: unknown flag"},
			"stop, none runs": {[]string{"--stop", p.target}, 1, "", p.name + ": cannot stop " + p.name + "-" + p.target + ": it is not running"},
		} {
			t.Run(p.name+", "+name, func(t *testing.T) {
				code, stdout, stderr := program(t, d, p.name, c.args...)
				if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
					t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, c.code, stdout, stderr)
				}
				if (stderr == "") != (c.stderr == "") {
					t.Errorf("stderr: %q", stderr)
				}
			})
		}
	}
}

// A second monitor of one server is refused, naming the first one's pid.
func TestSecondMonitorIsRefused(t *testing.T) {
	for name, target := range map[string]string{"dbss": "M1", "dsrs": "RS1"} {
		d := dirs(t)
		lock, err := daemon.In(d).Lock(target)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		code, _, stderr := program(t, d, name, target+".dat")
		if code != 1 || !strings.Contains(stderr, "already monitored by pid "+strconv.Itoa(os.Getpid())) {
			t.Errorf("%s: exit %d: %s", name, code, stderr)
		}
	}
}
