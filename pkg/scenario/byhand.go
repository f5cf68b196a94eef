package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// slip is half a row, as a typing operator leaves it.
const slip = "Mail 172.21.14.\n"

// edit changes a file as an editor does that knows of no lock.
func (w *World) edit(file string, change func(string) string) error {
	b, err := w.disk.ReadFile(file)
	if err == nil {
		w.disk.WriteFile(file, []byte(change(string(b))))
	}
	return err
}

// handEdit adds, drops or swaps a row; how many blanks part its fields does not matter.
func (w *World) handEdit(file, how string, f []string) error {
	old, now := strings.Join(f, " "), ""
	if i := slices.Index(f, "for"); how == "swap" && i >= 0 {
		old, now = strings.Join(f[:i], " "), strings.Join(f[i+1:], " ")
	}
	done := false
	err := w.edit(file, func(text string) string {
		if how == "add" {
			done = true
			return text + old + "\n"
		}
		var out strings.Builder
		for line := range strings.Lines(text) {
			switch {
			case strings.Join(strings.Fields(line), " ") != old:
				out.WriteString(line)
			case now != "":
				out.WriteString(now + "\n")
				done = true
			default:
				done = how == "drop"
			}
		}
		return out.String()
	})
	if err == nil && !done {
		err = fmt.Errorf("cannot %s %q: no such row in %s", how, old, file)
	}
	return err
}

// vipByHand puts a VIP on a server, or takes it off, as an operator does there.
func (w *World) vipByHand(how, addr, host string) error {
	vip, err := netip.ParseAddr(addr)
	if err != nil {
		return err
	}
	st, err := w.Model.Status(w.ctx, sim.Query{Since: time.Now()})
	if err != nil {
		return err
	}
	do, ok := map[string]func(context.Context, cluster.Guest, netip.Addr) error{"on": w.Model.AddVIP, "off": w.Model.DelVIP}[how]
	i := slices.IndexFunc(st.Guests, func(g sim.GuestStatus) bool { return g.Host == host && g.State == cluster.GuestRunning })
	if !ok || i < 0 {
		return fmt.Errorf("want on or off, and a server that runs")
	}
	return do(w.ctx, cluster.Guest{Host: host, Real: st.Guests[i].Real}, vip)
}

// killAll kills every program in the same instant: none sees another die. The
// sifs go last, for a spare's dbss would start another one.
func (w *World) killAll() {
	all := w.Running()
	for _, p := range all {
		p.die()
	}
	for _, sifs := range []bool{false, true} {
		for _, p := range all {
			if (p.Program == "sif") == sifs {
				p.end(errKilled)
			}
		}
	}
}

// reboot is a restart of the management server that takes d: its programs and
// backups are gone, and what lay in the run directory.
func (w *World) reboot(d time.Duration) error {
	w.mu.Lock()
	w.down = time.Now().Add(d)
	w.mu.Unlock()
	w.killAll()
	for _, s := range w.dats.Servers {
		if s.Backup != "" {
			_ = w.Model.Inject(sim.Fault{Kind: sim.VMCrash, Target: s.Backup}) // it may run nowhere
		}
	}
	if err := w.emptyRun(); err != nil {
		return err
	}
	dirs := w.dirs // launchers read theirs meanwhile
	return dirs.Prepare()
}

// emptyRun removes the run directory, into which who was just killed may still
// write the last of what it had begun.
func (w *World) emptyRun() (err error) {
	w.notes.RemoveAll(w.dirs.Run)
	for range 100 {
		if err = os.RemoveAll(w.dirs.Run); err == nil {
			return nil
		}
		time.Sleep(time.Microsecond)
	}
	return err
}

// up waits until the management server has booted.
func (w *World) up() {
	w.mu.Lock()
	down := w.down
	w.mu.Unlock()
	select {
	case <-w.ctx.Done():
	case <-time.After(time.Until(down)):
	}
}

// Vary is what a script wants to be different from the start, for New.
func Vary(script []Command) (func(*settings.Settings, *sim.Spec), error) {
	var paper, spare, slow bool
	var path sim.Path
	var late float64
	for _, c := range script {
		switch {
		case len(c.Do) < 2 || c.Do[0] != "with":
		case c.Do[1] == "partitions-that-spare-clients":
			spare = true
		case c.Do[1] == "slow-servers":
			slow = true
		case c.Do[1] == "path":
			p, d, err := parsePath(c.Do[2:])
			if err != nil || d != 0 {
				return nil, fmt.Errorf("%s: want what it does all the time: %v", c.text, err)
			}
			path = p
		case c.Do[1] == "late" && len(c.Do) == 3:
			share, err := percent(c.Do[2])
			if err != nil {
				return nil, fmt.Errorf("%s: want how many percent: %v", c.text, err)
			}
			late = share
		case c.Do[1] == "profile-paper":
			paper = true
		default:
			return nil, fmt.Errorf("%s: want partitions-that-spare-clients, slow-servers, profile-paper, late or path", c.text)
		}
	}
	return func(set *settings.Settings, spec *sim.Spec) {
		spec.PartitionSparesClients, spec.Path, spec.Late = spare, path, late
		if slow {
			slowServers(spec)
		}
		if paper {
			*set = set.WithProfile(settings.Paper)
		}
	}, nil
}
