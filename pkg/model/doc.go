// Package model checks the protocol between pss, dbss and dsrs (SPEC 3, 6, 7)
// by walking through every interleaving of small numbers of shifts, takeovers,
// restores and crashes.
//
// A state is the seven files with the journal beside them, the lock, the set of
// A4-failed, the power and addresses of every guest and real server, and where
// each process stands. What a process changes in the files it computes with the
// product's own functions: pkg/sif/verbs (what a request does), pkg/edits (the
// re-checks and edits of pss), pkg/plan and ipc.HeldRows (which VIPs a give-back
// moves), and what it does with addresses under the lock, in which order and how
// that is undone, pkg/handover's machine says. The rest is written here a second
// time, one atomic step for each point at which another process can come between:
//
//	pss   plan -> spares, receivers -> [lock: check, handover] -> save, [rows] -> [lock: row], sleep
//	dbss  A1 -> [A3] -> fence -> backup, VIPs on -> [A4] -> repair -> [hold: rows, handover, A5]
//	dsrs  B1 -> [B3] -> wake -> locks of monitors, strip -> boot -> [hold: rows, handover, B4]
//
// Steps in brackets need the lock on the files. A crash may come before each
// step and at each stage of a commit: before the journal, or behind it after
// any number of renames.
//
// A hold may expire under its holder, who notices it at his next step: calls
// under a hold end before it does (ipc.Session.Within). VIPs that pss moves are
// marked until it is through (ipc.Moves). Not modelled: live migration of
// backups, monitors of serving backups, hand edits, wakes and suspends that fail.
//
// In every state SPEC 10 must hold, every state must have a way on unless all
// is well, and from every state one in which all is well must be reachable.
package model
