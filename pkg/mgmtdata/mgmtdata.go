// Package mgmtdata reads the management data of the monitors (paper, Table 2):
// eight lines for a virtual server (DBSS), four for a real server (DSRS). The
// files are read-only; a line's number is its meaning.
package mgmtdata

import (
	"net/netip"

	"pss-msbs/pkg/cluster"
)

// Server is the management data of a DBSS (Table 2, M1.dat and Mb.dat).
type Server struct {
	VIP      netip.Addr `json:"vip,omitzero"` // line 1; the home VIP, zero for a backup
	Host     string     `json:"host"`         // line 2
	IP       netip.Addr `json:"ip"`           // line 3
	Group    string     `json:"group"`        // line 4
	Daemons  []string   `json:"daemons"`      // line 5
	Backup   string     `json:"backup,omitempty"`
	BackupIP netip.Addr `json:"backupIP,omitzero"`
	Real     netip.Addr `json:"real,omitzero"` // line 8; zero for a backup
}

// Real is the management data of a DSRS (Table 2, RS1.dat).
type Real struct {
	IP      netip.Addr  `json:"ip"`
	Host    string      `json:"host"`
	MAC     cluster.MAC `json:"mac"`
	Servers []string    `json:"servers"`
}
