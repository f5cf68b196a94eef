package sif

import (
	"net/netip"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/protocol"
)

// lookAt answers A1 and A2.
func (s *Server) lookAt(t cluster.Tables, host string) ipc.Reply { return s.facts().Look(t, host) }

// lookAtReal answers B1 and B2.
func (s *Server) lookAtReal(t cluster.Tables, real netip.Addr) ipc.Reply {
	return protocol.LookAtReal(t, real, s.owned)
}

// lookHeld answers hold.
func (s *Server) lookHeld(t cluster.Tables, req ipc.Request) ipc.Reply {
	return s.facts().LookHeld(t, req.Host, protocol.BackupOf(req))
}
