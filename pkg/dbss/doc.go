// Package dbss is the monitor of one virtual server (paper, section 3.2; SPEC 5).
// It knows its target and the target's backup and nothing else; whatever the
// PSS files say it hears from its companion sif at the arrows A1 to A5.
//
// Its states (Fig. 9(a)), each with those that may follow it:
//
//	starting           -> waiting, normal, taking over, recovering, ended (A1 says where it stands)
//	waiting            -> normal, taking over, recovering (A1: no longer in access stop)
//	normal             -> waiting, re-examining, taking over, recovering (A1, and what it monitors)
//	re-examining       -> normal, waiting, restarting service, taking over, recovering (A2; no trouble, or proved)
//	restarting service -> normal, taking over, re-examining (it answers, or not, or its host is silent)
//	taking over        -> recovering, giving back, normal, waiting, re-examining (A3, fence, backup, VIPs, A4)
//	recovering         -> giving back, moving backup, handing over, taking over, normal, waiting, ended (the background job)
//	giving back        -> normal, waiting, recovering (VIPs, A5)
//	moving backup      -> handing over, recovering (A5 moving, moved)
//	handing over       -> ended, recovering (the backup's own monitor starts)
//
// Everything is derived from the files and from the servers at the start, so
// a monitor that was killed anywhere is continued by its successor.
package dbss
