package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"pss-msbs/pkg/lockedfile"
	"pss-msbs/pkg/notes"
)

// trouble is what goes wrong between programs and with the disk:
//
//	disk full|slow for 10s
//	replies lost|delayed PROGRAM-NAME|all for 10s   of its sif and of the fleet
//	clock 1h                                        the wall clock jumps; what stands in files becomes older
type trouble struct {
	w   *World
	mu  sync.Mutex
	rnd *rand.Rand

	full, slow    time.Time // until then
	lost, delayed map[string]time.Time
	unheard       []unheard
}

// unheard is a time in which replies to a program, or all, were lost or late.
type unheard struct {
	name        string
	from, until time.Time
}

func (t *trouble) command(f []string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f[0] == "clock" && len(f) == 2 {
		d, err := time.ParseDuration(f[1])
		if err != nil {
			return err
		}
		return t.w.age(d)
	}
	if len(f) < 4 || f[len(f)-2] != "for" {
		return fmt.Errorf("want %s ... for TIME", f[0])
	}
	d, err := time.ParseDuration(f[len(f)-1])
	if err != nil {
		return err
	}
	until := time.Now().Add(d)
	switch strings.Join(f[:2], " ") {
	case "disk full":
		t.full = until
	case "disk slow":
		t.slow = until
	case "replies lost":
		t.lost = map[string]time.Time{f[2]: until}
		t.unheard = append(t.unheard, unheard{f[2], time.Now(), until})
	case "replies delayed":
		t.delayed = map[string]time.Time{f[2]: until}
		t.unheard = append(t.unheard, unheard{f[2], time.Now(), until})
	default:
		return fmt.Errorf("no such trouble")
	}
	return nil
}

// deaf reports whether replies to a program were lost or late just before at.
func (t *trouble) deaf(name string, at time.Time) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.unheard, func(u unheard) bool {
		return (u.name == name || u.name == "all") && at.After(u.from) && at.Before(u.until.Add(latest))
	})
}

// end ends all of it.
func (t *trouble) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.full, t.slow, t.lost, t.delayed = time.Time{}, time.Time{}, nil, nil
}

// disk is how long an operation of a transaction takes, and its error.
func (t *trouble) disk(s lockedfile.Step) (time.Duration, error) {
	if t == nil {
		return 0, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.full) && (s.Op == lockedfile.OpCreate || s.Op == lockedfile.OpWrite) {
		return 0, syscall.ENOSPC
	}
	if now.Before(t.slow) && s.Op != lockedfile.OpWrite {
		return time.Duration(t.rnd.IntN(150)) * time.Millisecond, nil
	}
	return 0, nil
}

// latest is how late a reply may be.
const latest = 4 * time.Second

// reply is how late a reply to p is, and whether it is lost: each third is,
// while replies of p get lost.
func (t *trouble) reply(p *Proc) (late time.Duration, lost bool) {
	if t == nil {
		return 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost == nil && t.delayed == nil {
		return 0, false
	}
	now, name := time.Now(), strings.ReplaceAll(p.who, " ", "-")
	in := func(m map[string]time.Time) bool { return now.Before(m[name]) || now.Before(m["all"]) }
	if in(t.delayed) {
		late = time.Duration(t.rnd.IntN(int(latest.Milliseconds()))) * time.Millisecond
	}
	return late, in(t.lost) && t.rnd.IntN(3) == 0
}

// errLost is the end of a connection that a reply was lost with.
var errLost = errors.New("connection reset by peer")

// received is what becomes of the reply to a call of p to the fleet: nil, or
// the error of a caller that waited and got no answer.
func (p *Proc) received(ctx context.Context, silent error) error {
	late, lost := p.w.Trouble.reply(p)
	if !lost && late == 0 {
		return nil
	}
	wait := late
	if lost {
		wait = 24 * time.Hour
	}
	if p.clock().Sleep(ctx, wait) == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return silent
	}
	return ctx.Err()
}

// age makes all times in the state and run directories older by d: after the
// wall clock jumped by d that is what programs read there.
func (w *World) age(d time.Duration) error {
	for _, dir := range []string{w.dirs.State, w.dirs.Run} {
		names, err := w.notes.List(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if path := filepath.Join(dir, name); filepath.Ext(name) == ".json" {
				if err := w.ageNote(path, d); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *World) ageNote(path string, d time.Duration) error {
	b, err := w.notes.Read(path, notes.MaxSize)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	if b, err = json.Marshal(aged(v, d)); err != nil {
		return err
	}
	return w.notes.Write(path, b, false)
}

// aged is v with every time in it d earlier.
func aged(v any, d time.Duration) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = aged(v[k], d)
		}
	case []any:
		for i := range v {
			v[i] = aged(v[i], d)
		}
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil && !at.IsZero() {
			return at.Add(-d).Format(time.RFC3339Nano)
		}
	}
	return v
}
