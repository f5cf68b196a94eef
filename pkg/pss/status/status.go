// Package status tells how the system stands (pss status): from the files, from
// what the programs keep in the run and state directories, and from the last
// cycle that a running pss published. It asks no server.
package status

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/settings"
)

// Report is what pss status --json prints.
type Report struct {
	At         time.Time  `json:"at"`
	PSS        PSS        `json:"pss"`
	Groups     []Group    `json:"groups"` // in the order of state.conf
	VIPs       []VIP      `json:"vips"`   // in address order
	Reals      []Real     `json:"reals"`  // in address order
	Watts      float64    `json:"watts"`  // of all real servers, by the settings
	Recoveries []Recovery `json:"recoveries"`
	// Moving are the VIPs that pss is moving, or could not end moving: the servers
	// On which they may still turn up keep them from all others.
	Moving []ipc.Move `json:"moving"`
	// Doubts are what monitors are not sure of now, Storm whether that brakes
	// takeovers, Resets how many are left.
	Doubts []doubt.Doubt `json:"doubts"`
	Storm  doubt.Storm   `json:"storm"`
	Resets Resets        `json:"resets"`
	// Unmonitored are servers whose monitor (dbss or dsrs) is not running.
	Unmonitored []string `json:"unmonitored"`
	// Warnings are what an operator should look at, one sentence each.
	Warnings []string `json:"warnings"`
}

// PSS is how pss itself stands.
type PSS struct {
	Running   bool            `json:"running"`
	PID       int             `json:"pid,omitempty"`
	LastCycle time.Time       `json:"lastCycle,omitzero"`
	Stale     bool            `json:"stale"`    // the last cycle is older than two intervals, or there is none
	Shifting  bool            `json:"shifting"` // a shift or a mending is under way
	Faults    []string        `json:"faults"`   // FILE:LINE: messages that keep pss from shifting
	Mended    []record.Mended `json:"mended"`   // the newest last
}

// Group is a service group; its load is that of the last cycle.
type Group struct {
	record.GroupLoad
	Type      cluster.Type      `json:"type"`
	Condition cluster.Condition `json:"condition"` // as recorded
	Bases     []netip.Addr      `json:"bases"`
}

// VIP says who holds a VIP by the files.
type VIP struct {
	VIP    netip.Addr `json:"vip"`
	Group  string     `json:"group"`
	Holder string     `json:"holder"` // empty: nobody
	Real   netip.Addr `json:"real,omitzero"`
	Home   string     `json:"home,omitempty"` // who holds it in Moderate
	// Separated is the server in separation that it was taken from, if any.
	Separated string `json:"separated,omitempty"`
}

// Real is a real server.
type Real struct {
	Real    netip.Addr `json:"real"`
	Host    string     `json:"host,omitempty"`
	State   string     `json:"state"` // active, suspended, or out: in neither real file
	Watts   float64    `json:"watts"`
	Servers []string   `json:"servers"` // in operation or access stop there
	// WakeMissed is when its last wake missed the deadline; it is not put to
	// sleep until it has answered again.
	WakeMissed time.Time `json:"wakeMissed,omitzero"`
	WakeTook   float64   `json:"wakeTook,omitempty"` // seconds, the last wake
}

// Recovery is a server in separation.
type Recovery struct {
	Host     string       `json:"host"`
	Group    string       `json:"group"`
	Real     netip.Addr   `json:"real"`
	VIPs     []netip.Addr `json:"vips"`
	ServedBy []string     `json:"servedBy"`        // who serves these VIPs; empty: nobody
	Owner    string       `json:"owner,omitempty"` // what works on it: dbss, or nobody
	Failed   bool         `json:"failed"`          // no backup took them: they are pss's
	// Exhausted: the restart budget is used up, the server is left to its
	// backup and the operator until Until.
	Exhausted bool      `json:"exhausted"`
	Until     time.Time `json:"until,omitzero"`
}

// Budget is a server's restart budget.
type Budget struct {
	Exhausted bool
	Until     time.Time
}

