package settings

import (
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// index notes the line of every table and key of a file, so that a value that
// is out of range is named like one that does not parse.
func (r *reader) index(b []byte) {
	p := unstable.Parser{}
	p.Reset(b)
	table := ""
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = r.note(&p, e, "")
		case unstable.KeyValue:
			r.keyValue(&p, e, table)
		}
	}
}

func (r *reader) keyValue(p *unstable.Parser, kv *unstable.Node, table string) {
	path := r.note(p, kv, table)
	value := kv.Value()
	r.kinds[path] = value.Kind
	if value.Kind != unstable.InlineTable {
		return
	}
	for it := value.Children(); it.Next(); {
		if it.Node().Kind == unstable.KeyValue {
			r.keyValue(p, it.Node(), path)
		}
	}
}

// note remembers where the key of n stands, and its parents if they are new.
func (r *reader) note(p *unstable.Parser, n *unstable.Node, table string) string {
	path := table
	for it := n.Key(); it.Next(); {
		if path != "" {
			path += "."
		}
		path += string(it.Node().Data)
		if _, ok := r.lines[path]; !ok {
			r.lines[path] = p.Shape(it.Node().Raw).Start.Line
		}
	}
	return path
}

// line is where a path stands, or the nearest table above it.
func (r *reader) line(path string) int {
	for {
		if n, ok := r.lines[path]; ok {
			return n
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return 1
		}
		path = path[:i]
	}
}

// Line is where the first of the keys stands in a settings.toml, or its table; 1 where none does.
func Line(b []byte, paths ...string) int {
	r := &reader{lines: map[string]int{}, kinds: map[string]unstable.Kind{}}
	r.index(b)
	for _, p := range paths {
		if n, ok := r.lines[p]; ok {
			return n
		}
	}
	return r.line(paths[0])
}
