package cluster

import (
	"net/netip"
	"slices"
)

// StateRow is a row of the state file: the group's condition and its base
// servers B1..Bn in order of preference, at least one.
type StateRow struct {
	Group     string       `json:"group"`
	Condition Condition    `json:"condition"`
	Bases     []netip.Addr `json:"bases"`
}

// StateOf returns the state row of a group, if it has one.
func (t Tables) StateOf(group string) (StateRow, bool) {
	i := slices.IndexFunc(t.State, func(s StateRow) bool { return s.Group == group })
	if i < 0 {
		return StateRow{}, false
	}
	return t.State[i], true
}

// Condition is a group's recorded condition; Moderate where no row records one.
func (t Tables) Condition(group string) Condition {
	if row, ok := t.StateOf(group); ok {
		return row.Condition
	}
	return Moderate
}

// AwakeBase returns the first base server of a group that is active; the zero
// address where none is.
func (t Tables) AwakeBase(group string) netip.Addr {
	row, _ := t.StateOf(group)
	if i := slices.IndexFunc(row.Bases, t.IsActive); i >= 0 {
		return row.Bases[i]
	}
	return netip.Addr{}
}

// Groups returns every group that a row names, those of the state file first
// and in its order, others by name.
func (t Tables) Groups() []string {
	var out, rest []string
	for _, s := range t.State {
		out = append(out, s.Group)
	}
	for _, r := range t.Rows() {
		if !slices.Contains(out, r.Group) {
			rest = append(rest, r.Group)
		}
	}
	slices.Sort(rest)
	return append(out, slices.Compact(rest)...)
}

// GroupOf returns the group whose VIP it is, "" for a VIP of nobody.
func (t Tables) GroupOf(vip netip.Addr) string {
	if rows := t.Rows().ForVIP(vip); len(rows) > 0 {
		return rows[0].Group
	}
	return ""
}

// InGroup returns what the files say of one group: its rows about servers
// sorted, so that their order does not matter, its spares in file order and its
// state. Real servers, which belong to no group, are left out.
func (t Tables) InGroup(group string) Tables {
	sorted := func(rows Rows) Rows {
		rows = rows.InGroup(group)
		slices.SortFunc(rows, ServerRow.Compare)
		return rows
	}
	out := Tables{Operation: sorted(t.Operation), AccessStop: sorted(t.AccessStop), Separation: sorted(t.Separation)}
	for _, s := range t.Spares {
		if s.Group == group {
			out.Spares = append(out.Spares, s)
		}
	}
	if row, ok := t.StateOf(group); ok {
		out.State = []StateRow{row}
	}
	return out
}
