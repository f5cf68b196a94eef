// Package detector tells how sure one may be that a server is in trouble. It is
// an accrual detector (Hayashibara et al., 2004) over several witnesses: from
// how each path has behaved so far it computes φ, the negative decimal
// logarithm of the probability that a sound server would have been as silent,
// and it asks more, and faster, the greater its doubt.
//
//	witness      what it proves                                     independent of
//	hypervisor   off or crashed: certain; booting: no service       the guest
//	agent        answers: the guest lives; channel closed: it is down   the guest's network
//	ping, greet  any answer: the guest serves on its network        the hypervisor
//	host         silent with its hypervisor: the host is lost       the guest
//	references   answer: it is not our own network                  target and host
//
// A guest that its hypervisor holds up for seconds (a snapshot, the end of a
// migration) is silent on all its own paths while its agent's channel stays
// open: silence alone is believed only after the freeze deadline.
//
// Our own starvation counts against ourselves, as in Lifeguard (Dadgar et al.,
// 2018): silence during which this program did not run proves nothing, and a
// program that is often late believes silence later.
//
// The detector is a step machine without clock, network or goroutine: Ask says
// what to find out now and when to come back, Tell takes the answers, Verdict
// says what they amount to. The monitors drive it with real probes, and
// scripts/detector with drawn ones.
package detector
