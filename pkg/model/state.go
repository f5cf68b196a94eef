package model

import (
	"pss-msbs/pkg/cluster"
)

// Bounds of a modelled system.
const (
	maxGuests = 10
	maxHosts  = 4
	maxProcs  = 16
)

// vips is a set of VIPs, bit i for System.vips[i]; guests one of guests.
type (
	vips   uint8
	guests uint16
)

// power is how a guest is.
type power uint8

const (
	off power = iota
	up
	paused
	saved
)

// guest is a server on the host where it was last.
type guest struct {
	at     int8
	power  power
	frozen bool // its agent is silent, it still answers ARP
	cut    bool // its link is down
	vips   vips
}

// host is a real server's state, or the management server's.
type host uint8

const (
	awake  host = iota
	asleep      // suspended to memory
	dead        // off; a magic packet boots it
	silent      // cut off from the management server and the clients, its guests run on
)

// proc is where a process, or one of pss's parallel tasks, stands.
type proc struct {
	pc   uint8
	n    uint8 // a counter, or a second mark
	a, b vips  // what it is about to move: to the target, back to the backup
	plan int16 // pss: the plan

	turn, moved, kept uint8 // of a handover under way: see handing
}

// State is one state of the system; it can be compared.
type State struct {
	files   int16 // what the directory says, finished renames included
	journal int16 // what a durable journal promises; 0: no journal
	lock    int8  // the process that holds the exclusive lock; -1: none
	failed  guests
	moving  vips // marked by a shift before it touches them, until it is through
	guests  [maxGuests]guest
	hosts   [maxHosts]host
	late    uint8               // hosts that came back silent and were not stripped yet
	monitor [maxGuests]int8     // who holds a server's monitor lock; -1: nobody
	procs   [maxProcs]proc      //
	wants   [2]uint8            // how far each group's wants have come
	left    [len(budgets)]uint8 // what may still go wrong
}

// budgets name what may go wrong; a Scope says how often.
var budgets = [...]string{"crash", "guest dies", "guest freezes", "host dies", "host silent", "backup fails", "hold expires"}

// Indices of budgets.
const (
	crashes = iota
	deaths
	freezes
	hostDeaths
	silences
	backupFailures
	expiries
)

// known are the tables that were seen so far; 0 is none.
type known struct {
	all []cluster.Tables
	ids map[string]int16
}
