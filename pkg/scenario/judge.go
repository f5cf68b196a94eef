package scenario

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/check"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// Judge is what must hold at every instant: the fleet has recorded no
// violation, the files can be used, no row is lost.
func (w *World) Judge() error {
	if err := w.violated(); err != nil {
		return err
	}
	t, err := w.Tables()
	if err != nil {
		return err
	}
	return w.conserved(t)
}

// violated is the first thing that the fleet saw and that must never happen.
func (w *World) violated() error {
	for _, v := range w.Model.Violations() {
		if dsrs := "dsrs-" + v.Real; v.Real != "" && (w.Trouble.deaf(dsrs, v.At) || w.killed(dsrs, v.At) || w.halted(dsrs, v.At)) {
			continue // strip_deadline is promised where there is a dsrs that can hear the host
		}
		return fmt.Errorf("violation %s at %.2f: %s", v.Kind, v.At.Sub(w.log.began).Seconds(), v.What)
	}
	return nil
}

// harmed is the first harm that was done to a server that would have answered.
func (w *World) harmed() error {
	for _, h := range w.Model.Harms() {
		if w.separatedAt(h.VIP, h.At.Add(-stripped)) {
			continue // it was a trouble; who is in separation is stripped of its VIPs when its host returns
		}
		return fmt.Errorf("harm %s at %.2f: %s", h.Kind, h.At.Sub(w.log.began).Seconds(), h.What)
	}
	return nil
}

// stripped is how long a VIP has been in separation before taking it off is no
// more the act of who put it there.
const stripped = 2 * time.Second

// separation is the time that a VIP was in separation; to is zero while it is.
type separation struct {
	vip      netip.Addr
	from, to time.Time
}

// separatedAt reports whether vip was in separation at that time.
func (w *World) separatedAt(vip netip.Addr, at time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.separations, func(s separation) bool {
		return s.vip == vip && !s.from.After(at) && (s.to.IsZero() || s.to.After(at))
	})
}

// noteSeparations notes which VIPs are in separation now.
func (w *World) noteSeparations(t cluster.Tables) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, still := time.Now(), map[netip.Addr]bool{}
	for _, r := range t.Separation {
		still[r.VIP] = true
	}
	for i, s := range w.separations {
		if s.to.IsZero() && !still[s.vip] {
			w.separations[i].to = now
		} else if s.to.IsZero() {
			delete(still, s.vip)
		}
	}
	for vip := range still {
		w.separations = append(w.separations, separation{vip: vip, from: now})
	}
}

// kill is the end of a program by kill -9, and when its launcher may start it again.
type kill struct {
	who      string
	at, back time.Time
}

// killed reports whether a program was killed shortly before at: its launcher needs
// a moment to start it again, and what is new takes a look first.
func (w *World) killed(who string, at time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.kills, func(k kill) bool {
		return k.who == who && !k.at.After(at) && at.Sub(k.back) < 2*w.Settings.DSRS.StripDeadline.D()
	})
}

// conserved: every VIP stands in operation or in separation, every home server
// in exactly one of the three files, every real server at most once (a dsrs
// keeps the row of one that it took out).
func (w *World) conserved(t cluster.Tables) error {
	for _, d := range w.dats.Servers {
		if d.IsBackup() {
			continue
		}
		if !holds(t.Operation, d) && !holds(t.Separation, d) {
			return fmt.Errorf("VIP %v stands neither in operation nor in separation", d.VIP)
		}
		in := 0
		for _, rows := range []cluster.Rows{t.Operation, t.AccessStop, t.Separation} {
			in += min(1, len(rows.Of(d.Host)))
		}
		if in != 1 {
			return fmt.Errorf("%s stands in %d of the three files", d.Host, in)
		}
	}
	return nil
}

func holds(rows cluster.Rows, d server) bool {
	return slices.ContainsFunc(rows, func(r cluster.ServerRow) bool { return r.VIP == d.VIP })
}

// Settled is nil when nothing is left to do: no recovery is under way, reality is
// as the files say, everything has its monitor, and the files check.
func (w *World) Settled() error {
	t, err := w.Tables()
	if err == nil {
		err = w.agrees(t)
	}
	if err == nil {
		err = w.checked()
	}
	return err
}

// agrees is all of Settled but the check of the files.
func (w *World) agrees(t cluster.Tables) error {
	switch {
	case len(t.Separation) > 0:
		return fmt.Errorf("%s is in separation", t.Separation[0].Host)
	case len(t.Real)+len(t.Suspended) != len(w.dats.Reals):
		return fmt.Errorf("%d real servers in the files, want %d", len(t.Real)+len(t.Suspended), len(w.dats.Reals))
	}
	st, err := w.Model.Status(w.ctx, sim.Query{Since: time.Now()})
	if err != nil {
		return err
	}
	for _, look := range []func(cluster.Tables, sim.Status) error{w.served, w.powered, w.resting, w.monitored} {
		if err := look(t, st); err != nil {
			return err
		}
	}
	return nil
}

