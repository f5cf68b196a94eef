// Package ipc is the protocol between sif and its masters (SPEC 7): JSON, one
// object a line, over a Unix stream socket in the run directory.
package ipc

import (
	"net/netip"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/mgmtdata"
)

// Verb names a request; A1..A5 and B1..B4 are the labels of Fig. 9.
type Verb string

// The verbs of SPEC 7.
const (
	A1         Verb = "A1"
	A2         Verb = "A2"
	A3         Verb = "A3"
	A4         Verb = "A4"
	A4Failed   Verb = "A4-failed"
	A5         Verb = "A5"
	Hold       Verb = "hold"
	Release    Verb = "release"
	B1         Verb = "B1"
	B2         Verb = "B2"
	B3         Verb = "B3"
	B4         Verb = "B4"
	SpareStart Verb = "spare-start"
	SpareStop  Verb = "spare-stop"
	Watch      Verb = "watch" // replies once at once and again after every change of the files
)

// Outcome is what an A5 reports.
type Outcome string

// The outcomes of A5 (SPEC 5).
const (
	Recovered Outcome = "recovered" // the target serves again
	Moving    Outcome = "moving"    // the backup is about to migrate to Real
	Moved     Outcome = "moved"     // the backup is on Real: the migration is done, or it failed and Real is where the backup stayed
)

// Server is a virtual server as a request names it.
type Server struct {
	Host  string     `json:"host"`
	IP    netip.Addr `json:"ip"`
	Group string     `json:"group"`
}

// BackupOf is the backup of srv, nil where it has none.
func BackupOf(srv mgmtdata.Server) *Server {
	if srv.Backup == "" {
		return nil
	}
	return &Server{Host: srv.Backup, IP: srv.BackupIP, Group: srv.Group}
}

// Name is the server's name, "" for none.
func (s *Server) Name() string {
	if s == nil {
		return ""
	}
	return s.Host
}

// Request is one line from a master to its sif.
type Request struct {
	Verb       Verb   `json:"verb"`
	Host       string `json:"host"`              // the target: virtual server for A, real server for B
	Program    string `json:"program,omitempty"` // who asks
	PID        int    `json:"pid,omitempty"`
	DeadlineMS int64  `json:"deadline_ms,omitempty"` // wall-clock instant (Unix, ms) until which the caller waits; dropped when passed

	Backup  *Server    `json:"backup,omitempty"`  // A4, A5, hold: the backup of the .dat
	Real    netip.Addr `json:"real,omitzero"`     // B verbs: the real server; A4: where the backup runs (the management server); A5 moving, moved: the destination
	Outcome Outcome    `json:"outcome,omitempty"` // A5
	Servers []Restored `json:"servers,omitempty"` // B4: the servers that serve again (each under a hold of its own), empty for "only the host"

	MAC   cluster.MAC      `json:"mac,omitzero"`    // B4: of the real server, whose row B3 took out
	Token string           `json:"token,omitempty"` // A5, B4 of a hold: what the hold replied (set by Session)
	Dat   *mgmtdata.Server `json:"dat,omitempty"`   // spare-start
}

// Restored is one server of a B4: the target and the backup that stood in for it.
type Restored struct {
	Target Server  `json:"target"`
	Backup *Server `json:"backup,omitempty"`
}

// Reply is one line from a sif to its master.
type Reply struct {
	OK    bool             `json:"ok"`
	Error string           `json:"error,omitempty"`
	Retry bool             `json:"retry,omitempty"` // with an error: no refusal, sif could not do it now (lock, disk)
	State cluster.Standing `json:"state,omitempty"` // A1, A2, B1, B2; also with an error, where it explains the refusal

	VIPs      []netip.Addr  `json:"vips,omitempty"`      // A1, A2: the target's VIPs in its state
	AllVIPs   []netip.Addr  `json:"allVIPs,omitempty"`   // A1, A2, B1, B2: all VIPs of the system
	Real      string        `json:"real,omitempty"`      // A1, A2, A3: the target's real server; "out" if in neither real file
	Serving   []ServedVIP   `json:"serving,omitempty"`   // A1, A2: who serves the VIPs of the target
	Active    []netip.Addr  `json:"active,omitempty"`    // A verbs, B3, hold: active real servers
	Failed    bool          `json:"failed,omitempty"`    // A1, A2, hold: A4-failed was reported: what stands only in separation is pss's, no takeover
	Moving    []Move        `json:"moving,omitempty"`    // A1, A2, A3, hold: of VIPs, those that pss was moving when it died, or whose move it could not end: another server may answer for them
	Rows      *HeldRows     `json:"rows,omitempty"`      // hold
	Token     string        `json:"token,omitempty"`     // hold: names the rows as they are now
	UntilMS   int64         `json:"until_ms,omitempty"`  // hold: wall-clock instant (Unix, ms) at which it is released unchanged
	Orphans   []string      `json:"orphans,omitempty"`   // B1, B2: separated servers of this real server whose monitor lock nobody holds
	Separated []string      `json:"separated,omitempty"` // B1, B2: servers in separation on this real server
	Stopped   []string      `json:"stopped,omitempty"`   // B1, B2: servers in access stop on this real server
	Spares    []string      `json:"spares,omitempty"`    // B1, B2: every host of the spare-server file
	Placed    []PlacedGuest `json:"placed,omitempty"`    // B1, B2, B3: every row of operation, for stripping
}

// ServedVIP says who holds a VIP in the operation file ("" if nobody).
type ServedVIP struct {
	VIP  netip.Addr `json:"vip"`
	Host string     `json:"host,omitempty"`
	IP   netip.Addr `json:"ip,omitzero"`
	Real netip.Addr `json:"real,omitzero"`
}

// PlacedGuest says where the files place a server in operation and with which VIP.
type PlacedGuest struct {
	Host string     `json:"host"`
	Real netip.Addr `json:"real"`
	VIP  netip.Addr `json:"vip"`
}

// HeldRows are the rows of the target and its backup as they are now, under the lock.
type HeldRows struct {
	TargetOperation  cluster.Rows `json:"targetOperation,omitempty"`
	TargetAccessStop cluster.Rows `json:"targetAccessStop,omitempty"`
	TargetSeparation cluster.Rows `json:"targetSeparation,omitempty"`
	BackupOperation  cluster.Rows `json:"backupOperation,omitempty"`
	Operation        cluster.Rows `json:"operation,omitempty"` // rows of others that hold a VIP of the target, or are about to
	Real             string       `json:"real,omitempty"`      // as in A1
}
