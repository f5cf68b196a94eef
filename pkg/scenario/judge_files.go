package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"pss-msbs/pkg/ahead"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/plan"
)

// judgeFiles is what must hold of the files after each transaction, before
// anybody else sees them: no row is lost, and nothing serves or is recovered on a
// suspended real server. slips are the files in which a hand edit went wrong.
func (w *World) judgeFiles(slips map[string]bool) error {
	t, faults, err := w.peek()
	if err != nil {
		return err
	}
	for _, f := range faults {
		if len(slips) == 0 {
			return fmt.Errorf("the files cannot be used: %v", f)
		}
	}
	w.noteSeparations(t)
	if err := w.conserved(t); err != nil {
		return err
	}
	return asleep(t)
}

// peek reads the files without the lock.
func (w *World) peek() (cluster.Tables, conffile.Faults, error) {
	contents := map[string][]byte{}
	for _, name := range conffile.Names() {
		b, err := w.disk.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return cluster.Tables{}, nil, err
		}
		contents[name] = b
	}
	s, faults := conffile.Parse(w.dirs.Conf, contents)
	return s.Tables, faults, nil
}

// asleep: nothing serves or is recovered on a suspended real server; so none
// has the last redundancy of a group either.
func asleep(t cluster.Tables) error {
	for _, real := range t.Suspended {
		for _, r := range slices.Concat(t.Operation, t.Separation) {
			if r.Real == real.IP {
				return fmt.Errorf("%v is suspended, and %s stands there with %v", real.IP, r.Host, r.VIP)
			}
		}
	}
	return nil
}

// Rest is how a system is that nothing disturbs any more.
type Rest string

// Under a high load every group is in Moderate, under a light one in PS2 where it can be.
const (
	Home  Rest = "home"
	Light Rest = "light"
)

// Rested is nil when the system has come to rest and there is nothing that a
// shift would still do: no group waits, no real server is awake without a reason.
func (w *World) Rested(how Rest) error {
	t, err := w.Tables()
	if err != nil {
		return err
	}
	if err := w.agrees(t); err != nil { // which costs less than plans
		return err
	}
	for _, s := range t.State {
		if err := w.fits(t, s, how); err != nil {
			return err
		}
	}
	steps, _ := ahead.Robust(t, plan.Make(t, w.known, nil), w.lone(t))
	for _, s := range steps {
		if s.Do != plan.Refuse {
			return fmt.Errorf("left to do: %+v", s)
		}
	}
	return w.checked()
}

// lone are the groups in PS1 that nobody would serve without one of their real
// servers: a pss that looks ahead suspends none then.
func (w *World) lone(t cluster.Tables) (groups []load.Decision) {
	unknown := func(string) load.Capacity { return load.Capacity{} }
	backup := func(host string) string { d, _ := w.data.Of(host); return d.Backup }
	view := ahead.View{Tables: t, Homes: t.Homes(w.known), Capacity: unknown, Backup: backup}
	for _, s := range t.State {
		losses := view.Layouts(s.Group)[cluster.PS1].Losses
		if slices.ContainsFunc(losses, func(l load.Loss) bool { return len(l.Places) == 0 }) {
			groups = append(groups, load.Decision{Group: s.Group, Fragile: "nobody would serve it"})
		}
	}
	return groups
}

// fits is nil when a group is in the lightest condition that the load allows
// and that no plan refuses. PS2 is reached through PS1 only, but may be kept
// where PS1 is refused.
func (w *World) fits(t cluster.Tables, s cluster.StateRow, how Rest) error {
	refused := func(c cluster.Condition) bool {
		return slices.ContainsFunc(plan.Make(t, w.known, map[string]cluster.Condition{s.Group: c}),
			func(step plan.Step) bool { return step.Do == plan.Refuse && step.Group == s.Group })
	}
	want := cluster.Moderate
	switch {
	case how == Home:
	case s.Condition == cluster.PS2 || refused(cluster.PS1):
		return nil
	case refused(cluster.PS2):
		want = cluster.PS1
	default:
		want = cluster.PS2
	}
	if s.Condition != want {
		return fmt.Errorf("%s is in %s, want %s", s.Group, s.Condition, want)
	}
	return nil
}
