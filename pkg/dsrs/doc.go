// Package dsrs is the dynamic server recovery system: the monitor of one real
// server (paper, section 2.8 and Fig. 9(b)).
//
// Its states, each with those that may follow it:
//
//	normal          -> suspended, trouble, waiting (B1; no answer; in neither real server file)
//	suspended       -> normal (B1)
//	trouble         -> normal, suspended, cut-off, confirmed (B2; asked again; no network reference answers)
//	cut-off         -> trouble (a network reference answers)
//	confirmed       -> normal, suspended, waiting, hypervisor-down (B3)
//	waiting         -> waking, stripping (restart_wait is over; it answers)
//	waking          -> normal, suspended, stripping, given-up (magic packets)
//	hypervisor-down -> waiting, stripping, given-up (only its daemon is down, and restarted)
//	given-up        -> normal, suspended, hypervisor-down, stripping (restore_deadline is over)
//	stripping       -> suspended, waiting, restoring, hypervisor-down (until no stale VIP is left)
//	restoring       -> normal, suspended (servers of line 4, VIPs back, B4, their dbss)
//
// While the real server is normal, the servers of line 4 that are separated
// and that nobody owns are restored too, and monitors that nobody runs are
// started. The package opens none of the seven files: its sif does (SPEC 7).
package dsrs
