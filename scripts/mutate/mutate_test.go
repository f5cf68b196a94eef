package main

import (
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module  = "../.."
	defects = "../../testdata/mutations"
)

// Every defect can be made in today's source, and its catcher exists. This is
// no proof that it is caught: make mutations is.
func TestDefects(t *testing.T) {
	all, err := ReadDir(defects)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Errorf("only %d defects", len(all))
	}
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			changed, err := m.Apply(module)
			if err != nil {
				t.Fatal(err)
			}
			for file, text := range changed {
				if _, err := parser.ParseFile(token.NewFileSet(), file, text, 0); err != nil {
					t.Error(err)
				}
			}
			catcherExists(t, m.Catcher)
		})
	}
}

// catcherExists looks for the scenarios and test functions that a catcher names.
func catcherExists(t *testing.T, c Catcher) {
	t.Helper()
	top, sub, _ := strings.Cut(c.Test, "/")
	if top == "TestScenarios" {
		for name := range strings.SplitSeq(strings.Trim(sub, "^()$"), "|") {
			if _, err := os.Stat(filepath.Join(module, "testdata/scenarios", name, "cmds")); err != nil {
				t.Errorf("no scenario %q", name)
			}
		}
		return
	}
	match := regexp.MustCompile(top)
	files, err := filepath.Glob(filepath.Join(module, c.Package, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(b, -1) {
			if match.Match(f[1]) {
				return
			}
		}
	}
	t.Errorf("%s has no test %s", c.Package, c.Test)
}

// toy is a module with one function, its test, and the given defects.
func toy(t *testing.T, mutations map[string]string) options {
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":            "module toy\n\ngo 1.26\n",
		"sum/sum.go":        "package sum\n\nfunc Sum(a, b int) int { return a + b }\n\nfunc Unused() int { return 1 }\n",
		"sum/sum_test.go":   "package sum\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tt.Run(\"small\", func(t *testing.T) {\n\t\tif Sum(1, 2) != 3 {\n\t\t\tt.Error(1)\n\t\t}\n\t})\n}\n\nfunc TestBroken(t *testing.T) { t.Error(1) }\n",
		"defects/README.md": "not a defect\n",
	}
	for name, edit := range mutations {
		files["defects/"+name+".toml"] = "defect = \"" + name + "\"\npackage = \"sum\"\n" + edit
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return options{root: dir, dir: filepath.Join(dir, "defects"), limit: 1e12}
}

// edit is the rest of a defect of the toy.
func edit(test, old, new string) string {
	return "test = \"" + test + "\"\n[[edit]]\nfile = \"sum/sum.go\"\nold = \"" + old + "\"\nnew = \"" + new + "\"\n"
}

// What is caught, what survives, and what is no verdict.
func TestProve(t *testing.T) {
	o := toy(t, map[string]string{
		"a-caught":       edit("TestSum", "a + b", "a - b"),
		"b-survives":     edit("TestSum", "return 1", "return 2"),
		"c-no-compile":   edit("TestSum", "a + b", "a + c"),
		"d-stale":        edit("TestSum", "a * b", "a - b"),
		"e-twice":        edit("TestSum", "int", "uint"),
		"f-no-test":      edit("TestNothing", "a + b", "a - b"),
		"g-fails-always": edit("TestBroken", "a + b", "a - b"),
		"h-panics":       edit("TestSum", "return a + b", "panic(a)"),
		"i-hangs":        edit("TestSum", "return a + b", "for { }"),
	})
	o.limit = 5e9
	var out strings.Builder
	survivors, err := prove(t.Context(), o, &out)
	if survivors != 1 || err == nil {
		t.Errorf("%d survive, %v", survivors, err)
	}
	for _, want := range []string{"a-caught: TestSum/small", "b-survives: SURVIVES", "c-no-compile: ERROR", "d-stale: ERROR", "e-twice: ERROR",
		"f-no-test: ERROR", "g-fails-always: ERROR", "h-panics: TestSum/small", "i-hangs: ", "9 defects, 3 caught, 1 survive, 5 could not be judged"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not said:\n%s", want, out.String())
		}
	}
	for _, want := range []string{"undefined: c", "stands 0 times in sum/sum.go", "stands 3 times", "has no test TestNothing", "fails without a defect"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error: %v", want, err)
		}
	}
}

func TestReadDirIsStrict(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key": edit("TestSum", "a", "b") + "colour = \"red\"\n",
		"no test":     "[[edit]]\nfile = \"sum/sum.go\"\nold = \"a\"\nnew = \"b\"\n",
		"no edit":     "test = \"TestSum\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			if all, err := ReadDir(toy(t, map[string]string{"x": text}).dir); err == nil {
				t.Errorf("read: %+v", all)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	for output, want := range map[string][]string{
		"--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/b (0.00s)\n        --- FAIL: TestA/b/c (0.00s)\nFAIL\n": {"TestA/b/c"},
		"panic: test timed out after 1s\n\tTestA (1s)\n":                                                      {"hangs"},
		"panic: oh\n":   {"panics"},
		"exit status 2": nil,
	} {
		if got := failures(output); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
}

// An overlay holds the changed copies, several edits of one file together.
func TestOverlay(t *testing.T) {
	o := toy(t, nil)
	m := Mutation{Name: "two", Edits: []Edit{{"sum/sum.go", "a + b", "a - b"}, {"sum/sum.go", "return 1", "return 2"}}}
	changed, err := m.Apply(o.root)
	if err != nil || !slices.Equal(slices.Collect(maps.Keys(changed)), []string{"sum/sum.go"}) {
		t.Fatalf("%v, %v", changed, err)
	}
	if text := changed["sum/sum.go"]; !strings.Contains(text, "a - b") || !strings.Contains(text, "return 2") {
		t.Errorf("%s", text)
	}
	before, err := os.ReadFile(filepath.Join(o.root, "sum/sum.go"))
	if err != nil || !strings.Contains(string(before), "a + b") {
		t.Errorf("the tree was touched: %s, %v", before, err)
	}
}
