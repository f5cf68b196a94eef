package mgmtdata

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/diag"
)

// MaxSize bounds a .dat file, in bytes.
const MaxSize = 64 << 10

// The numbers of lines of Table 2, and the lines that name things elsewhere.
const (
	ServerLines = 8
	RealLines   = 4

	LineVIP      = 1
	LineHost     = 2
	LineIP       = 3
	LineGroup    = 4
	LineDaemons  = 5
	LineBackup   = 6
	LineBackupIP = 7
	LineReal     = 8

	LineRealIP   = 1
	LineRealHost = 2
	LineRealMAC  = 3
	LineServers  = 4
)

// ReadServer reads the eight lines of a DBSS's data. What is wrong with them
// is a *diag.List.
func ReadServer(path string) (Server, error) {
	b, err := read(path)
	if err != nil {
		return Server{}, err
	}
	return ParseServer(path, b)
}

// ReadReal reads the four lines of a DSRS's data. What is wrong with them is a
// *diag.List.
func ReadReal(path string) (Real, error) {
	b, err := read(path)
	if err != nil {
		return Real{}, err
	}
	return ParseReal(path, b)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read management data: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read management data: %v", err)
	}
	return b, nil
}

// ParseServer reads eight lines; file names them in faults.
func ParseServer(file string, b []byte) (Server, error) {
	p, ok := lines(file, b, ServerLines, "virtual server")
	if !ok {
		return Server{}, p.faults.Err()
	}
	s := Server{
		VIP:      p.addr(LineVIP, "VIP", true),
		Host:     p.name(LineHost, "host", false),
		IP:       p.addr(LineIP, "IP address", false),
		Group:    p.name(LineGroup, "service group", false),
		Daemons:  p.daemons(),
		Backup:   p.name(LineBackup, "backup host", true),
		BackupIP: p.addr(LineBackupIP, "backup IP address", true),
		Real:     p.addr(LineReal, "real server IP address", true),
	}
	p.both(LineVIP, LineReal, "VIP", "real server")
	p.both(LineBackup, LineBackupIP, "backup host", "backup IP address")
	if s.Backup != "" && s.Backup == s.Host {
		p.faults.Add(file, LineBackup, "%s is its own backup", s.Host)
	}
	if s.BackupIP.IsValid() && s.BackupIP == s.IP {
		p.faults.Add(file, LineBackupIP, "%s is the server's own address", s.IP)
	}
	if s.VIP.IsValid() && (s.VIP == s.IP || s.VIP == s.BackupIP) {
		p.faults.Add(file, LineVIP, "%s is a VIP and a server's own address", s.VIP)
	}
	if err := p.faults.Err(); err != nil {
		return Server{}, err
	}
	return s, nil
}

// ParseReal reads four lines; file names them in faults.
func ParseReal(file string, b []byte) (Real, error) {
	p, ok := lines(file, b, RealLines, "real server")
	if !ok {
		return Real{}, p.faults.Err()
	}
	r := Real{IP: p.addr(LineRealIP, "IP address", false), Host: p.name(LineRealHost, "host", false)}
	mac, err := cluster.ParseMAC(p.line(LineRealMAC))
	if err != nil {
		p.faults.Add(file, LineRealMAC, "%v", err)
	}
	r.MAC = mac
	r.Servers = p.servers()
	if err := p.faults.Err(); err != nil {
		return Real{}, err
	}
	return r, nil
}

type parser struct {
	file   string
	text   []string
	faults diag.List
}

// lines splits b into exactly n lines.
func lines(file string, b []byte, n int, of string) (*parser, bool) {
	p := &parser{file: file}
	if len(b) > MaxSize {
		p.faults.Add(file, 1, "too large: more than %d bytes", MaxSize)
		return p, false
	}
	p.text = split(b)
	if len(p.text) == n+1 && p.text[n] == "" { // a newline after the last line
		p.text = p.text[:n]
	}
	if len(p.text) != n {
		have := strings.Count(strings.TrimSuffix(string(b), "\n"), "\n") + 1
		if len(b) == 0 {
			have = 0
		}
		p.faults.Add(file, min(have, n)+1, "want %d lines for a %s, have %d", n, of, have)
		return p, false
	}
	return p, true
}

// split cuts b at each newline: a last line that is blank and one newline
// after a last line look the same, and the caller knows how many lines it wants.
func split(b []byte) []string {
	text := strings.Split(string(b), "\n")
	for i, l := range text {
		text[i] = strings.Trim(strings.TrimSuffix(l, "\r"), " \t")
	}
	return text
}

func (p *parser) line(n int) string { return p.text[n-1] }

// want reports whether line n has something to parse; a blank one is a fault
// unless it may be blank.
func (p *parser) want(n int, what string, optional bool) bool {
	if p.line(n) == "" && !optional {
		p.faults.Add(p.file, n, "%s missing", what)
	}
	return p.line(n) != ""
}

func (p *parser) addr(n int, what string, optional bool) netip.Addr {
	if !p.want(n, what, optional) {
		return netip.Addr{}
	}
	a, err := cluster.ParseAddr(p.line(n))
	if err != nil {
		p.faults.Add(p.file, n, "%s: %v", what, err)
	}
	return a
}

func (p *parser) name(n int, what string, optional bool) string {
	if !p.want(n, what, optional) {
		return ""
	}
	if err := cluster.CheckName(p.line(n)); err != nil {
		p.faults.Add(p.file, n, "%s: %v", what, err)
	}
	return p.line(n)
}

func (p *parser) names(n int) []string {
	return strings.FieldsFunc(p.line(n), func(r rune) bool { return r == ' ' || r == '\t' })
}

func (p *parser) daemons() []string {
	p.want(LineDaemons, "daemon", false)
	names := p.names(LineDaemons)
	for _, name := range names {
		if err := cluster.CheckDaemon(name); err != nil {
			p.faults.Add(p.file, LineDaemons, "%v", err)
		}
	}
	return names
}

// servers may be none: a real server may host nothing yet.
func (p *parser) servers() []string {
	names, seen := p.names(LineServers), map[string]bool{}
	for _, name := range names {
		if err := cluster.CheckName(name); err != nil {
			p.faults.Add(p.file, LineServers, "virtual server: %v", err)
		}
		if seen[name] {
			p.faults.Add(p.file, LineServers, "virtual server %s stands twice", name)
		}
		seen[name] = true
	}
	return names
}

// both demands that lines a and b are both blank or neither.
func (p *parser) both(a, b int, whatA, whatB string) {
	switch {
	case p.line(a) == "" && p.line(b) != "":
		p.faults.Add(p.file, a, "%s missing, but line %d has a %s: both or neither", whatA, b, whatB)
	case p.line(a) != "" && p.line(b) == "":
		p.faults.Add(p.file, b, "%s missing, but line %d has a %s: both or neither", whatB, a, whatA)
	}
}

// Dir is every .dat file of a directory, keyed by path.
type Dir struct {
	Servers map[string]Server
	Reals   map[string]Real
}

// ReadDir reads every .dat file of dir. What it read is whole where err is nil
// or a *diag.List (then the faulty files are left out).
func ReadDir(dir string) (Dir, error) {
	d := Dir{Servers: map[string]Server{}, Reals: map[string]Real{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return d, fmt.Errorf("cannot read management data: %w", err)
	}
	var faults diag.List
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".dat") && !strings.HasPrefix(e.Name(), ".") {
			faults = append(faults, d.add(filepath.Join(dir, e.Name()))...)
		}
	}
	return d, faults.Err()
}
