package conffile

import (
	"slices"
	"strings"

	"pss-msbs/pkg/cluster"
)

// noRow stands in a file that would be of no byte: such a file looks half written.
const noRow = "# no row"

// row is one row ready to be written.
type row struct {
	key    string
	fields []string
}

func rowsOf(t cluster.Tables, name string) []row {
	var out []row
	switch name {
	case Operation:
		out = serverRows(t.Operation)
	case AccessStop:
		out = serverRows(t.AccessStop)
	case Separation:
		out = serverRows(t.Separation)
	case Spare:
		for _, r := range t.Spares {
			out = append(out, row{r.Host, []string{r.Group, absent, absent, r.Host, r.IP.String()}})
		}
	case Real:
		out = realRows(t.Real)
	case Suspended:
		out = realRows(t.Suspended)
	case State:
		for _, r := range t.State {
			f := []string{r.Group, string(r.Condition)}
			for _, b := range r.Bases {
				f = append(f, b.String())
			}
			out = append(out, row{r.Group, f})
		}
	}
	return out
}

func serverRows(rows cluster.Rows) []row {
	var out []row
	for _, r := range rows {
		out = append(out, row{serverKey(r), []string{r.Group, r.Real.String(), r.VIP.String(), r.Host, r.IP.String()}})
	}
	return out
}

func realRows(rows cluster.RealRows) []row {
	var out []row
	for _, r := range rows {
		out = append(out, row{r.IP.String(), []string{r.IP.String(), r.MAC.String()}})
	}
	return out
}

// Format writes the named files for t: comments and blank lines of s stay
// where they are, rows keep their place as far as the order of t allows, new
// rows come last, columns are aligned. What is written behind a row goes with
// it, also into another file; where the row is gone it stays as a line.
func (s *Snapshot) Format(t cluster.Tables, names ...string) map[string][]byte {
	notes := s.notes(t)
	out := map[string][]byte{}
	for _, name := range names {
		out[name] = s.formatFile(name, rowsOf(t, name), notes)
	}
	return out
}

// notes are the comments behind the rows of t, by file and key: the row's own,
// or the one it had in the file that it left.
func (s *Snapshot) notes(t cluster.Tables) map[string]string {
	notes, left := map[string]string{}, map[string]string{}
	for _, name := range Names() {
		rows := rowsOf(t, name)
		for _, l := range s.docs[name].lines {
			if l.key == "" || l.comment == "" {
				continue
			}
			if hasKey(rows, l.key) {
				notes[name+" "+l.key] = l.comment
			} else {
				left[family(name)+" "+l.key] = l.comment
			}
		}
	}
	for _, name := range Names() {
		for _, r := range rowsOf(t, name) {
			if c := left[family(name)+" "+r.key]; c != "" && !s.has(name, r.key) {
				notes[name+" "+r.key] = c
				notes[moved(name, r.key)] = c
			}
		}
	}
	return notes
}

// family is the files between which a row of one key may move.
func family(name string) string {
	switch name {
	case AccessStop, Separation:
		return Operation
	case Suspended:
		return Real
	}
	return name
}

func moved(name, key string) string { return "moved " + family(name) + " " + key }

func hasKey(rows []row, key string) bool {
	return slices.ContainsFunc(rows, func(r row) bool { return r.key == key })
}

// has reports whether the file had a row of that key.
func (s *Snapshot) has(name, key string) bool {
	return slices.ContainsFunc(s.docs[name].lines, func(l line) bool { return l.key == key })
}

func (s *Snapshot) formatFile(name string, rows []row, notes map[string]string) []byte {
	var b strings.Builder
	width := widths(rows)
	next := 0
	emitTo := func(end int) {
		for ; next < end; next++ {
			writeRow(&b, rows[next], width, notes[name+" "+rows[next].key])
		}
	}
	for _, l := range s.docs[name].lines {
		switch i := slices.IndexFunc(rows, func(r row) bool { return r.key == l.key }); {
		case l.key == "" && l.comment == noRow && len(rows) > 0: // our own, true no more
		case l.key == "":
			b.WriteString(l.comment + "\n")
		case i >= 0:
			emitTo(i + 1)
		case l.comment != "" && notes[moved(name, l.key)] == "":
			b.WriteString(l.comment + "\n")
		}
	}
	emitTo(len(rows))
	if b.Len() == 0 {
		b.WriteString(noRow + "\n")
	}
	return []byte(b.String())
}

func widths(rows []row) []int {
	var w []int
	for _, r := range rows {
		for i, f := range r.fields {
			if i == len(w) {
				w = append(w, 0)
			}
			w[i] = max(w[i], len(f))
		}
	}
	return w
}

func writeRow(b *strings.Builder, r row, width []int, note string) {
	for i, f := range r.fields {
		if i > 0 {
			b.WriteString("  ")
		}
		b.WriteString(f)
		if i < len(r.fields)-1 || note != "" {
			b.WriteString(strings.Repeat(" ", width[i]-len(f)))
		}
	}
	if note != "" {
		b.WriteString("  " + note)
	}
	b.WriteString("\n")
}
