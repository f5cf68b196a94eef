// Package handover is the one way in which VIPs change their server (SPEC 4). A
// shift of pss, its rescue of a VIP that a failed server left, and the give-backs
// of dbss (A5) and dsrs (B4) are each a Handover: which VIP goes from whom to whom,
// and which change of the rows ends it.
//
// What comes next is decided by a machine that does nothing itself (Shape, State);
// pkg/model walks through all that can happen to it. Handover carries it out:
//
//	Ask -> Off -> On -> Verify -> Commit -> Done       each wave: Off, On, Verify
//	                                 |-> Look -> Done  nobody said what came of the commit
//	                                        |-> Hold
//	any failure -> LetGo -> [Hold] -> Return -> Undone
//
// Its rules: nobody but giver and receiver may answer for a VIP that is touched; a
// receiver gets it when its giver has lost it; the rows follow the addresses, under
// the same hold. A receiver lets go before its giver has the VIP back, for two
// holders are worse than none; and where the hold has ended, the giver gets back
// only what the rows, read under another hold, still have it serve.
package handover