// Input is what the report is made of.
type Input struct {
	Now      time.Time
	Tables   cluster.Tables
	Settings settings.Settings
	Data     ops.Data
	Running  bool // pss holds its control socket
	Last     *record.LastCycle
	Failed   []string
	Moving   []ipc.Move
	// Monitored reports whether the monitor of a server runs.
	Monitored func(host string) bool
	Budget    func(host string) Budget
	Wake      func(real netip.Addr) record.Wake
	Faults    []string // of the files as they are now
	Brakes    Brakes
}

// Make makes the report.
func Make(in Input) Report {
	r := Report{At: in.Now, PSS: in.pss(), Groups: in.groups(), VIPs: in.vips(), Reals: in.reals(), Recoveries: in.recoveries(),
		Moving: append([]ipc.Move{}, in.Moving...),
		Doubts: append([]doubt.Doubt{}, in.Brakes.Doubts...), Storm: in.Brakes.Storm, Resets: in.Brakes.Resets,
		Unmonitored: in.unmonitored(), Warnings: []string{}}
	for _, x := range r.Reals {
		r.Watts += x.Watts
	}
	r.warn()
	r.warnOfBrakes(in.Brakes.Faults)
	return r
}

func (in Input) pss() PSS {
	p := PSS{Running: in.Running, Stale: true, Faults: in.Faults, Mended: []record.Mended{}}
	if p.Faults == nil {
		p.Faults = []string{}
	}
	if in.Last == nil {
		return p
	}
	p.PID, p.LastCycle, p.Shifting, p.Mended = in.Last.PID, in.Last.At, in.Last.Shifting, append(p.Mended, in.Last.Mended...)
	p.Stale = !in.Running || in.Now.Sub(in.Last.At).Seconds() > 2*in.Last.Interval
	return p
}

func (in Input) groups() []Group {
	out := []Group{}
	for _, row := range in.Tables.State {
		g := Group{Type: in.Settings.TypeOf(row.Group), Condition: row.Condition, Bases: row.Bases}
		g.Group, g.Class, g.Want = row.Group, cluster.UnknownLoad, row.Condition
		if in.Last != nil {
			for _, l := range in.Last.Groups {
				if l.Group == row.Group {
					g.GroupLoad = l
				}
			}
		}
		out = append(out, g)
	}
	return out
}

func (in Input) vips() []VIP {
	out := []VIP{}
	homes := in.Tables.Homes(in.Data.Homes())
	for _, vip := range in.Tables.VIPs() {
		v := VIP{VIP: vip, Group: in.Tables.GroupOf(vip), Home: homes[vip].Host}
		for _, r := range in.Tables.Operation.ForVIP(vip) { // more than one in faulty files
			v.Holder, v.Real = r.Host, r.Real
		}
		for _, r := range in.Tables.Separation.ForVIP(vip) {
			v.Separated = r.Host
		}
		out = append(out, v)
	}
	return out
}

func (in Input) reals() []Real {
	out := []Real{}
	add := func(ip netip.Addr, state string, watts float64) {
		if slices.ContainsFunc(out, func(r Real) bool { return r.Real == ip }) {
			return
		}
		x := Real{Real: ip, State: state, Watts: watts, Servers: in.on(ip)}
		w := in.Wake(ip)
		x.WakeMissed = w.Missed
		if n := len(w.TookSeconds); n > 0 {
			x.WakeTook = w.TookSeconds[n-1]
		}
		for _, d := range in.Data.Reals {
			if d.IP == ip {
				x.Host = d.Host
			}
		}
		out = append(out, x)
	}
	for _, r := range in.Tables.Real {
		add(r.IP, "active", in.Settings.PowerOf(r.IP).ActiveW)
	}
	for _, r := range in.Tables.Suspended {
		add(r.IP, "suspended", in.Settings.PowerOf(r.IP).SuspendedW)
	}
	for _, d := range in.Data.Reals {
		add(d.IP, "out", 0)
	}
	slices.SortFunc(out, func(a, b Real) int { return a.Real.Compare(b.Real) })
	return out
}

