package replay

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pss-msbs/pkg/diag"
	"pss-msbs/pkg/load"
)

// columns is the header line of a trace.
var columns = []string{"time", "host", "mem_kb", "cpu_percent", "net_kb_s", "accesses"}

// Row is what a trace says about one host in one cycle.
type Row struct {
	Reading  load.Reading
	Accesses float64 // the host's client accesses in the cycle
}

// Cycle is all rows of one time.
type Cycle struct {
	At   time.Time
	Time json.RawMessage // the time as the trace spells it: a number of seconds, or RFC 3339 in quotes
	Rows map[string]Row  // by host
}

// ReadTrace reads a CSV trace; name is what its faults call it. Rows of one time
// are one cycle wherever they stand; cycles come in order of time. What is wrong
// in the file is a *diag.List.
func ReadTrace(name string, r io.Reader) ([]Cycle, error) {
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1
	c.TrimLeadingSpace = true
	c.ReuseRecord = true
	t := trace{name: name, cycles: map[int64]*Cycle{}}
	for first := true; ; first = false {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.broken(err)
			break
		}
		line, _ := c.FieldPos(0)
		if !first || !t.header(record, line) {
			t.record(record, line)
		}
	}
	return t.finish()
}

// WriteTrace writes a trace that ReadTrace reads back.
func WriteTrace(w io.Writer, trace []Cycle) error {
	c := csv.NewWriter(w)
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	_ = c.Write(columns) // the first error stays until Flush
	for _, cycle := range trace {
		for _, host := range slices.Sorted(maps.Keys(cycle.Rows)) {
			r := cycle.Rows[host]
			_ = c.Write([]string{strings.Trim(string(cycle.Time), `"`), host, number(r.Reading.MemKB), number(r.Reading.CPUPercent),
				number(r.Reading.NetKBs), number(r.Accesses)})
		}
	}
	if c.Flush(); c.Error() != nil {
		return fmt.Errorf("cannot write the trace: %v", c.Error())
	}
	return nil
}

// trace is a trace in the reading.
type trace struct {
	name   string
	cycles map[int64]*Cycle // by time in nanoseconds
	faults diag.List
}

func (t *trace) fault(line int, format string, args ...any) {
	t.faults.Add(t.name, line, format, args...)
}

// broken reports what encoding/csv could not read, or what the disk did.
func (t *trace) broken(err error) {
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		t.fault(bad.Line, "%v", bad.Err)
		return
	}
	t.fault(1, "cannot read: %v", err)
}

// header reports whether a first record names columns; other columns than ours
// are a fault.
func (t *trace) header(record []string, line int) bool {
	if strings.TrimPrefix(record[0], "\ufeff") != columns[0] {
		return false
	}
	if !slices.Equal(record[1:], columns[1:]) {
		t.fault(line, "want the columns %s", strings.Join(columns, ","))
	}
	return true
}

// record files one row under its cycle.
func (t *trace) record(record []string, line int) {
	if len(record) != len(columns) {
		t.fault(line, "want %d fields, have %d", len(columns), len(record))
		return
	}
	at, spelled, err := parseTime(record[0])
	if err != nil {
		t.fault(line, "%v", err)
		return
	}
	host := strings.Clone(record[1])
	if host == "" {
		t.fault(line, "no host")
		return
	}
	var n [4]float64
	for i := range n {
		if n[i], err = parseNumber(record[2+i]); err != nil {
			t.fault(line, "%s: %v", columns[2+i], err)
			return
		}
	}
	c := t.cycles[at.UnixNano()]
	if c == nil {
		c = &Cycle{At: at, Time: spelled, Rows: map[string]Row{}}
		t.cycles[at.UnixNano()] = c
	}
	if _, twice := c.Rows[host]; twice {
		t.fault(line, "%s twice at %s", host, record[0])
		return
	}
	c.Rows[host] = Row{Reading: load.Reading{MemKB: n[0], CPUPercent: n[1], NetKBs: n[2]}, Accesses: n[3]}
}

// finish puts the cycles in order of time.
func (t *trace) finish() ([]Cycle, error) {
	if len(t.faults) == 0 && len(t.cycles) == 0 {
		t.fault(1, "no rows")
	}
	if err := t.faults.Err(); err != nil {
		return nil, err
	}
	out := make([]Cycle, 0, len(t.cycles))
	for _, c := range t.cycles {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Cycle) int { return a.At.Compare(b.At) })
	return out, nil
}

var (
	errTime   = errors.New("bad time: want RFC 3339 or seconds")
	errNumber = errors.New("want a number from 0 to 1e18")
)

// maxSeconds keeps times within what nanoseconds can count (the year 2262).
const maxSeconds = 9e9

// parseTime reads RFC 3339 or seconds, with how JSON spells the same.
func parseTime(s string) (time.Time, json.RawMessage, error) {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		if at.Unix() > maxSeconds || at.Unix() < -maxSeconds {
			return time.Time{}, nil, errTime
		}
		return at, json.RawMessage(strconv.Quote(s)), nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(math.Abs(v) <= maxSeconds) {
		return time.Time{}, nil, errTime
	}
	spelled := json.RawMessage(s)
	if !json.Valid(spelled) {
		spelled = json.RawMessage(strconv.FormatFloat(v, 'f', -1, 64))
	}
	d := time.Duration(math.Round(v * 1e9))
	if exact, err := time.ParseDuration(s + "s"); err == nil && strings.Trim(s, "+-.0123456789") == "" {
		d = exact
	}
	return time.Unix(0, int64(d)).UTC(), slices.Clone(spelled), nil
}

func parseNumber(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= 1e18) {
		return 0, errNumber
	}
	return v, nil
}
