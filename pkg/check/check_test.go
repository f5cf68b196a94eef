package check

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/diag"
)

var update = flag.Bool("update", false, "rewrite the want files of testdata/invalid")

const testdata = "../../testdata/"

// paper copies the paper's directory.
func paper(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(testdata+"paper")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func run(t *testing.T, dir string) Report {
	t.Helper()
	rep, err := Dir(context.Background(), conffile.Open(dir, conffile.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// lines are the faults, their directory taken off.
func lines(l diag.List, dir string) string {
	var out []string
	for _, f := range l {
		out = append(out, strings.ReplaceAll(f.String(), dir+"/", ""))
	}
	return strings.Join(out, "\n")
}

func TestPaperIsValid(t *testing.T) {
	dir := paper(t)
	rep := run(t, dir)
	if len(rep.Faults) > 0 {
		t.Errorf("faults:\n%s", lines(rep.Faults, dir))
	}
	// The defaults of SPEC 3 are the paper's thresholds, and PS2 doubles 30 %.
	want := "settings.toml:24: warning: [class]: 2 x light (30) >= moderate (50): PS2 doubles the load of the servers left, and the group may go back at once"
	if got := lines(rep.Warnings, dir); got != want {
		t.Errorf("warnings:\n%s\nwant\n%s", got, want)
	}
}

// Each directory of testdata/invalid holds what differs from the paper's files
// and the faults to be found; NAME.missing takes NAME away.
func TestInvalid(t *testing.T) {
	rules, err := os.ReadDir(testdata + "invalid")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		t.Run(rule.Name(), func(t *testing.T) {
			dir, from := paper(t), filepath.Join(testdata, "invalid", rule.Name())
			files, err := os.ReadDir(from)
			if err != nil {
				t.Fatal(err)
			}
			var want string
			for _, f := range files {
				b, err := os.ReadFile(filepath.Join(from, f.Name()))
				if err != nil {
					t.Fatal(err)
				}
				switch to := filepath.Join(dir, f.Name()); {
				case f.Name() == "want":
					want = strings.TrimSpace(string(b))
					continue
				case strings.HasSuffix(f.Name(), ".missing"):
					err = os.Remove(strings.TrimSuffix(to, ".missing"))
				default:
					err = os.WriteFile(to, b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if want == "" {
				t.Fatal("no file named want")
			}
			got := lines(run(t, dir).Faults, dir)
			if *update {
				if err := os.WriteFile(filepath.Join(from, "want"), []byte(got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if rep := run(t, dir); len(rep.Faults) != len(conffile.Names()) {
		t.Errorf("faults:\n%s\nwant the seven files missing", lines(rep.Faults, dir))
	}
}
