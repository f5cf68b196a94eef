package pss

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
)

// LastCycle is what a running pss publishes of its last cycle, for pss status.
type LastCycle struct {
	PID      int         `json:"pid"`
	At       time.Time   `json:"at"`       // of the cycle
	Interval float64     `json:"interval"` // seconds until the next one
	Groups   []GroupLoad `json:"groups"`
	Shifting bool        `json:"shifting"` // a settle is under way
	// Faults are the FILE:LINE: messages that keep pss from shifting.
	Faults []string `json:"faults,omitempty"`
	// Mended is what was not as the files say, the newest last.
	Mended []Mended `json:"mended,omitempty"`
}

// GroupLoad is what a cycle found out about a group.
type GroupLoad struct {
	Group    string            `json:"group"`
	Examined bool              `json:"examined"`
	Why      string            `json:"why,omitempty"` // why not examined, or what Want follows from
	Lm       float64           `json:"lm"`            // percent, equations (4)-(6)
	Lc       float64           `json:"lc"`
	Ln       float64           `json:"ln"`
	Ls       float64           `json:"ls"` // percent, equations (7)-(9)
	Class    cluster.Class     `json:"class"`
	Want     cluster.Condition `json:"want"`
	Streak   int               `json:"streak"`   // cycles of this class in a row
	Accesses float64           `json:"accesses"` // of clients, over the last window
	Servers  []ServerLoad      `json:"servers,omitempty"`
}

// ServerLoad is the averaged reading of one server in operation.
type ServerLoad struct {
	Host       string  `json:"host"`
	Measured   bool    `json:"measured"`
	MemKB      float64 `json:"memKB"`
	MaxMemKB   float64 `json:"maxMemKB"`
	CPUPercent float64 `json:"cpuPercent"`
	NetKBs     float64 `json:"netKBs"`
}

// Mended is one thing that pss mended.
type Mended struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

const mendedKept = 20

// LastCycleFile is where a running pss publishes its last cycle.
func LastCycleFile(runDir string) string { return filepath.Join(runDir, "pss.json") }

// ReadLastCycle reads it; no file is an error that errors.Is calls fs.ErrNotExist.
func ReadLastCycle(runDir string) (LastCycle, error) {
	var c LastCycle
	b, err := os.ReadFile(LastCycleFile(runDir))
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("cannot read the last cycle: %v", err)
	}
	return c, nil
}

// report is the last cycle as it is published.
type report struct {
	path string
	now  func() time.Time
	busy func() bool
	said *said

	mu   sync.Mutex
	last LastCycle
}

// cycle publishes a cycle.
func (r *report) cycle(groups []load.Group, decisions []load.Decision, interval time.Duration) {
	r.mu.Lock()
	r.last.PID, r.last.At, r.last.Interval = os.Getpid(), r.now(), interval.Seconds()
	r.last.Groups = r.last.Groups[:0]
	for i, d := range decisions {
		r.last.Groups = append(r.last.Groups, groupLoad(groups[i], d))
	}
	r.mu.Unlock()
	r.publish()
}

func groupLoad(g load.Group, d load.Decision) GroupLoad {
	out := GroupLoad{Group: d.Group, Examined: d.Examined, Why: d.Why, Lm: d.Loads.Mem, Lc: d.Loads.CPU, Ln: d.Loads.Net, Ls: d.Loads.Ls,
		Class: d.Class, Want: d.Want, Streak: max(d.Light, d.Moderate), Accesses: g.Accesses}
	for _, s := range g.Servers {
		out.Servers = append(out.Servers, ServerLoad{Host: s.Host, Measured: s.Measured, MemKB: s.Reading.MemKB,
			MaxMemKB: s.Capacity.MemKB, CPUPercent: s.Reading.CPUPercent, NetKBs: s.Reading.NetKBs})
	}
	return out
}

// publish writes the report as it stands.
func (r *report) publish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.Shifting = r.busy()
	r.said.once("report", writeJSON(r.path, r.last), "last cycle not published")
}

// faults keeps what is wrong with the files, nil for nothing; it tells whether
// there was anything wrong before.
func (r *report) faults(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	had := len(r.last.Faults) > 0
	r.last.Faults = nil
	if err != nil {
		r.last.Faults = []string{err.Error()}
	}
	return had
}

func (r *report) mended(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.Mended = append(slices.Clone(r.last.Mended), Mended{At: r.now(), What: what})
	r.last.Mended = r.last.Mended[max(0, len(r.last.Mended)-mendedKept):]
}
