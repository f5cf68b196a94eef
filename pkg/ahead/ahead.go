// Package ahead says on which servers a group would run in a lighter condition,
// and on which once a real server has failed there, so that load.Decider can
// compute the group's load before anything is shifted. It is pure: the files
// and the management data in, places out.
package ahead

import (
	"cmp"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/plan"
)

// View is what is known of the system.
type View struct {
	Tables   cluster.Tables
	Homes    cluster.Homes                   // of every VIP
	Capacity func(host string) load.Capacity // of a server that may not be running
	Backup   func(host string) string        // host's backup, empty where it has none; may be nil
}

// Layouts returns the group's servers in PS1 and PS2; a condition that the plan
// refuses is missing.
func (v View) Layouts(group string) map[cluster.Condition]load.Layout {
	out := map[cluster.Condition]load.Layout{}
	if held, ok := v.held(group, cluster.PS2); ok {
		out[cluster.PS2] = load.Layout{Places: v.places(held)}
	}
	if held, ok := v.held(group, cluster.PS1); ok {
		moderate, _ := v.held(group, cluster.Moderate) // never refused
		out[cluster.PS1] = load.Layout{Places: v.places(held), Losses: v.losses(held, moderate)}
	}
	return out
}

// held is who holds which of the group's VIPs in a condition, and whether the plan
// lets it have that. A VIP that is not in the layout stays with whoever serves it,
// and a spare that serves keeps its real server.
func (v View) held(group string, c cluster.Condition) (map[netip.Addr]cluster.Guest, bool) {
	layout, why := plan.LayoutOf(v.Tables, v.Homes, group, c)
	out := map[netip.Addr]cluster.Guest{}
	for _, r := range v.Tables.Operation {
		if r.Group != group {
			continue
		}
		to, ok := layout.Holder[r.VIP]
		if !ok {
			to = r.Guest()
		} else if rows := v.Tables.Operation.Of(to.Host); len(rows) > 0 && v.Tables.IsSpare(to.Host) {
			to.Real = rows[0].Real
		}
		out[r.VIP] = to
	}
	return out, why == ""
}

// places turns VIPs into shares of what serves them today: of a server with two
// VIPs each has half, since a reading does not tell them apart.
func (v View) places(held map[netip.Addr]cluster.Guest) []load.Place {
	var out []load.Place
	for _, vip := range sorted(held) {
		host := held[vip].Host
		i := slices.IndexFunc(out, func(p load.Place) bool { return p.Host == host })
		if i < 0 {
			i, out = len(out), append(out, load.Place{Host: host, Capacity: v.Capacity(host)})
		}
		today, _ := v.Tables.Holder(vip)
		out[i].From = append(out[i].From, load.Part{Host: today.Host, Share: 1 / float64(len(v.Tables.Operation.Of(today.Host)))})
	}
	return out
}

// losses are the failures of each real server that serves the group: a server
// with a backup is replaced by it, the VIPs of one without go to the group's
// server with fewest VIPs, as pss does it (SPEC 4). Later are those of the group
// in Moderate.
func (v View) losses(held, later map[netip.Addr]cluster.Guest) []load.Loss {
	var reals []netip.Addr
	for _, g := range held {
		reals = append(reals, g.Real)
	}
	slices.SortFunc(reals, netip.Addr.Compare)
	var out []load.Loss
	for _, real := range slices.Compact(reals) {
		out = append(out, load.Loss{Real: real, Places: v.places(v.without(real, held)), Later: v.places(v.without(real, later))})
	}
	return out
}

// without is held once real has failed; a VIP that nobody takes is missing.
func (v View) without(real netip.Addr, held map[netip.Addr]cluster.Guest) map[netip.Addr]cluster.Guest {
	out := map[netip.Addr]cluster.Guest{}
	var orphans []netip.Addr
	for _, vip := range sorted(held) {
		g := held[vip]
		switch backup := v.backup(g.Host); {
		case g.Real != real:
			out[vip] = g
		case backup != "":
			out[vip] = cluster.Guest{Host: backup}
		default:
			orphans = append(orphans, vip)
		}
	}
	for _, vip := range orphans {
		if g, ok := lightest(out); ok {
			out[vip] = g
		}
	}
	return out
}

// lightest is the server with fewest VIPs that is no backup: of those nobody
// takes more than its target's.
func lightest(held map[netip.Addr]cluster.Guest) (cluster.Guest, bool) {
	count := map[cluster.Guest]int{}
	var may []cluster.Guest
	for _, vip := range sorted(held) {
		if g := held[vip]; g.Real.IsValid() {
			if count[g] == 0 {
				may = append(may, g)
			}
			count[g]++
		}
	}
	if len(may) == 0 {
		return cluster.Guest{}, false
	}
	return slices.MinFunc(may, func(a, b cluster.Guest) int {
		return cmp.Or(cmp.Compare(count[a], count[b]), cmp.Compare(a.Host, b.Host))
	}), true
}

func (v View) backup(host string) string {
	if v.Backup == nil || v.Tables.IsSpare(host) {
		return ""
	}
	return v.Backup(host)
}

func sorted(held map[netip.Addr]cluster.Guest) []netip.Addr {
	var out []netip.Addr
	for vip := range held {
		out = append(out, vip)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// Robust drops the suspensions of a plan while a group that it leaves in PS1
// could not stand the failure of a real server; it returns which groups could not.
func Robust(t cluster.Tables, steps plan.Steps, decisions []load.Decision) (plan.Steps, []string) {
	if len(steps.Of(plan.SuspendReal)) == 0 {
		return steps, nil
	}
	after := map[string]cluster.Condition{}
	for _, s := range t.State {
		after[s.Group] = s.Condition
	}
	for _, s := range steps.Of(plan.SetState) {
		after[s.Group] = s.Condition
	}
	var whys []string
	for _, d := range decisions {
		if after[d.Group] == cluster.PS1 && d.Fragile != "" {
			whys = append(whys, d.Fragile)
		}
	}
	if len(whys) == 0 {
		return steps, nil
	}
	return slices.DeleteFunc(slices.Clone(steps), func(s plan.Step) bool {
		return s.Do == plan.SuspendReal || s.Do == plan.StopSpare && s.Keep // stopped with its real server only
	}), whys
}
