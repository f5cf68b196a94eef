package sif

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// lookAt answers A1 and A2: what the files say of the virtual server host.
func (s *Server) lookAt(t cluster.Tables, host string) ipc.Reply {
	state, rows := stateOf(t, host)
	reply := ipc.Reply{
		OK: true, State: state, VIPs: cluster.VIPsOf(rows), AllVIPs: t.VIPs(), Active: active(t),
		Failed: state == ipc.Separated && s.failed(t, host),
	}
	if len(rows) > 0 {
		reply.Real = s.realName(t, rows[0].Real)
	}
	for _, vip := range reply.VIPs {
		served := ipc.ServedVIP{VIP: vip}
		if h, ok := holderOf(t, vip); ok {
			served.Host, served.IP, served.Real = h.Host, h.IP, h.Real
		}
		reply.Serving = append(reply.Serving, served)
	}
	return reply
}

// failed tells whether what stands only in separation of host is pss's: an
// A4-failed was reported for it, or for its backup, whose monitor had taken the
// same VIPs to separation.
func (s *Server) failed(t cluster.Tables, host string) bool {
	if s.opt.Failed.Has(host) {
		return true
	}
	return slices.ContainsFunc(t.Separation, func(r cluster.ServerRow) bool {
		_, served := holderOf(t, r.VIP)
		return r.Host != host && !served && s.opt.Failed.Has(r.Host) && slices.Contains(cluster.VIPsOf(cluster.RowsOf(t.Separation, host)), r.VIP)
	})
}

// realName spells where a server is; "out" if its real server is in neither file.
func (s *Server) realName(t cluster.Tables, real netip.Addr) string {
	if real != s.opt.Management && realState(t, real) == ipc.RealOutside {
		return string(ipc.RealOutside)
	}
	return real.String()
}

// lookAtReal answers B1 and B2.
func (s *Server) lookAtReal(t cluster.Tables, real netip.Addr) ipc.Reply {
	reply := ipc.Reply{OK: true, State: realState(t, real), AllVIPs: t.VIPs(), Placed: placed(t)}
	for _, host := range hostsOn(t.Separation, real) {
		if !s.owned(host) {
			reply.Orphans = append(reply.Orphans, host)
		}
	}
	reply.Stopped = hostsOn(t.AccessStop, real)
	for _, row := range t.Spares {
		reply.Spares = append(reply.Spares, row.Host)
	}
	return reply
}

func placed(t cluster.Tables) []ipc.PlacedGuest {
	out := make([]ipc.PlacedGuest, len(t.Operation))
	for i, r := range t.Operation {
		out[i] = ipc.PlacedGuest{Host: r.Host, Real: r.Real, VIP: r.VIP}
	}
	return out
}

// hostsOn are the servers of rows on a real server, sorted, each once.
func hostsOn(rows []cluster.ServerRow, real netip.Addr) []string {
	var out []string
	for _, r := range rows {
		if r.Real == real {
			out = append(out, r.Host)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// lookHeld answers hold: A1's reply with the rows of target and backup.
func (s *Server) lookHeld(t cluster.Tables, req ipc.Request) ipc.Reply {
	reply := s.lookAt(t, req.Host)
	rows := heldRows(t, req.Host, backupOf(req))
	rows.Real = reply.Real
	reply.Rows, reply.Token = &rows, token(t, req.Host, backupOf(req))
	return reply
}

func backupOf(req ipc.Request) string {
	if req.Backup == nil {
		return ""
	}
	return req.Backup.Host
}

func heldRows(t cluster.Tables, host, backup string) ipc.HeldRows {
	h := ipc.HeldRows{
		TargetOperation:  cluster.RowsOf(t.Operation, host),
		TargetAccessStop: cluster.RowsOf(t.AccessStop, host),
		TargetSeparation: cluster.RowsOf(t.Separation, host),
	}
	if backup != "" {
		h.BackupOperation = cluster.RowsOf(t.Operation, backup)
	}
	var vips []netip.Addr
	for _, rows := range [][]cluster.ServerRow{h.TargetOperation, h.TargetAccessStop, h.TargetSeparation} {
		vips = append(vips, cluster.VIPsOf(rows)...)
	}
	h.Operation = without(t.Operation, func(r cluster.ServerRow) bool { return !slices.Contains(vips, r.VIP) })
	return h
}

// token names the rows that a hold showed, so that an A5 or B4 whose
// connection broke is done later only if they are still the same.
func token(t cluster.Tables, host, backup string) string {
	b, err := json.Marshal(heldRows(t, host, backup))
	if err != nil {
		return "" // rows of plain strings and addresses always marshal
	}
	sum := sha256.Sum256(b)
	return host + "/" + backup + "/" + hex.EncodeToString(sum[:8])
}