func (in Input) on(real netip.Addr) []string {
	return append([]string{}, slices.Concat(in.Tables.Operation, in.Tables.AccessStop).On(real).Hosts()...)
}

func (in Input) recoveries() []Recovery {
	out := []Recovery{}
	for _, row := range in.Tables.Separation {
		if slices.ContainsFunc(out, func(r Recovery) bool { return r.Host == row.Host }) {
			continue
		}
		b := in.Budget(row.Host)
		r := Recovery{Host: row.Host, Group: row.Group, Real: row.Real, VIPs: in.Tables.Separation.Of(row.Host).VIPs(),
			ServedBy: []string{}, Failed: slices.Contains(in.Failed, row.Host), Exhausted: b.Exhausted, Until: b.Until, Owner: "nobody"}
		if in.Monitored(row.Host) {
			r.Owner = "its monitor"
		}
		for _, o := range in.Tables.Operation {
			if slices.Contains(r.VIPs, o.VIP) && !slices.Contains(r.ServedBy, o.Host) {
				r.ServedBy = append(r.ServedBy, o.Host)
			}
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Recovery) int { return cmp.Compare(a.Host, b.Host) })
	return out
}

// unmonitored lists the servers that should have a monitor and have none: home
// servers, real servers, spares in use, and serving backups unless their
// target's monitor watches them.
func (in Input) unmonitored() []string {
	out := []string{}
	miss := func(host string) {
		if !in.Monitored(host) && !slices.Contains(out, host) {
			out = append(out, host)
		}
	}
	for _, d := range in.Data.Servers {
		if d.VIP.IsValid() {
			miss(d.Host)
		}
	}
	for _, d := range in.Data.Reals {
		miss(d.Host)
	}
	for _, r := range in.Tables.Rows() {
		target, backup := in.Data.TargetOf(r.Host)
		if in.Tables.IsSpare(r.Host) || backup && !in.Monitored(target.Host) {
			miss(r.Host)
		}
	}
	slices.Sort(out)
	return out
}

// warn collects what an operator should look at.
func (r *Report) warn() {
	say := func(format string, a ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, a...)) }
	switch {
	case !r.PSS.Running:
		say("pss is not running")
	case r.PSS.LastCycle.IsZero():
		say("pss has not finished a cycle yet")
	case r.PSS.Stale:
		say("the last cycle of pss is from %s: loads are stale", r.PSS.LastCycle.Format(time.DateTime))
	}
	if len(r.PSS.Faults) > 0 {
		say("the files cannot be used, nothing is shifted")
	}
	for _, x := range r.Recoveries {
		switch {
		case x.Exhausted:
			say("%s has used up its restart budget and is left alone until %s", x.Host, x.Until.Format(time.DateTime))
		case len(x.ServedBy) == 0:
			say("nobody serves the VIPs of %s", x.Host)
		}
	}
	for _, m := range r.Moving {
		if r.At.Sub(m.Given) > longestMove {
			say("%v %s", m.VIP, mayCome(m))
		}
	}
	for _, host := range r.Unmonitored {
		say("the monitor of %s is not running", host)
	}
	for _, x := range r.Reals {
		if !x.WakeMissed.IsZero() {
			say("%v did not wake at %s and is not put to sleep until it has answered again", x.Real, x.WakeMissed.Format(time.DateTime))
		}
	}
}

// longestMove is how long a move may keep the lock over the files.
const longestMove = 5 * time.Second

// mayCome is what an operator should know of a move that did not end.
func mayCome(m ipc.Move) string {
	if len(m.On) == 0 {
		return "was being moved, pss looks where it is"
	}
	var hosts []string
	for _, g := range m.On {
		hosts = append(hosts, g.Host)
	}
	return fmt.Sprintf("may still come to %s: given to no other server until that is known", strings.Join(hosts, ", "))
}
