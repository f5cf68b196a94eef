package harness

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/sim"
)

const callLimit = 10 * time.Second // wall clock

// Now is the emulated time.
func (r *Rig) Now() time.Time { return r.Clock.Now() }

// Status is what the emulated fleet says of itself since a moment.
func (r *Rig) Status(since time.Time) (sim.Status, error) {
	ctx, cancel := context.WithTimeout(r.ctx, callLimit)
	defer cancel()
	return r.Fleet.Status(ctx, sim.Query{Since: since})
}

// Fault makes something go wrong in the emulated fleet.
func (r *Rig) Fault(kind, target string) error {
	ctx, cancel := context.WithTimeout(r.ctx, callLimit)
	defer cancel()
	return r.Fleet.Inject(ctx, sim.Fault{Kind: kind, Target: target})
}

// Load sets the load of every group's servers and the accesses per second
// besides the one client's.
func (r *Rig) Load(percent, accesses float64, groups ...string) error {
	ctx, cancel := context.WithTimeout(r.ctx, callLimit)
	defer cancel()
	for _, g := range groups {
		if err := r.Fleet.SetLoad(ctx, g, percent, accesses, 0); err != nil {
			return err
		}
	}
	return nil
}

// Tables is what the seven files say now.
func (r *Rig) Tables() (cluster.Tables, error) {
	ctx, cancel := context.WithTimeout(r.ctx, callLimit)
	defer cancel()
	return r.Conf.View(ctx)
}

// InCondition says "" when every group is in condition c, and what is missing
// otherwise.
func (r *Rig) InCondition(c cluster.Condition) string {
	t, err := r.Tables()
	if err != nil {
		return err.Error()
	}
	for _, s := range t.State {
		if s.Condition != c {
			return fmt.Sprintf("group %s is %s", s.Group, s.Condition)
		}
	}
	return ""
}

// Settled says "" when no server is in separation, no backup serves, every VIP
// has one holder, the one the files name, and every home server and real
// server has its monitor.
func (r *Rig) Settled(servers, reals []string) string {
	t, err := r.Tables()
	if err != nil {
		return err.Error()
	}
	if len(t.Separation) > 0 {
		return t.Separation[0].Host + " is in separation"
	}
	s, err := r.Status(r.Now())
	if err != nil {
		return err.Error()
	}
	if why := misheld(t, s); why != "" {
		return why
	}
	for _, name := range append(append([]string{}, servers...), reals...) {
		if _, held, err := daemon.In(daemon.Dirs{Run: r.Sub("run")}).Holder(name); err != nil || !held {
			return "nobody monitors " + name
		}
	}
	return ""
}

// misheld compares the operation file with who really holds the VIPs.
func misheld(t cluster.Tables, s sim.Status) string {
	want := map[string]string{}
	for _, row := range t.Operation {
		want[row.VIP.String()] = row.Host
	}
	for _, v := range s.VIPs {
		if got := strings.Join(v.Holders, " "); got != want[v.VIP.String()] {
			return fmt.Sprintf("VIP %s is held by %q, the files say %q", v.VIP, got, want[v.VIP.String()])
		}
	}
	for _, g := range s.Guests {
		if g.Kind == sim.Backup && g.State != cluster.GuestPaused {
			return fmt.Sprintf("backup %s is %s", g.Host, g.State)
		}
	}
	return ""
}