// served: every VIP has the one holder that the files name.
func (w *World) served(t cluster.Tables, st sim.Status) error {
	for _, v := range st.VIPs {
		var want []string
		for _, r := range t.Operation {
			if r.VIP == v.VIP {
				want = append(want, r.Host)
			}
		}
		if !slices.Equal(v.Holders, want) || len(want) != 1 {
			return fmt.Errorf("VIP %v is held by %q, the files say %q", v.VIP, v.Holders, want)
		}
	}
	return nil
}

// powered: hosts sleep or work as the files say.
func (w *World) powered(t cluster.Tables, st sim.Status) error {
	for _, h := range st.Hosts {
		want := sim.Active
		if t.IsAsleep(h.IP) {
			want = sim.Suspended
		}
		if h.State != want && (want != sim.Suspended || h.State != sim.Off) { // a magic packet boots it too
			return fmt.Errorf("%s is %s, the files say %s", h.Name, h.State, want)
		}
	}
	return nil
}

// resting: who serves answers where the files place it, backups that do not
// serve are paused, spares saved or in access stop.
func (w *World) resting(t cluster.Tables, st sim.Status) error {
	for _, g := range st.Guests {
		rows := append(t.Operation.Of(g.Host), t.AccessStop.Of(g.Host)...)
		switch {
		case t.Operation.Has(g.Host) && g.Real == rows[0].Real:
			if !g.Answers {
				return fmt.Errorf("%s serves and does not answer", g.Host)
			}
		case g.Kind == sim.Backup && len(rows) == 0 && w.protects(t, g.Host) && g.State != cluster.GuestPaused:
			return fmt.Errorf("backup %s is %s", g.Host, g.State)
		case g.Kind == sim.Spare && len(rows) == 0 && g.State != cluster.GuestSaved:
			return fmt.Errorf("spare %s is %s", g.Host, g.State)
		}
	}
	return nil
}

// protects reports whether a backup's target serves; the dbss of one in access
// stop looks after nothing.
func (w *World) protects(t cluster.Tables, backup string) bool {
	return slices.ContainsFunc(t.Operation, func(r cluster.ServerRow) bool {
		d, ok := w.dats.Server(r.Host)
		return ok && d.Backup == backup
	})
}

// monitored: who serves has a dbss, every real server a dsrs, and pss runs; a
// backup or spare that rests has none.
func (w *World) monitored(t cluster.Tables, _ sim.Status) error {
	for _, r := range t.Operation {
		if w.monitorOf(r.Host) == nil {
			return fmt.Errorf("nobody monitors %s", r.Host)
		}
	}
	for _, r := range w.reals() {
		if w.find("dsrs", r) == nil {
			return fmt.Errorf("nobody monitors %s", r)
		}
	}
	if w.find("pss", "") == nil {
		return fmt.Errorf("pss does not run")
	}
	for _, p := range w.Running() {
		d, home := w.dats.Server(p.Name)
		resting := p.Program == "dbss" && !t.Operation.Has(p.Name) && !t.AccessStop.Has(p.Name)
		if resting && (!home || d.IsBackup()) {
			return fmt.Errorf("%s is monitored and rests", p.Name)
		}
	}
	return nil
}

// checked: pss check finds nothing.
func (w *World) checked() error {
	rep, err := check.Dir(w.ctx, w.files)
	if err != nil {
		return err
	}
	return rep.Faults.Err()
}

// Home is nil when all is as it was at the beginning, given a load that keeps
// every group in Moderate: the files row by row, and settled.
func (w *World) Home(first cluster.Tables) error {
	t, err := w.Tables()
	if err == nil {
		err = w.agrees(t) // which costs less than what follows
	}
	if err != nil {
		return err
	}
	if a, b := w.summary(first), w.summary(t); a != b {
		return fmt.Errorf("the files say\n%swant\n%s", b, a)
	}
	return w.Rested(Home)
}

// summary is the content of the files whatever the order of their rows. A real
// server without home servers may sleep in Moderate too, and a spare on it keeps its row.
func (w *World) summary(t cluster.Tables) string {
	var lines []string
	add := func(file string, row any) { lines = append(lines, fmt.Sprintf("%s %v", file, row)) }
	for _, r := range t.Operation {
		add("1 operation", r)
	}
	for _, r := range t.AccessStop {
		if !t.IsSpare(r.Host) || !t.IsAsleep(r.Real) {
			add("2 access-stop", r)
		}
	}
	for _, r := range t.Separation {
		add("3 separation", r)
	}
	needed := func(ip netip.Addr) bool {
		return slices.ContainsFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Real == ip })
	}
	for _, r := range t.Real {
		if needed(r.IP) {
			add("4 real", r)
		}
	}
	for _, r := range t.Suspended {
		if needed(r.IP) {
			add("5 suspended", r)
		}
	}
	for _, r := range t.State {
		add("6 state", r)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// final is an error that no waiting mends.
type final struct{ error }

// Unwrap implements errors.Unwrap.
func (f final) Unwrap() error { return f.error }

// Await waits in virtual time until ok is nil, and returns its error after
// most, or once it is final.
func (w *World) Await(most time.Duration, ok func() error) error {
	for end := time.Now().Add(most); ; time.Sleep(2 * time.Second) {
		err := ok()
		if err == nil || time.Now().After(end) || errors.As(err, new(final)) {
			return err
		}
	}
}
