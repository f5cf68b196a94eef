package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/diag"
)

// File is the name of the settings in the configuration directory.
const File = "settings.toml"

// wrongType is how the TOML library puts it, in the words of Go.
var wrongType = regexp.MustCompile(`cannot decode (TOML \w+) into .* of type (\S+)`)

// MaxSize bounds settings.toml, in bytes.
const MaxSize = 1 << 20

// UnmarshalText reads a duration as "10s".
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("bad duration %q: want a number with a unit, as \"10s\"", b)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes a duration as "10s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.D().String()), nil }

// String is as "10s".
func (d Duration) String() string { return d.D().String() }

// Read reads settings.toml at path; where there is none it is Default. What is
// wrong in the file is a *diag.List.
func Read(path string) (Settings, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Default(), nil
	}
	if err != nil {
		return Settings{}, fmt.Errorf("cannot read settings: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return Settings{}, fmt.Errorf("cannot read settings: %v", err)
	}
	return Parse(path, b)
}

// Parse reads settings; file names them in faults.
func Parse(file string, b []byte) (Settings, error) {
	r := &reader{file: file, lines: map[string]int{}, kinds: map[string]unstable.Kind{}}
	if len(b) > MaxSize {
		r.faults.Add(file, 1, "too large: more than %d bytes", MaxSize)
		return Settings{}, r.faults.Err()
	}
	s := r.read(b)
	if err := r.faults.Err(); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// document is settings.toml as TOML sees it: the tables whose keys are names
// are read one by one, each over its defaults.
type document struct {
	Settings
	Group  map[string]map[string]any `toml:"group"`
	Server map[string]any            `toml:"server"`
	Real   map[string]map[string]any `toml:"real"`
}

// reader collects the faults of one file.
type reader struct {
	file   string
	lines  map[string]int           // where a key stands, by its dotted path
	kinds  map[string]unstable.Kind // what its value is
	faults diag.List
}

func (r *reader) read(b []byte) Settings {
	doc := document{Settings: Default().WithProfile(profileOf(b))}
	r.index(b)
	r.durations()
	if len(r.faults) > 0 || !r.decode(b, &doc, "") {
		return Settings{}
	}
	s := doc.Settings
	r.server(&s, doc.Server)
	for _, name := range slices.Sorted(maps.Keys(doc.Group)) {
		r.group(&s, name, doc.Group[name])
	}
	for _, ip := range slices.Sorted(maps.Keys(doc.Real)) {
		r.real(&s, ip, doc.Real[ip])
	}
	r.check(s)
	return s
}

// profileOf looks for the profile alone: its timings lie under the other keys.
func profileOf(b []byte) Profile {
	var doc struct {
		Profile Profile `toml:"profile"`
	}
	if toml.Unmarshal(b, &doc) != nil || doc.Profile != Paper {
		return Fast
	}
	return Paper
}

// decode is a strict decode; at is the path of the table that b holds, "" for
// the whole file. It reports whether into can be used.
func (r *reader) decode(b []byte, into any, at string) bool {
	d := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	err := d.Decode(into)
	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case err == nil:
		return true
	case errors.As(err, &unknown):
		for _, e := range unknown.Errors {
			r.faults.Add(r.file, r.lineOf(&e, at), "unknown key %s", dotted(at, e.Key()))
		}
		return true
	case errors.As(err, &bad):
		text := wrongType.ReplaceAllString(strings.TrimPrefix(bad.Error(), "toml: "), "want $2, have $1")
		if key := dotted(at, bad.Key()); key != "" {
			text = key + ": " + text
		}
		r.faults.Add(r.file, r.lineOf(bad, at), "%s", text)
	default:
		r.faults.Add(r.file, r.line(at), "%v", err)
	}
	return false
}

func (r *reader) lineOf(e *toml.DecodeError, at string) int {
	if at == "" {
		line, _ := e.Position()
		return max(1, line)
	}
	return r.line(dotted(at, e.Key()))
}

func dotted(at string, key toml.Key) string {
	path := strings.Join(key, ".")
	if at != "" && path != "" {
		return at + "." + path
	}
	return at + path
}

// overlay decodes a table over what into holds already.
func (r *reader) overlay(table map[string]any, into any, at string) bool {
	b, err := toml.Marshal(table)
	if err != nil {
		r.faults.Add(r.file, r.line(at), "%s: %v", at, err)
		return false
	}
	return r.decode(b, into, at)
}

// server reads [server] and the [server.NAME] tables in it.
func (r *reader) server(s *Settings, table map[string]any) {
	own, named := map[string]any{}, map[string]map[string]any{}
	for key, v := range table {
		if sub, ok := v.(map[string]any); ok {
			named[key] = sub
		} else {
			own[key] = v
		}
	}
	r.overlay(own, &s.Server, "server")
	for _, name := range slices.Sorted(maps.Keys(named)) {
		at := "server." + name
		r.name(name, at)
		v := s.Server
		if r.overlay(named[name], &v, at) {
			s.Servers[name] = v
		}
	}
}

// group reads [group.NAME]: the type, and keys of [class] over those of [class].
func (r *reader) group(s *Settings, name string, table map[string]any) {
	at := "group." + name
	r.name(name, at)
	g := struct {
		Type cluster.Type `toml:"type"`
		Class
	}{cluster.CPUNet, s.Class}
	if r.overlay(table, &g, at) {
		s.Group[name] = Group{Type: g.Type, Class: g.Class}
	}
}

func (r *reader) real(s *Settings, key string, table map[string]any) {
	at := "real." + key
	ip, err := cluster.ParseAddr(key)
	if err != nil {
		r.faults.Add(r.file, r.line(at), "%s: %v", at, err)
		return
	}
	if _, ok := s.Reals[ip]; ok {
		r.faults.Add(r.file, r.line(at), "%s stands twice", at)
	}
	p := s.Power
	if r.overlay(table, &p, at) {
		s.Reals[ip] = p
	}
}

func (r *reader) name(name, at string) {
	if err := cluster.CheckName(name); err != nil {
		r.faults.Add(r.file, r.line(at), "%s: %v", at, err)
	}
}
