package main

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

var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dsrs-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	bin = filepath.Join(dir, "dsrs")
	out, err := exec.Command("go", "build", "-race", "-tags", "libvirt_dlopen", "-o", bin, ".").CombinedOutput()
	if err != nil {
		panic(string(out))
	}
	return m.Run()
}

// dirs are run, state and log directories of a test, with short paths for the
// sockets.
func dirs(t *testing.T) daemon.Dirs {
	t.Helper()
	root, err := os.MkdirTemp("", "dsrs-")
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

// program runs dsrs to its end.
func program(t *testing.T, d daemon.Dirs, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, append(d.Args(), args...)...)
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
	d := dirs(t)
	bad := filepath.Join(t.TempDir(), "RS1.dat")
	if err := os.WriteFile(bad, []byte("172.21.14.201\nRS1\nno-mac\nM1 W1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"help":            {[]string{"--help"}, 0, "Usage: dsrs", ""},
		"check, by name":  {[]string{"--check", "--conf", paper, "RS1.dat"}, 0, "M1 W1\n", ""},
		"check":           {[]string{"--check", paper + "/RS1.dat"}, 0, "172.21.14.201\nRS1\n00:00:00:00:00:01\nM1 W1\n", ""},
		"check, faulty":   {[]string{"--check", bad}, 2, "", bad + ":3: "},
		"faulty":          {[]string{bad}, 2, "", bad + ":3: "},
		"no data":         {nil, 2, "", "dsrs: cannot start"},
		"unknown flag":    {[]string{"--frobnicate"}, 2, "", "dsrs: cannot read the command line: unknown flag"},
		"stop, none runs": {[]string{"--stop", "RS1"}, 1, "", "dsrs: cannot stop dsrs-RS1: it is not running"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := program(t, d, c.args...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, c.code, stdout, stderr)
			}
			if (stderr == "") != (c.stderr == "") {
				t.Errorf("stderr: %q", stderr)
			}
		})
	}
}

// A second monitor of one real server is refused, naming the first one's pid.
func TestSecondMonitorIsRefused(t *testing.T) {
	d := dirs(t)
	lock, err := daemon.In(d).Lock("RS1")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	code, _, stderr := program(t, d, paper+"/RS1.dat")
	if code != 1 || !strings.Contains(stderr, "already monitored by pid "+strconv.Itoa(os.Getpid())) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
