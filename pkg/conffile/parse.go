package conffile

import (
	"net/netip"
	"path/filepath"
	"strings"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/diag"
)

// MaxSize bounds one file, in bytes.
const MaxSize = 1 << 20

const absent = "-"

// line is one line of a file: a row with what follows it, or a comment or blank line.
type line struct {
	key     string // of the row; "" for none
	comment string // from # on; of a row or alone
}

// doc is one parsed file: its lines, and where its rows stand.
type doc struct {
	lines []line
	rows  []int // line numbers of the rows, from 1
}

// Snapshot is one consistent look at the seven files.
type Snapshot struct {
	Tables cluster.Tables
	dir    string
	docs   map[string]*doc
	clean  map[string]bool // files without a fault of their own
}

// Line is where the i-th row of a file stands, from 1.
func (s *Snapshot) Line(file string, i int) int { return s.docs[file].rows[i] }

// File is the path of one of the seven files, as faults name it.
func (s *Snapshot) File(file string) string { return filepath.Join(s.dir, file) }

// Parse reads the seven files from their contents; dir names them in faults.
// A file not in contents is missing. The snapshot holds every row that could
// be read, also where there are faults.
func Parse(dir string, contents map[string][]byte) (*Snapshot, Faults) {
	s := &Snapshot{dir: dir, docs: map[string]*doc{}, clean: map[string]bool{}}
	var faults Faults
	for _, name := range Names() {
		d, own := s.parseFile(name, contents)
		s.docs[name], s.clean[name] = d, len(own) == 0
		faults = append(faults, own...)
	}
	faults = append(faults, s.emptied(contents)...)
	faults = append(faults, s.cross()...)
	return s, faults.Sorted()
}

func (s *Snapshot) parseFile(name string, contents map[string][]byte) (*doc, Faults) {
	p := &parser{path: s.File(name), doc: &doc{}, seen: map[string]int{}}
	b, ok := contents[name]
	switch {
	case !ok:
		p.faults.Add(p.path, 1, "missing")
	case len(b) > MaxSize:
		p.faults.Add(p.path, 1, "too large: more than %d bytes", MaxSize)
	default:
		p.file(b, s.rowParser(name))
	}
	return p.doc, p.faults
}

// rowParser is how a row of the named file is read into the tables.
func (s *Snapshot) rowParser(name string) func(*parser, []string) {
	t := &s.Tables
	switch name {
	case Operation:
		return serverRow(&t.Operation)
	case AccessStop:
		return serverRow(&t.AccessStop)
	case Separation:
		return serverRow(&t.Separation)
	case Spare:
		return spareRow(&t.Spares)
	case Real:
		return realRow(&t.Real)
	case Suspended:
		return realRow(&t.Suspended)
	}
	return stateRow(&t.State)
}

type parser struct {
	path   string
	doc    *doc
	n      int // the line, from 1
	bad    bool
	seen   map[string]int // key of a row to its line
	faults diag.List
}

func (p *parser) file(b []byte, row func(*parser, []string)) {
	text := strings.TrimSuffix(string(b), "\n")
	if text == "" && len(b) == 0 {
		return
	}
	for l := range strings.SplitSeq(text, "\n") {
		p.n, p.bad = p.n+1, false
		fields, comment := cut(l)
		p.doc.lines = append(p.doc.lines, line{comment: comment})
		if len(fields) > 0 {
			row(p, fields)
		}
	}
}

