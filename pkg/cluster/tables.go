// Package cluster holds the nouns of the system and nothing else: service
// groups, virtual, real, spare and backup servers, virtual IPs (VIPs),
// conditions, and the rows of the seven PSS files (paper, Table 1).
package cluster

import (
	"fmt"
	"net/netip"
	"slices"
)

// Condition is a service group's condition as the state file spells it
// (paper, Table 1).
type Condition string

// The three conditions of a service group (paper, section 2.2).
const (
	Moderate Condition = "Moderate"
	PS1      Condition = "Light(PS1)" // redundant on the base servers (Fig. 3)
	PS2      Condition = "Light(PS2)" // not redundant, on base server B1 (Fig. 4)
)

// ParseCondition reads a condition in the state file's words or in the short
// form (Moderate, PS1, PS2).
func ParseCondition(s string) (Condition, error) {
	switch s {
	case string(Moderate):
		return Moderate, nil
	case string(PS1), "PS1":
		return PS1, nil
	case string(PS2), "PS2":
		return PS2, nil
	}
	return "", fmt.Errorf("unknown condition %q: want Moderate, Light(PS1) or Light(PS2)", s)
}

// Depth orders conditions by how much they save: Moderate 0, PS1 1, PS2 2.
func (c Condition) Depth() int {
	switch c {
	case PS1:
		return 1
	case PS2:
		return 2
	}
	return 0
}

// Lighter reports whether c saves more power than o.
func (c Condition) Lighter(o Condition) bool { return c.Depth() > o.Depth() }

// Class is the load class of a service group (paper, section 2.6, Fig. 6(a)).
type Class string

// The load classes; Unknown is a group that was not examined this cycle.
const (
	LightLoad    Class = "light"
	ModerateLoad Class = "moderate"
	UnknownLoad  Class = "unknown"
)

// Type is the server type that weighs a group's loads (equations (7)-(9)).
type Type string

// The server types.
const (
	CPU     Type = "CPU"
	Network Type = "NETWORK"
	CPUNet  Type = "CPU_NET"
)

// Tables is what the seven PSS files say (paper, Table 1), row order kept.
type Tables struct {
	Operation  Rows // who serves which VIP
	AccessStop Rows // servers that hold no VIP, one row a VIP they get back
	Separation Rows // servers in trouble, with the VIPs they held
	Spares     []SpareRow
	Real       RealRows // active real servers
	Suspended  RealRows // real servers asleep
	State      []StateRow
}

// Clone returns a copy that shares no slice with t.
func (t Tables) Clone() Tables {
	c := t
	c.Operation = slices.Clone(t.Operation)
	c.AccessStop = slices.Clone(t.AccessStop)
	c.Separation = slices.Clone(t.Separation)
	c.Spares = slices.Clone(t.Spares)
	c.Real = slices.Clone(t.Real)
	c.Suspended = slices.Clone(t.Suspended)
	c.State = make([]StateRow, len(t.State))
	for i, s := range t.State {
		s.Bases = slices.Clone(s.Bases)
		c.State[i] = s
	}
	return c
}

// Rows returns the rows of all three files about servers: operation,
// access-stop and separation.
func (t Tables) Rows() Rows { return slices.Concat(t.Operation, t.AccessStop, t.Separation) }

// VIPs returns every VIP of the system once, in address order: those in
// operation and those that stand only in separation.
func (t Tables) VIPs() []netip.Addr { return t.Rows().VIPs() }

// Holder returns the operation row of a VIP, if somebody serves it.
func (t Tables) Holder(vip netip.Addr) (ServerRow, bool) {
	i := slices.IndexFunc(t.Operation, func(r ServerRow) bool { return r.VIP == vip })
	if i < 0 {
		return ServerRow{}, false
	}
	return t.Operation[i], true
}

// Serves reports whether host serves or is to serve again: it has a row in
// operation or separation.
func (t Tables) Serves(host string) bool { return t.Operation.Has(host) || t.Separation.Has(host) }

// Needs reports whether a server on real serves or is being recovered: such a
// real server may not sleep.
func (t Tables) Needs(real netip.Addr) bool {
	return len(t.Operation.On(real))+len(t.Separation.On(real)) > 0
}

// Lost reports whether host stands in separation on a real server that is not
// active: nothing of it can be monitored there.
func (t Tables) Lost(host string) bool {
	return slices.ContainsFunc(t.Separation.Of(host), func(r ServerRow) bool { return !t.IsActive(r.Real) })
}

// Unserved returns the VIPs of a group that stand in separation only.
func (t Tables) Unserved(group string) []netip.Addr {
	var out []netip.Addr
	for _, r := range t.Separation.InGroup(group) {
		if !t.Operation.HasVIP(r.VIP) {
			out = append(out, r.VIP)
		}
	}
	return out
}

// LeftToPSS reports whether vip is pss's to give to another server: it stands in
// separation only, and only in rows of the servers in failed (A4-failed; a row
// of any other server is its monitor's to serve).
func (t Tables) LeftToPSS(vip netip.Addr, failed []string) bool {
	rows := t.Separation.ForVIP(vip)
	others := slices.ContainsFunc(rows, func(r ServerRow) bool { return !slices.Contains(failed, r.Host) })
	return !others && len(rows) > 0 && !t.Operation.HasVIP(vip)
}
