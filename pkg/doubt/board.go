package doubt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/notes"
)

// Stale is how old a post may be: its monitor posts again what it still doubts
// (see Post), so an older one was left behind by somebody.
const Stale = 10 * time.Minute

const (
	maxFile = 8 << 10 // bytes of one post
	pace    = time.Second
)

// Board is where doubts are posted. It is used through a pointer, by many
// goroutines; each process has its own.
type Board struct {
	Dir   string     // the run directory
	Disk  notes.Disk // where that is; nil: of the operating system
	Clock clock.Clock
	Brake Brake
	// Fleet counts the servers; see FleetOf.
	Fleet func() Fleet

	PID   int                // of this monitor; 0: this process
	Alive func(pid int) bool // whether a monitor lives; nil: by its process

	mu     sync.Mutex
	posted map[string]Doubt // what this process has on the board; a zero one: nothing, for sure
}

// Post puts d on the board in place of what this monitor said of its target
// before. It may be called at every look: it writes where kind, host or target
// changed, at most once a second where only the evidence or φ (by one or more)
// did, and now and then so that the post does not grow stale.
func (b *Board) Post(d Doubt) error {
	if err := cluster.CheckName(d.Target); err != nil {
		return fmt.Errorf("cannot post a doubt: %v", err)
	}
	d = d.tidy()
	d.At, d.PID = b.Clock.Now(), b.pid()
	b.mu.Lock()
	defer b.mu.Unlock()
	if was, ok := b.posted[d.Target]; ok && !d.news(was) {
		return nil
	}
	if err := b.write(d); err != nil {
		return fmt.Errorf("cannot post a doubt of %s: %v", d.Target, err)
	}
	b.note(d.Target, d)
	return nil
}

// news reports whether d is worth a write where was is posted.
func (d Doubt) news(was Doubt) bool {
	age := d.At.Sub(was.At)
	switch {
	case d.Kind != was.Kind, d.Host != was.Host, d.HostSilent != was.HostSilent, !d.Since.Equal(was.Since):
		return true
	case d.Evidence != was.Evidence, math.Abs(d.Phi-was.Phi) >= 1:
		return age >= pace || age < 0
	}
	return age >= Stale/2 || age < 0
}

// write replaces the file. It need not survive the management server, so nothing
// waits for the disk.
func (b *Board) write(d Doubt) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return notes.On(b.Disk).Write(b.path(d.Target), append(text, '\n'), false)
}

// Clear takes target off the board. The first call of a process also removes
// what a monitor before it left there; where nothing is posted it does nothing.
func (b *Board) Clear(target string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if was, ok := b.posted[target]; ok && was.Target == "" {
		return nil
	}
	if err := cluster.CheckName(target); err != nil {
		return fmt.Errorf("cannot clear a doubt: %v", err)
	}
	if err := notes.On(b.Disk).Remove(b.path(target)); err != nil {
		return fmt.Errorf("cannot clear the doubt of %s: %v", target, err)
	}
	b.note(target, Doubt{})
	return nil
}

func (b *Board) note(target string, d Doubt) {
	if b.posted == nil {
		b.posted = map[string]Doubt{}
	}
	b.posted[target] = d
}

// Read is what stands on the board, by target, without what a dead monitor left
// or what is stale. The error tells which posts cannot be read: the others are
// whole, and the caller says it once.
func (b *Board) Read() ([]Doubt, error) {
	files, err := notes.On(b.Disk).List(b.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the doubts: %w", err)
	}
	var out []Doubt
	var bad []error
	now := b.Clock.Now()
	for _, file := range files {
		name, ok := target(file)
		if !ok {
			continue
		}
		d, err := b.readOne(name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // cleared meanwhile
		case err != nil:
			bad = append(bad, fmt.Errorf("cannot read the doubt of %s: %v", name, err))
		case now.Sub(d.At).Abs() <= Stale && b.alive(d.PID):
			out = append(out, d)
		}
	}
	return out, errors.Join(bad...)
}

// readOne reads a post; anything but a small regular file is refused.
func (b *Board) readOne(name string) (Doubt, error) {
	text, err := notes.On(b.Disk).Read(b.path(name), maxFile+1)
	if err != nil {
		return Doubt{}, err
	}
	if len(text) > maxFile {
		return Doubt{}, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	var d Doubt
	if err := json.Unmarshal(text, &d); err != nil {
		return Doubt{}, err
	}
	if d.Target != name || d.Kind == "" {
		return Doubt{}, fmt.Errorf("it does not say what is doubted of %s", name)
	}
	return d.tidy(), nil
}

// Storm is Brake.Judge of what stands on the board. Where that cannot be read
// there is none: a brake must not be the reason that nobody is helped.
func (b *Board) Storm() (Storm, error) {
	doubts, err := b.Read()
	if len(doubts) < b.Brake.Least {
		return Storm{Doubtful: len(doubts)}, err // the usual case, for which no .dat is read
	}
	return b.Brake.Judge(doubts, b.Fleet(), b.Clock.Now()), err
}

// FleetOf counts the servers with a VIP of their own, and the real servers, by the .dat
// files of a configuration directory. A spare stands in for one of them and is not counted;
// what cannot be read is not, either, which brakes sooner.
func FleetOf(conf string) Fleet {
	dir, _ := mgmtdata.ReadDir(conf)
	f := Fleet{Reals: len(dir.Reals)}
	for _, s := range dir.Servers {
		if s.VIP.IsValid() {
			f.Homes++
		}
	}
	return f
}

const prefix, suffix = "doubt-", ".json"

func (b *Board) path(name string) string { return filepath.Join(b.Dir, prefix+name+suffix) }

// target is whose doubt a file of this name is.
func target(file string) (string, bool) {
	name, ok := strings.CutPrefix(file, prefix)
	name, json := strings.CutSuffix(name, suffix)
	return name, ok && json && cluster.CheckName(name) == nil
}

func (b *Board) pid() int {
	if b.PID != 0 {
		return b.PID
	}
	return os.Getpid()
}

func (b *Board) alive(pid int) bool {
	if b.Alive != nil {
		return b.Alive(pid)
	}
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
