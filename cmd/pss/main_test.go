package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/lockedfile"
	"pss-msbs/pkg/pss/record"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt")

const paper = "../../testdata/paper"

var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pss-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	bin = filepath.Join(dir, "pss")
	out, err := exec.Command("go", "build", "-race", "-tags", "libvirt_dlopen", "-o", bin, ".").CombinedOutput()
	if err != nil {
		panic(string(out))
	}
	return m.Run()
}

// place is a copy of the paper's directory with run, state and log directories
// beside it, at a short path for the sockets.
func place(t *testing.T) daemon.Dirs {
	t.Helper()
	root, err := os.MkdirTemp("", "pss-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	in := func(name string) string { return filepath.Join(root, name) }
	d := daemon.Dirs{Conf: in("conf"), Run: in("run"), State: in("state"), Log: in("log")}
	if err := os.CopyFS(d.Conf, os.DirFS(paper)); err != nil {
		t.Fatal(err)
	}
	return d
}

// change edits one file of a directory; "" takes the file away.
func change(t *testing.T, d daemon.Dirs, file, old, new string) {
	t.Helper()
	path := filepath.Join(d.Conf, file)
	if old == "" {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), old) {
		t.Fatalf("no %q in %s, %v", old, file, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// program runs pss to its end: exit code, standard output and standard error,
// as a golden file has them.
func program(t *testing.T, d daemon.Dirs, env []string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, append(d.Args(), args...)...)
	cmd.Env = append(append(os.Environ(), "TMPDIR="+t.TempDir()), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	code := "exit " + string(rune('0'+cmd.ProcessState.ExitCode())) + "\n"
	all := code + "-- stdout\n" + out.String() + "-- stderr\n" + errs.String()
	return strings.ReplaceAll(all, filepath.Dir(d.Conf), "{dir}")
}

// TestGolden shows what each command prints, and where.
func TestGolden(t *testing.T) {
	trace, err := filepath.Abs("testdata/trace.csv")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edit func(t *testing.T, d daemon.Dirs)
		env  []string
		args []string
	}{
		"no-command":        {},
		"unknown-flag":      {args: []string{"plan", "--nope"}},
		"check":             {args: []string{"check"}},
		"check-faults":      {edit: faulty, args: []string{"check"}},
		"check-missing":     {edit: empty, args: []string{"check"}},
		"plan":              {args: []string{"plan", "--want", "Web=PS1,FTP=PS1"}},
		"plan-json":         {args: []string{"plan", "--json", "--want", "Web=PS1,FTP=Light(PS1),Mail=PS2"}},
		"plan-nothing":      {args: []string{"plan"}},
		"plan-nothing-json": {args: []string{"plan", "--json"}},
		"plan-refused":      {edit: lone, args: []string{"plan", "--want", "Mail=PS1"}},
		"plan-refused-json": {edit: lone, args: []string{"plan", "--want", "Mail=PS1", "--json"}},
		"plan-bare":         {edit: bare, args: []string{"plan", "--want", "Mail=PS2"}},
		"plan-no-group":     {args: []string{"plan", "--want", "Post=PS1"}},
		"plan-faults":       {edit: faulty, args: []string{"plan"}},
		"replay":            {args: []string{"replay", "--trace", trace}},
		"replay-json":       {args: []string{"replay", "--json", "--trace", trace}},
		"replay-no-trace":   {args: []string{"replay", "--trace", "/nowhere/t.csv"}},
		"status":            {args: []string{"status"}},
		"status-faults":     {edit: faulty, args: []string{"status"}},
		"status-missing":    {edit: empty, args: []string{"status"}},
		"stop":              {args: []string{"stop"}},
		"run-faults":        {edit: faulty, args: []string{"run"}},
		"edit-unchanged":    {env: []string{"EDITOR=true"}, args: []string{"edit", "operation"}},
		"edit-no-file":      {env: []string{"EDITOR=true"}, args: []string{"edit", "settings.toml"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := place(t)
			if c.edit != nil {
				c.edit(t, d)
			}
			golden(t, name, program(t, d, c.env, c.args...))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestHelp(t *testing.T) {
	got := program(t, place(t), nil, "--help")
	if !strings.HasPrefix(got, "exit 0\n-- stdout\nUsage: pss <command>") || !strings.HasSuffix(got, "-- stderr\n") {
		t.Error(got)
	}
}

// faulty has a fault in each kind of file.
func faulty(t *testing.T, d daemon.Dirs) {
	change(t, d, "operation.conf", "172.21.14.104", "172.21.14.101")
	change(t, d, "M1.dat", "dovecot postfix", "x; reboot")
	change(t, d, "settings.toml", "speed = 1", "speeed = 1")
	change(t, d, "state.conf", "", "")
}

// empty is a fresh machine: not even the directory is there.
func empty(t *testing.T, d daemon.Dirs) {
	if err := os.RemoveAll(d.Conf); err != nil {
		t.Fatal(err)
	}
}

// lone leaves Mail one base, so that its PS1 is not redundant.
func lone(t *testing.T, d daemon.Dirs) {
	b, err := os.ReadFile(filepath.Join(d.Conf, "state.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "Mail") {
			change(t, d, "state.conf", line, "Mail Moderate 172.21.14.201\n")
		}
	}
}

// bare leaves the seven files alone.
func bare(t *testing.T, d daemon.Dirs) {
	others, err := filepath.Glob(filepath.Join(d.Conf, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range others {
		if filepath.Ext(f) != ".conf" {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// An edit is installed when it is sound; a faulty one is refused with its line,
// the file stays, and the typing is kept.
func TestEdit(t *testing.T) {
	d := place(t)
	file := filepath.Join(d.Conf, "state.conf")
	got := program(t, d, []string{"EDITOR=sed -i s/Light(PS1)/Moderate/;s/Moderate/Light(PS1)/"}, "edit", "state.conf")
	now, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(got, "exit 0\n") || !strings.Contains(string(now), "Light(PS1)") {
		t.Errorf("%s%s%v", got, now, err)
	}
	got = program(t, d, []string{"EDITOR=sed -i s/Light(PS1)/Darkness/"}, "edit", "state.conf")
	after, err := os.ReadFile(file)
	if err != nil || string(after) != string(now) {
		t.Errorf("installed: %s%v", after, err)
	}
	if !strings.HasPrefix(got, "exit 2\n") || !strings.Contains(got, `{dir}/conf/state.conf:`) || !strings.Contains(got, "what you typed is kept in ") {
		t.Error(got)
	}
}

// Any fault keeps pss from starting; one that died goes on from the last good
// copies, for it may owe a failed server its help.
func TestUsable(t *testing.T) {
	for name, c := range map[string]struct {
		last *record.LastCycle
		good bool // last good copies are there
		want bool
	}{
		"first start":    {},
		"it was stopped": {last: &record.LastCycle{Ended: true}, good: true},
		"no copies":      {last: &record.LastCycle{}},
		"rebooted":       {good: true},
		"it died":        {last: &record.LastCycle{}, good: true, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := place(t)
			if err := d.Prepare(); err != nil {
				t.Fatal(err)
			}
			if c.last != nil {
				if err := record.Write(nil, record.LastCycleFile(d.Run), c.last); err != nil {
					t.Fatal(err)
				}
			}
			if c.good {
				if err := conffile.Open(d.Conf, conffile.Options{}).Renew(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(filepath.Join(d.Conf, lockedfile.LastDir)); (err == nil) != c.good {
				t.Fatalf("last good copies: %v", err)
			}
			if err := usable(t.Context(), d); err != nil {
				t.Errorf("sound files: %v", err)
			}
			change(t, d, "state.conf", "Moderate", "Darkness")
			if err := usable(t.Context(), d); (err == nil) != c.want {
				t.Errorf("faulty files: %v", err)
			}
		})
	}
}
