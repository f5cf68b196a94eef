package edits

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pss-msbs/pkg/cluster"
)

// home is a home server of the modelled system: four Mail servers on two real
// servers, each with a backup.
type home struct {
	row    cluster.ServerRow
	backup cluster.Guest
}

func modelled() []home {
	var out []home
	for i := range 4 {
		n := fmt.Sprint(i + 1)
		out = append(out, home{
			row:    cluster.ServerRow{Group: "Mail", Real: ip(fmt.Sprint(201 + i%2)), VIP: ip("10" + n), Host: "M" + n, IP: ip(n)},
			backup: cluster.Guest{Host: "Mb" + n, IP: ip("6" + n), Real: mgmt},
		})
	}
	return out
}

// world is the files, the set of failed servers, and what pss may do to them.
type world struct {
	homes  []home
	t      cluster.Tables
	failed map[string]bool
}

func newWorld() *world {
	w := &world{homes: modelled(), failed: map[string]bool{}}
	for _, h := range w.homes {
		w.t.Operation = append(w.t.Operation, h.row)
	}
	w.t.Real = []cluster.RealRow{{IP: ip("201"), MAC: cluster.MAC{5: 1}}, {IP: ip("202"), MAC: cluster.MAC{5: 2}}}
	return w
}

// step does one verb for h, or one move of pss. Refusals are part of life.
func (w *world) step(kind string, h home, other home) error {
	before := w.t.Clone()
	switch kind {
	case "A3":
		err := Separate(&w.t, h.row.Host)
		if len(before.Operation) != len(w.t.Operation) {
			delete(w.failed, h.row.Host)
		}
		return err
	case "A3 backup":
		return Separate(&w.t, h.backup.Host)
	case "A5 backup":
		return GiveBack(&w.t, Target{Host: h.backup.Host, Kind: BackupKind}, "")
	case "A4":
		if w.failed[h.row.Host] {
			return nil
		}
		return Substitute(&w.t, h.row.Host, h.backup)
	case "A4-failed":
		err := Abandon(&w.t, h.row.Host, h.backup.Host)
		w.failed[h.row.Host] = w.failed[h.row.Host] || err == nil
		return err
	case "A5", "B4":
		err := GiveBack(&w.t, Target{Host: h.row.Host, Kind: HomeKind, Home: h.row.VIP}, h.backup.Host)
		if err == nil {
			delete(w.failed, h.row.Host)
		}
		return err
	case "moving":
		return Relocate(&w.t, h.row.Host, h.backup.On(other.row.Real))
	case "B3":
		return DropReal(&w.t, h.row.Real)
	case "B4 real":
		return ReturnReal(&w.t, cluster.RealRow{IP: h.row.Real, MAC: cluster.MAC{5: 1}})
	}
	w.pss(h, other.row.Host)
	return nil
}

// pss gives the home VIP of h to the home server to: away from a home server
// that serves it, from a backup that only held it for another's sake, or out
// of a failed server's separation. Never to a server in separation.
func (w *world) pss(h home, to string) {
	i := slices.IndexFunc(w.homes, func(x home) bool { return x.row.Host == to })
	if state, _ := w.t.Standing(to); state == cluster.Separated {
		return
	}
	old, held := w.t.Holder(h.row.VIP)
	owner := h.row.Host
	if held && old.Host == to || !held && !w.failedOwns(h.row.VIP) {
		return
	}
	if state, _ := w.t.Standing(owner); held && state == cluster.Separated && old.Host != owner {
		return // left to its owner
	}
	row := w.homes[i].row
	row.VIP = h.row.VIP
	w.t.Operation = append(w.t.Operation.Where(func(r cluster.ServerRow) bool { return r.VIP != h.row.VIP }), row)
	w.t.AccessStop = w.t.AccessStop.Without(to)
	for _, x := range w.homes { // a home server that loses its last separation row keeps one for its home VIP
		rows := w.t.Separation.Of(x.row.Host)
		if len(rows) == 1 && rows[0].VIP == h.row.VIP && x.row.Host != owner {
			w.t.Separation = append(w.t.Separation, x.row)
		}
	}
	w.t.Separation = w.t.Separation.Where(func(r cluster.ServerRow) bool {
		return r.VIP != h.row.VIP || r.Host == owner
	})
	w.stop(old.Host)
}

