package sim

import (
	"pss-msbs/pkg/sim/packet"
	"pss-msbs/pkg/sim/spec"
)

// What a fleet is described with, by the names that those who build one use.
type (
	Spec      = spec.Spec
	HostSpec  = spec.HostSpec
	GuestSpec = spec.GuestSpec
	VIPSpec   = spec.VIPSpec
	Balancer  = spec.Balancer
	Path      = packet.Path
)

// The kinds of guests and the states of real servers that callers ask for.
const (
	Virtual   = spec.Virtual
	Backup    = spec.Backup
	Spare     = spec.Spare
	Active    = spec.Active
	Suspended = spec.Suspended
	Off       = spec.Off
)
