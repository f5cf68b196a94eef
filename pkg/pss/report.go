package pss

import (
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"pss-msbs/pkg/load"
	"pss-msbs/pkg/notes"
	"pss-msbs/pkg/pss/record"
)

const mendedKept = 20

// report is the last cycle as it is published.
type report struct {
	disk notes.Disk
	path string
	now  func() time.Time
	busy func() bool
	said *said

	mu   sync.Mutex
	last record.LastCycle
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

func groupLoad(g load.Group, d load.Decision) record.GroupLoad {
	out := record.GroupLoad{Group: d.Group, Examined: d.Examined, Why: d.Why, Lm: d.Loads.Mem, Lc: d.Loads.CPU, Ln: d.Loads.Net, Ls: d.Loads.Ls,
		Class: d.Class, Want: d.Want, Streak: max(d.Light, d.Moderate), Accesses: g.Accesses}
	for _, s := range g.Servers {
		out.Servers = append(out.Servers, record.ServerLoad{Host: s.Host, Measured: s.Measured, MemKB: s.Reading.MemKB,
			MaxMemKB: s.Capacity.MemKB, CPUPercent: s.Reading.CPUPercent, NetKBs: s.Reading.NetKBs})
	}
	return out
}

// publish writes the report as it stands.
func (r *report) publish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.Shifting = r.busy()
	r.said.once("report", record.Write(r.disk, r.path, r.last), "last cycle not published")
}

// end publishes that pss was told to end.
func (r *report) end() {
	r.mu.Lock()
	r.last.Ended = true
	r.mu.Unlock()
	r.publish()
}

// faults keeps what is wrong with the files, nil for nothing; it reports whether
// there was anything wrong before.
func (r *report) faults(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	had := len(r.last.Faults) > 0
	r.last.Faults = nil
	if err != nil {
		r.last.Faults = strings.Split(strings.TrimSpace(err.Error()), "\n")
	}
	return had
}

func (r *report) mended(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.Mended = append(slices.Clone(r.last.Mended), record.Mended{At: r.now(), What: what})
	r.last.Mended = r.last.Mended[max(0, len(r.last.Mended)-mendedKept):]
}