// cut splits a line at blanks; a field that begins with # begins the comment.
func cut(l string) (fields []string, comment string) {
	l = strings.TrimRight(l, " \t\r")
	for i := 0; i < len(l); {
		switch {
		case blank(l[i]):
			i++
		case l[i] == '#':
			return fields, l[i:]
		default:
			end := i
			for end < len(l) && !blank(l[end]) {
				end++
			}
			fields = append(fields, l[i:end])
			i = end
		}
	}
	return fields, ""
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

func (p *parser) fault(format string, args ...any) {
	p.bad = true
	p.faults.Add(p.path, p.n, format, args...)
}

// want checks the number of fields; atLeast allows more.
func (p *parser) want(fields []string, n int, atLeast bool, names string) bool {
	switch {
	case atLeast && len(fields) < n:
		p.fault("want at least %d fields (%s), have %d", n, names, len(fields))
	case !atLeast && len(fields) != n:
		p.fault("want %d fields (%s), have %d", n, names, len(fields))
	}
	return !p.bad
}

func (p *parser) addr(s, what string) netip.Addr {
	if s == absent {
		p.fault("%s missing", what)
		return netip.Addr{}
	}
	a, err := cluster.ParseAddr(s)
	if err != nil {
		p.fault("%s: %v", what, err)
	}
	return a
}

func (p *parser) name(s, what string) string {
	if err := cluster.CheckName(s); err != nil {
		p.fault("%s: %v", what, err)
	}
	return s
}

// keep reports whether the row is sound and its key is new to the file.
func (p *parser) keep(key, what string) bool {
	if p.bad {
		return false
	}
	if first, ok := p.seen[key]; ok {
		p.fault("%s stands already in line %d", what, first)
		return false
	}
	p.seen[key] = p.n
	p.doc.lines[p.n-1].key = key
	p.doc.rows = append(p.doc.rows, p.n)
	return true
}

func serverRow(rows *cluster.Rows) func(*parser, []string) {
	return func(p *parser, f []string) {
		if !p.want(f, 5, false, "group, real server, VIP, host, IP address") {
			return
		}
		r := cluster.ServerRow{
			Group: p.name(f[0], "group"), Real: p.addr(f[1], "real server"), VIP: p.addr(f[2], "VIP"),
			Host: p.name(f[3], "host"), IP: p.addr(f[4], "IP address"),
		}
		if !p.bad && r.VIP == r.IP {
			p.fault("%s is the VIP and the server's own address", r.IP)
		}
		if p.keep(serverKey(r), r.Host+" with VIP "+r.VIP.String()) {
			*rows = append(*rows, r)
		}
	}
}

func spareRow(rows *[]cluster.SpareRow) func(*parser, []string) {
	return func(p *parser, f []string) {
		if !p.want(f, 5, false, "group, -, -, host, IP address") {
			return
		}
		if f[1] != absent || f[2] != absent {
			p.fault("a spare has no real server and no VIP of its own: fields 2 and 3 must be -")
		}
		r := cluster.SpareRow{Group: p.name(f[0], "group"), Host: p.name(f[3], "host"), IP: p.addr(f[4], "IP address")}
		if p.keep(r.Host, "spare "+r.Host) {
			*rows = append(*rows, r)
		}
	}
}

func realRow(rows *cluster.RealRows) func(*parser, []string) {
	return func(p *parser, f []string) {
		if !p.want(f, 2, false, "IP address, MAC address") {
			return
		}
		r := cluster.RealRow{IP: p.addr(f[0], "IP address")}
		mac, err := cluster.ParseMAC(f[1])
		if err != nil {
			p.fault("%v", err)
		}
		r.MAC = mac
		if p.keep(r.IP.String(), "real server "+r.IP.String()) {
			*rows = append(*rows, r)
		}
	}
}

func stateRow(rows *[]cluster.StateRow) func(*parser, []string) {
	return func(p *parser, f []string) {
		if !p.want(f, 3, true, "group, condition, base servers") {
			return
		}
		r := cluster.StateRow{Group: p.name(f[0], "group"), Condition: cluster.Condition(f[1])}
		switch r.Condition {
		case cluster.Moderate, cluster.PS1, cluster.PS2:
		default:
			p.fault("unknown condition %q: want %s, %s or %s", f[1], cluster.Moderate, cluster.PS1, cluster.PS2)
		}
		for _, s := range f[2:] {
			base := p.addr(s, "base server")
			for _, b := range r.Bases {
				if b == base && !p.bad {
					p.fault("base server %s stands twice", base)
				}
			}
			r.Bases = append(r.Bases, base)
		}
		if p.keep(r.Group, "group "+r.Group) {
			*rows = append(*rows, r)
		}
	}
}

func serverKey(r cluster.ServerRow) string { return r.VIP.String() + " " + r.Host }

// Clean reports whether none of the named files has a fault of its own: only
// then is a row that is not there really missing.
func (s *Snapshot) Clean(files ...string) bool {
	for _, f := range files {
		if !s.clean[f] {
			return false
		}
	}
	return true
}
