package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Mutation is one deliberate defect: a file NAME.toml of the directory of defects.
type Mutation struct {
	Name   string `toml:"-"`
	Defect string `toml:"defect"` // what is wrong, in one line
	Catcher
	Edits []Edit `toml:"edit"`
}

// Catcher is the test that sees a defect.
type Catcher struct {
	Package string `toml:"package"` // from the root of the module: "pkg/scenario"
	Test    string `toml:"test"`    // as for go test -run
	Seeds   int    `toml:"seeds"`   // of a campaign: the test's flag -seeds
}

// Edit replaces a text, which must stand exactly once in the file.
type Edit struct {
	File string `toml:"file"` // from the root of the module
	Old  string `toml:"old"`
	New  string `toml:"new"`
}

// ReadDir reads the defects of a directory, in the order of their names.
func ReadDir(dir string) ([]Mutation, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.toml"))
	if err != nil {
		return nil, err
	}
	out := make([]Mutation, len(files))
	for i, file := range files {
		if out[i], err = read(file); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func read(file string) (Mutation, error) {
	m := Mutation{Name: strings.TrimSuffix(filepath.Base(file), ".toml")}
	b, err := os.ReadFile(file)
	if err != nil {
		return m, fmt.Errorf("cannot read a defect: %w", err)
	}
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&m); err != nil {
		return m, fmt.Errorf("cannot read %s: %v", file, err)
	}
	if m.Defect == "" || m.Package == "" || m.Test == "" || len(m.Edits) == 0 {
		return m, fmt.Errorf("cannot read %s: want defect, package, test and at least one [[edit]]", file)
	}
	return m, nil
}

// Apply returns the changed files, by their paths from root. A text that is not
// there any more, or more than once, is an error: the defect is stale.
func (m Mutation) Apply(root string) (map[string]string, error) {
	out := map[string]string{}
	for _, e := range m.Edits {
		text, ok := out[e.File]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return nil, fmt.Errorf("cannot make %s: %w", m.Name, err)
			}
			text = string(b)
		}
		if n := strings.Count(text, e.Old); n != 1 || e.Old == e.New {
			return nil, fmt.Errorf("cannot make %s: its text stands %d times in %s, want once:\n%s", m.Name, n, e.File, e.Old)
		}
		out[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	return out, nil
}

// overlay writes the changed files below dir and returns the file that tells
// the go command of them (go help build, -overlay).
func (m Mutation) overlay(root, dir string) (string, error) {
	changed, err := m.Apply(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, text := range changed {
		copied := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = copied
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, b, 0o600)
}
