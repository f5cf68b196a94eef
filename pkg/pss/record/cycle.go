// Package record holds what pss leaves in files for others and for itself: its
// last cycle in the run directory, and the wakes of real servers in the state
// directory.
package record

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/notes"
)

// LastCycle is what a running pss publishes of its last cycle, for pss status.
type LastCycle struct {
	PID      int         `json:"pid"`
	At       time.Time   `json:"at"`       // of the cycle
	Interval float64     `json:"interval"` // seconds until the next one
	Groups   []GroupLoad `json:"groups"`
	Shifting bool        `json:"shifting"` // a settle is under way
	Ended    bool        `json:"ended"`    // pss was told to end; it did not die
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

// LastCycleFile is where a running pss publishes its last cycle.
func LastCycleFile(runDir string) string { return filepath.Join(runDir, "pss.json") }

// ReadLastCycle reads it from disk, nil for that of the operating system; no file
// is an error that errors.Is calls fs.ErrNotExist.
func ReadLastCycle(disk notes.Disk, runDir string) (LastCycle, error) {
	var c LastCycle
	b, err := notes.On(disk).Read(LastCycleFile(runDir), notes.MaxSize)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("cannot read the last cycle: %v", err)
	}
	return c, nil
}

// Write replaces a file of disk, nil for that of the operating system.
func Write(disk notes.Disk, path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return notes.On(disk).Write(path, append(b, '\n'), false)
}
