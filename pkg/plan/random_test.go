package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"pss-msbs/pkg/cluster"
)

// world is a random fleet and what happened to it.
type world struct {
	t       cluster.Tables
	origin  cluster.Tables    // in Moderate, before anything happened
	known   cluster.HomeNames // the homes, as the .dat files would tell
	backups map[string]cluster.Guest
	lost    cluster.RealRows // rows of real servers that B3 took out
}

// drawWorld draws a fleet in Moderate: any homes, bases and spares.
func drawWorld(rt *rapid.T) *world {
	prefix := rapid.SampledFrom([]string{lan, "fd00::"}).Draw(rt, "prefix")
	f := &fleet{prefix: prefix}
	w := &world{backups: map[string]cluster.Guest{}}
	reals := rapid.IntRange(1, 5).Draw(rt, "reals")
	for i := 1; i <= reals; i++ {
		w.t.Real = append(w.t.Real, cluster.RealRow{IP: f.rs(i), MAC: cluster.MAC{5: byte(i)}})
	}
	n := 0
	for g := range rapid.IntRange(1, 4).Draw(rt, "groups") {
		n = w.drawGroup(rt, f, g, n, reals)
	}
	vips := rapid.Permutation(w.t.Operation.VIPs()).Draw(rt, "vips")
	for i := range w.t.Operation {
		w.t.Operation[i].VIP = vips[i]
	}
	w.origin, w.known = w.t.Clone(), cluster.HomeNames{}
	for _, r := range w.t.Operation {
		w.known[r.VIP] = r.Host
	}
	return w
}

func (w *world) drawGroup(rt *rapid.T, f *fleet, g, n, reals int) int {
	name := fmt.Sprintf("G%d", g)
	for range rapid.IntRange(1, 4).Draw(rt, "homes") {
		real := rapid.IntRange(1, reals).Draw(rt, "real")
		n++
		host := fmt.Sprintf("S%d", n)
		w.t.Operation = append(w.t.Operation, cluster.ServerRow{Group: name, Real: f.rs(real), VIP: f.ip(100 + n), Host: host, IP: f.ip(n)})
		w.backups[host] = cluster.Guest{Host: host + "b", IP: f.ip(60 + n), Real: f.ip(200)}
	}
	for i := range rapid.IntRange(0, 3).Draw(rt, "spares") {
		w.t.Spares = append(w.t.Spares, cluster.SpareRow{Group: name, Host: fmt.Sprintf("Sp%d-%d", g, i), IP: f.ip(30 + 4*g + i)})
	}
	order := rapid.Permutation(w.t.Real).Draw(rt, "bases")
	row := cluster.StateRow{Group: name, Condition: cluster.Moderate}
	for _, r := range order[:rapid.IntRange(1, min(3, reals)).Draw(rt, "nbases")] {
		row.Bases = append(row.Bases, r.IP)
	}
	w.t.State = append(w.t.State, row)
	return n
}

// drawWants draws a want for some of the groups.
func (w *world) drawWants(rt *rapid.T) map[string]cluster.Condition {
	wants := map[string]cluster.Condition{}
	for _, s := range w.t.State {
		if rapid.Bool().Draw(rt, "named") {
			wants[s.Group] = rapid.SampledFrom([]cluster.Condition{cluster.Moderate, cluster.PS1, cluster.PS2}).Draw(rt, "want")
		}
	}
	return wants
}

// step lets one thing happen: a shift, a server in trouble (A3, A4), one
// recovered (A5), a real server lost (B3) or back (B4).
func (w *world) step(rt *rapid.T) {
	switch rapid.SampledFrom([]string{"shift", "shift", "trouble", "recovered", "lost", "back"}).Draw(rt, "event") {
	case "shift":
		w.t = Apply(w.t, w.known, Make(w.t, w.known, w.drawWants(rt)))
	case "trouble":
		w.trouble(rt)
	case "recovered":
		w.recovered(rt)
	case "lost":
		w.lose(rt)
	case "back":
		w.t.Real = append(w.t.Real, w.lost...)
		w.lost = nil
	}
}

// trouble separates one serving server; a home's backup takes over.
func (w *world) trouble(rt *rapid.T) {
	host := rapid.SampledFrom(w.t.Operation).Draw(rt, "target").Host
	backup, home := w.backups[host]
	if !home {
		return
	}
	rows := w.t.Operation.Of(host)
	w.t = w.t.Clone()
	w.t.Operation = w.t.Operation.Without(host)
	w.t.Separation = append(w.t.Separation, rows...)
	for _, r := range rows {
		w.t.Operation = append(w.t.Operation, cluster.ServerRow{Group: r.Group, Real: backup.Real, VIP: r.VIP, Host: backup.Host, IP: backup.IP})
	}
}

// recovered gives a separated home server back what its backup held (A5).
func (w *world) recovered(rt *rapid.T) {
	if len(w.t.Separation) == 0 {
		return
	}
	host := rapid.SampledFrom(w.t.Separation).Draw(rt, "recovered").Host
	rows := w.t.Separation.Of(host)
	w.t = w.t.Clone()
	w.t.Separation = w.t.Separation.Without(host)
	w.t.Operation = append(w.t.Operation.Without(w.backups[host].Host), rows...)
}

// lose takes one active real server's row out, its servers taken over (B3).
func (w *world) lose(rt *rapid.T) {
	if len(w.t.Real) == 0 {
		return
	}
	r := rapid.SampledFrom(w.t.Real).Draw(rt, "lost")
	if slices.ContainsFunc(w.t.Operation, func(o cluster.ServerRow) bool { return o.Real == r.IP && w.t.IsSpare(o.Host) }) {
		return // pss itself moves what a spare held
	}
	w.t = goneIP(w.t, r.IP)
	w.lost = append(w.lost, r)
}

// goneIP is t without the row of a real server (B3).
func goneIP(t cluster.Tables, ip netip.Addr) cluster.Tables {
	t = t.Clone()
	t.Real = slices.DeleteFunc(t.Real, func(r cluster.RealRow) bool { return r.IP == ip })
	return t
}

// shuffled is t with the rows of five of the files in another order.
func shuffled(rt *rapid.T, t cluster.Tables) cluster.Tables {
	t = t.Clone()
	t.Operation = rapid.Permutation(t.Operation).Draw(rt, "operation")
	t.AccessStop = rapid.Permutation(t.AccessStop).Draw(rt, "access-stop")
	t.Separation = rapid.Permutation(t.Separation).Draw(rt, "separation")
	t.Real = rapid.Permutation(t.Real).Draw(rt, "real-server")
	t.Suspended = rapid.Permutation(t.Suspended).Draw(rt, "suspension-real")
	return t
}