// failedOwns reports whether a failed server has a separation row for vip.
func (w *world) failedOwns(vip netip.Addr) bool {
	return slices.ContainsFunc(w.t.Separation, func(r cluster.ServerRow) bool { return r.VIP == vip && w.failed[r.Host] })
}

// stop puts a home server that lost its last VIP into access stop.
func (w *world) stop(host string) {
	i := slices.IndexFunc(w.homes, func(x home) bool { return x.row.Host == host })
	if state, _ := w.t.Standing(host); i >= 0 && state == cluster.NotInFiles {
		w.t.AccessStop = append(w.t.AccessStop, w.homes[i].row)
	}
}

// check is SPEC 3 and 10: no lost row, no VIP twice, every home server in
// exactly one of the three files, a backup only with VIPs of its target.
func (w *world) check(t *rapid.T) {
	served := map[netip.Addr]int{}
	for _, r := range w.t.Operation {
		served[r.VIP]++
	}
	for _, h := range w.homes {
		vip, host := h.row.VIP, h.row.Host
		separated := slices.ContainsFunc(w.t.Separation, func(r cluster.ServerRow) bool { return r.VIP == vip })
		if served[vip] > 1 || served[vip] == 0 && !separated {
			t.Fatalf("VIP %s: %d rows in operation, in separation: %v", vip, served[vip], separated)
		}
		in := 0
		for _, rows := range []cluster.Rows{w.t.Operation, w.t.AccessStop, w.t.Separation} {
			if rows.Has(host) {
				in++
			}
		}
		if in != 1 {
			t.Fatalf("%s stands in %d of the three files", host, in)
		}
		for _, r := range w.t.Operation.Of(h.backup.Host) {
			if !slices.ContainsFunc(w.t.Separation.Of(host), func(s cluster.ServerRow) bool { return s.VIP == r.VIP }) {
				t.Fatalf("%s serves %s, which is no VIP of %s", h.backup.Host, r.VIP, host)
			}
		}
	}
	for _, rows := range []cluster.Rows{w.t.Operation, w.t.AccessStop, w.t.Separation} {
		seen := map[string]bool{}
		for _, r := range rows {
			key := r.VIP.String() + r.Host
			if seen[key] {
				t.Fatalf("(%s, %s) stands twice in one file", r.VIP, r.Host)
			}
			seen[key] = true
		}
	}
}

func TestAnySequenceOfVerbsConservesTheRows(t *testing.T) {
	kinds := []string{"A3", "A3 backup", "A4", "A4-failed", "A5", "A5 backup", "B4", "moving", "B3", "B4 real", "pss", "pss", "pss"}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			kind := rapid.SampledFrom(kinds).Draw(t, "kind")
			h := w.homes[rapid.IntRange(0, 3).Draw(t, "host")]
			other := w.homes[rapid.IntRange(0, 3).Draw(t, "other")]
			before := text(w.t)
			err := w.step(kind, h, other)
			if after := text(w.t); err != nil && after != before {
				t.Fatalf("%s of %s was refused (%v) and changed\n%sto\n%s", kind, h.row.Host, err, before, after)
			}
			w.check(t)
			if err == nil && kind != "pss" {
				once := text(w.t)
				if err := w.step(kind, h, other); err != nil || text(w.t) != once {
					t.Fatalf("repeated %s of %s: error %v, changed\n%sto\n%s", kind, h.row.Host, err, once, text(w.t))
				}
			}
		}
	})
}
