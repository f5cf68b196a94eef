package verbs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// Look answers A1 and A2: what the files say of the virtual server host.
func (f Facts) Look(t cluster.Tables, host string) ipc.Reply {
	state, rows := t.Standing(host)
	reply := ipc.Reply{
		OK: true, State: state, VIPs: rows.VIPs(), AllVIPs: t.VIPs(), Active: t.Real.IPs(),
		Failed: state == cluster.Separated && f.IsFailed(t, host),
	}
	if len(rows) > 0 {
		reply.Real = f.realName(t, rows[0].Real)
	}
	who, backup := f.target(t, host), f.backupOf(host)
	for _, vip := range reply.VIPs {
		served := ipc.ServedVIP{VIP: vip}
		if h, ok := who.Taken(t, backup, vip); ok {
			served.Host, served.IP, served.Real = h.Host, h.IP, h.Real
		}
		reply.Serving = append(reply.Serving, served)
		if f.Moving == nil {
			continue
		}
		if move, marked := f.Moving(vip); marked {
			reply.Moving = append(reply.Moving, move)
		}
	}
	return reply
}

// LookHeld answers hold: A1's reply with the rows of target and backup.
func (f Facts) LookHeld(t cluster.Tables, host, backup string) ipc.Reply {
	reply := f.Look(t, host)
	rows := f.HeldRows(t, host, backup)
	rows.Real = reply.Real
	reply.Rows, reply.Token = &rows, f.Token(t, host, backup)
	return reply
}

// realName spells where a server is; "out" if its real server is in neither file.
func (f Facts) realName(t cluster.Tables, real netip.Addr) string {
	if real != f.Management && t.RealStanding(real) == cluster.RealOutside {
		return string(cluster.RealOutside)
	}
	return real.String()
}

// LookAtReal answers B1 and B2.
func (f Facts) LookAtReal(t cluster.Tables, real netip.Addr) ipc.Reply {
	reply := ipc.Reply{OK: true, State: t.RealStanding(real), AllVIPs: t.VIPs(), Placed: placed(t)}
	reply.Separated = t.Separation.On(real).Hosts()
	for _, host := range reply.Separated {
		if !f.Owned(host) {
			reply.Orphans = append(reply.Orphans, host)
		}
	}
	reply.Stopped = t.AccessStop.On(real).Hosts()
	for _, row := range t.Spares {
		reply.Spares = append(reply.Spares, row.Host)
	}
	return reply
}

// Report is the reply of an edit, from the files as it left them.
func (f Facts) Report(t cluster.Tables, req ipc.Request) ipc.Reply {
	if req.Verb == ipc.B3 || req.Verb == ipc.B4 {
		return ipc.Reply{State: t.RealStanding(req.Real), Active: t.Real.IPs(), Placed: placed(t)}
	}
	return f.Look(t, req.Host)
}

// placed is every row of operation as B1 to B4 tell it.
func placed(t cluster.Tables) []ipc.PlacedGuest {
	out := make([]ipc.PlacedGuest, len(t.Operation))
	for i, r := range t.Operation {
		out[i] = ipc.PlacedGuest{Host: r.Host, Real: r.Real, VIP: r.VIP}
	}
	return out
}

// HeldRows are the rows that a hold for a target and its backup shows.
func (f Facts) HeldRows(t cluster.Tables, host, backup string) ipc.HeldRows {
	h := ipc.HeldRows{
		TargetOperation:  t.Operation.Of(host),
		TargetAccessStop: t.AccessStop.Of(host),
		TargetSeparation: t.Separation.Of(host),
	}
	if backup != "" {
		h.BackupOperation = t.Operation.Of(backup)
	}
	vips := slices.Concat(h.TargetOperation, h.TargetAccessStop, h.TargetSeparation).VIPs()
	h.Operation = t.Operation.Where(func(r cluster.ServerRow) bool { return slices.Contains(vips, r.VIP) })
	who := f.target(t, host)
	if r, ok := who.Taken(t, backup, who.Home); ok && !slices.Contains(h.Operation, r) && slices.Contains(vips, r.VIP) {
		h.Operation = append(h.Operation, r)
	}
	return h
}

// Token names the rows that a hold showed, so that an A5 or B4 whose
// connection broke is done later only if they are still the same.
func (f Facts) Token(t cluster.Tables, host, backup string) string {
	b, err := json.Marshal(f.HeldRows(t, host, backup))
	if err != nil {
		return "" // rows of plain strings and addresses always marshal
	}
	sum := sha256.Sum256(b)
	return host + "/" + backup + "/" + hex.EncodeToString(sum[:8])
}
