package model

import (
	"fmt"
	"math/bits"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
)

// wrong says what of SPEC 10 a state breaks, or "".
func (y *System) wrong(s State) string {
	g := stepper{System: y, s: s}
	for i, ip := range y.vips {
		if h := g.settledHolders(&s, i); bits.OnesCount16(uint16(h)) > 1 {
			return fmt.Sprintf("two reachable servers hold %s: %s", ip, y.namesOf(h))
		}
	}
	for h := range y.reals {
		if s.hosts[h] != asleep {
			continue
		}
		for i, q := range s.guests {
			if int(q.at) == h && q.vips != 0 && q.power == up {
				return fmt.Sprintf("%s sleeps with a VIP on %s", y.reals[h].Host, y.guests[i].Host)
			}
		}
	}
	files := s.files
	if s.journal != 0 {
		files = s.journal // who looks next finishes it
		if y.scope.Broken == NoRecovery {
			files = s.files
		}
	}
	for h, r := range y.reals {
		if s.hosts[h] == asleep && y.view(files).reals[h] != cluster.RealAsleep {
			return r.Host + " sleeps and the files do not say so"
		}
	}
	return y.unsound(files)
}

func (y *System) namesOf(set guests) []string {
	var out []string
	for i, g := range y.guests {
		if set&(1<<i) != 0 {
			out = append(out, g.Host)
		}
	}
	return out
}

// unsound says what is wrong with tables: SPEC 3 and 10.
func (y *System) unsound(files int16) string {
	if why, ok := y.memo.sounds[files]; ok {
		return why
	}
	t := y.tables.all[files]
	why := y.lostRow(t)
	if why == "" {
		why = faults(t)
	}
	for _, r := range t.Suspended {
		if why == "" && t.Needs(r.IP) {
			why = fmt.Sprintf("%v may sleep and a server there serves or is in separation", r.IP)
		}
	}
	if why != "" {
		why += ": " + text(t)
	}
	y.memo.sounds[files] = why
	return why
}

// lostRow says what is not conserved.
func (y *System) lostRow(t cluster.Tables) string {
	all := []cluster.Rows{t.Operation, t.AccessStop, t.Separation}
	for i, d := range y.servers[:homesN] {
		in := 0
		for _, rows := range all {
			in += int(yes(rows.Has(d.Host)))
		}
		if in != 1 {
			return fmt.Sprintf("%s stands in %d of the three files", d.Host, in)
		}
		if !slices.Concat(t.Operation, t.Separation).HasVIP(y.vips[i]) {
			return fmt.Sprintf("%s stands neither in operation nor in separation", y.vips[i])
		}
		for _, r := range t.Operation.Of(d.Backup) {
			if !t.Separation.Of(d.Host).HasVIP(r.VIP) {
				return fmt.Sprintf("%s serves %s, which is no VIP of %s", d.Backup, r.VIP, d.Host)
			}
		}
	}
	if len(t.Spares) != len(y.groups) || len(t.State) != len(y.groups) {
		return "a row of the spare-server or state file is lost"
	}
	return ""
}

// faults is what conffile says against tables; a transaction that would write
// them is refused, and a reader could not use them.
func faults(t cluster.Tables) string {
	blank, _ := conffile.Parse("", map[string][]byte{})
	_, found := conffile.Parse("", blank.Format(t, conffile.Names()...))
	if len(found) > 0 {
		return found[0].String()
	}
	return ""
}

// well reports whether all is done: everything is served as the files say, nobody
// is at work, the loads have had their way.
func (y *System) well(s State) bool {
	if s.lock != nobody || s.journal != 0 || s.late != 0 {
		return false
	}
	for p := range y.names {
		if want := uint8(started); s.procs[p].pc != want && !(y.isTask(int8(p)) && s.procs[p].pc == 0) {
			return false
		}
	}
	for i, group := range y.groups {
		if int(s.wants[i]) < len(y.scope.Wants[group]) {
			return false
		}
	}
	g := stepper{System: y, s: s}
	v := y.view(s.files)
	for i := range y.vips {
		if v.sep != 0 || v.holder[i] == nobody || g.holders(&s, i) != 1<<v.holder[i] {
			return false
		}
	}
	for h := range y.reals {
		if (s.hosts[h] == awake) != (v.reals[h] == cluster.RealActive) {
			return false
		}
	}
	return y.plan(s.files, [2]cluster.Condition{g.want(0), g.want(1)}) == 0
}
