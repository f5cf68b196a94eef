// Command imports checks the architecture: which package of the module may
// import which, and which package owns which library. The system interface
// (sif) exists so that dbss and dsrs stay simple (paper, section 3.3); the
// rule that they never import conffile is that thesis as a check.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const module = "pss-msbs/"

type pkg struct {
	ImportPath string
	Imports    []string
}

func main() {
	pkgs, err := list()
	if err != nil {
		fmt.Fprintln(os.Stderr, "imports: cannot list packages:", err)
		os.Exit(1)
	}
	faults := check(pkgs)
	for _, f := range faults {
		fmt.Fprintln(os.Stderr, f)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
	fmt.Printf("imports: %d packages keep the rules\n", len(pkgs))
}

// list asks the go command for every package of the module and its imports,
// test files left out.
func list() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-tags", "libvirt_dlopen", "-json=ImportPath,Imports", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var pkgs []pkg
	for dec := json.NewDecoder(out); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, p)
	}
	return pkgs, cmd.Wait()
}

// check returns one line for each import that breaks a rule.
func check(pkgs []pkg) []string {
	var faults []string
	for _, p := range pkgs {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Imports {
			if why := allowed(name, imp); why != "" {
				faults = append(faults, fmt.Sprintf("%s imports %s: %s", name, imp, why))
			}
		}
	}
	return faults
}

// allowed says why name may not import imp, or "".
func allowed(name, imp string) string {
	if own, ok := strings.CutPrefix(imp, module); ok {
		return allowedInside(name, own)
	}
	for lib, owners := range owners {
		if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !slices.ContainsFunc(owners, func(o string) bool { return within(name, o) }) {
			return fmt.Sprintf("only %s may", strings.Join(owners, ", "))
		}
	}
	return ""
}

func allowedInside(name, imp string) string {
	rule, ok := ruleFor(name)
	if !ok && strings.HasPrefix(name, "pkg/") {
		return "this package has no row in scripts/imports/rules.go"
	}
	if !ok {
		return allowedInCommand(name, imp)
	}
	if within(imp, rule.pkg) || slices.ContainsFunc(rule.may, func(m string) bool { return within(imp, m) }) {
		return ""
	}
	return "not in its row of scripts/imports/rules.go"
}

// allowedInCommand lets cmd and scripts wire everything but another program:
// the four programs never contain one another.
func allowedInCommand(name, imp string) string {
	for _, p := range programs {
		if strings.HasPrefix(name, "cmd/") && within(imp, "pkg/"+p) && !within(name, "cmd/"+p) {
			return "that is another program's package"
		}
	}
	return ""
}

// within reports whether name is package p or lies below it.
func within(name, p string) bool { return name == p || strings.HasPrefix(name, p+"/") }

// ruleFor finds the row of the longest matching package.
func ruleFor(name string) (rule, bool) {
	var best rule
	for _, r := range rules {
		if within(name, r.pkg) && len(r.pkg) > len(best.pkg) {
			best = r
		}
	}
	return best, best.pkg != ""
}
