// Package scenario plays the whole compound system in one process under
// virtual time (testing/synctest): the real pss, dbss, dsrs and sif on the
// emulated fleet and on real files, with launchers, kill -9 and faults.
//
// World is that system: a process table in place of a kernel (daemon.Kernel),
// everything else is the programs' own code, from the command line on. A
// scenario is a script of faults and its whole expected log; a campaign draws
// random ones from a seed. Whatever happened, the judge wants the same in the
// end (judge.go).
package scenario
