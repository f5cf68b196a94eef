package handedit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/diag"
)

const paperDir = "../../testdata/paper"

// The editor of the tests is this test binary: it replaces a string in the
// file, as a person would, and may do something else to the directory meanwhile.
const (
	editFrom = "PSS_TEST_EDIT_FROM"
	editTo   = "PSS_TEST_EDIT_TO"
	editDir  = "PSS_TEST_EDIT_DIR" // a program changes this directory meanwhile
)

func TestMain(m *testing.M) {
	if from, ok := os.LookupEnv(editFrom); ok {
		os.Exit(beEditor(os.Args[len(os.Args)-1], from, os.Getenv(editTo), os.Getenv(editDir)))
	}
	os.Exit(m.Run())
}

func beEditor(path, from, to, dir string) int {
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), from) {
		return 1
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o600); err != nil {
		return 1
	}
	if dir == "" {
		return 0
	}
	err = conffile.Open(dir, conffile.Options{}).Update(context.Background(), func(t *cluster.Tables) error {
		t.State[0].Condition = cluster.PS1
		return nil
	})
	if err != nil {
		return 1
	}
	return 0
}

func paper(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(paperDir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFile(t *testing.T) {
	tests := map[string]struct {
		file, from, to string
		spoil          string // a file that is faulty already
		meanwhile      bool
		fails          bool // the editor, after it has written
		changed        bool
		refused        string // begins the reason
		exit           int
	}{
		"good":            {file: conffile.State, from: "FTP   Moderate  172.21.14.201", to: "FTP Moderate 172.21.14.203", changed: true},
		"nothing changed": {file: conffile.State, from: "FTP", to: "FTP"},
		"faulty":          {file: conffile.State, from: "Moderate", to: "Heavy", refused: "state.conf:2: unknown condition", exit: 2},
		"contradicts a .dat": {file: conffile.Operation, from: "172.21.14.103", to: "172.21.14.109",
			refused: "F1.dat:1: VIP 172.21.14.103 contradicts operation.conf:5", exit: 2},
		"changed meanwhile":         {file: conffile.State, from: "FTP   Moderate  172.21.14.201", to: "FTP Moderate 172.21.14.203", meanwhile: true, refused: ErrChanged.Error(), exit: 1},
		"another changed meanwhile": {file: conffile.Real, from: "# Active", to: "# Awake", meanwhile: true, changed: true},
		"editor fails halfway":      {file: conffile.State, from: "Moderate", to: "Light(PS1)", fails: true, refused: "cannot run ", exit: 1},
		"repair":                    {file: conffile.State, spoil: conffile.State, from: "typo\n", changed: true},
		"repair of one of two":      {file: conffile.State, spoil: conffile.Real, from: "FTP   Moderate  172.21.14.201", to: "FTP Moderate 172.21.14.203", changed: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := paper(t)
			t.Setenv("TMPDIR", t.TempDir())
			if tt.spoil != "" {
				if err := os.WriteFile(filepath.Join(dir, tt.spoil), []byte("typo\n"+read(t, filepath.Join(dir, tt.spoil))), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv(editFrom, tt.from)
			t.Setenv(editTo, tt.to)
			if tt.meanwhile {
				t.Setenv(editDir, dir)
			}
			if tt.fails {
				t.Setenv(editDir, filepath.Join(dir, "none"))
			}
			before := read(t, filepath.Join(dir, tt.file))
			typed := strings.Replace(before, tt.from, tt.to, 1)
			changed, err := File(context.Background(), conffile.Open(dir, conffile.Options{}), tt.file, []string{os.Args[0]}, Terminal{})
			if changed != tt.changed {
				t.Errorf("changed %t, want %t", changed, tt.changed)
			}
			if tt.refused == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := read(t, filepath.Join(dir, tt.file)); got != typed {
					t.Errorf("the file says\n%s\nwant\n%s", got, typed)
				}
				left, err := os.ReadDir(os.TempDir())
				if err != nil || len(left) > 0 {
					t.Errorf("left behind: %v %v", left, err)
				}
				return
			}
			checkRefused(t, dir, err, tt.refused, tt.exit, typed)
		})
	}
}

func TestEditorThatDoesNotRun(t *testing.T) {
	dir := paper(t)
	t.Setenv("TMPDIR", t.TempDir())
	changed, err := File(context.Background(), conffile.Open(dir, conffile.Options{}), conffile.State, []string{dir + "/none"}, Terminal{})
	if r := new(Refused); changed || !errors.Is(err, os.ErrNotExist) || errors.As(err, &r) {
		t.Errorf("changed %t, %v; want a plain error", changed, err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func checkRefused(t *testing.T, dir string, err error, why string, exit int, typed string) {
	t.Helper()
	var r *Refused
	if !errors.As(err, &r) {
		t.Fatalf("%v, want a refusal", err)
	}
	if got := strings.ReplaceAll(err.Error(), dir+"/", ""); !strings.HasPrefix(got, why) {
		t.Errorf("%s, want %s", got, why)
	}
	if r.ExitCode() != exit {
		t.Errorf("exit %d, want %d", r.ExitCode(), exit)
	}
	if got := read(t, r.Kept); got != typed {
		t.Errorf("kept\n%s\nwant\n%s", got, typed)
	}
	if got := read(t, filepath.Join(dir, r.File)); got == typed && exit == 2 {
		t.Error("the typing was installed")
	}
}

// A repair of one file leaves the last good copies alone while another is faulty.
func TestRepairKeepsTheGoodCopies(t *testing.T) {
	dir := paper(t)
	conf := conffile.Open(dir, conffile.Options{})
	if err := conf.Renew(context.Background()); err != nil {
		t.Fatal(err)
	}
	good := read(t, filepath.Join(dir, conffile.Real))
	if err := os.WriteFile(filepath.Join(dir, conffile.Real), []byte("typo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(editFrom, "# group")
	t.Setenv(editTo, "# GROUP")
	if _, err := File(context.Background(), conf, conffile.State, []string{os.Args[0]}, Terminal{}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(dir, ".last", conffile.Real)); got != good {
		t.Errorf("the last good copy says %q", got)
	}
	var faults *diag.List
	if _, err := conf.View(context.Background()); !errors.As(err, &faults) {
		t.Errorf("%v, want the fault that is left", err)
	}
}

func TestName(t *testing.T) {
	for arg, want := range map[string]string{
		"operation": conffile.Operation, "state.conf": conffile.State, "/etc/pss-msbs/real-server.conf": conffile.Real,
		"M1.dat": "", "": "", "settings.toml": "",
	} {
		if got, err := Name(arg); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", arg, got, err, want)
		}
	}
}

func TestEditor(t *testing.T) {
	if got := strings.Join(Editor(" vim  -u NONE; rm "), "|"); got != "vim|-u|NONE;|rm" {
		t.Error(got)
	}
	if got := Editor(" "); len(got) != 1 || got[0] != "vi" {
		t.Error(got)
	}
}
