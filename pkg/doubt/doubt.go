// Package doubt is the board in the run directory on which every monitor posts
// what it doubts and why, one file a target (doubt-NAME.json), so that all
// programs can tell one server's trouble from a trouble of ours (SPEC 5, storm
// brake). A healthy fleet writes nothing and reads nothing.
package doubt

import (
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

// Kind is in what way a target is doubtful.
type Kind string

// The kinds of doubt.
const (
	Silent     Kind = "silent"     // no ping is answered
	Mute       Kind = "mute"       // answers pings, greets nobody
	Overloaded Kind = "overloaded" // greets, but slowly, or is silent and busy
	Dead       Kind = "dead"       // the hypervisor's own word: this is certain
)

// Doubt is what a monitor thinks of its target while it is not sure that the
// target is sound.
type Doubt struct {
	Target string `json:"target"`
	Group  string `json:"group,omitempty"` // empty for a real server
	Kind   Kind   `json:"kind"`
	// Host is the target's real server, or the real server itself.
	Host netip.Addr `json:"host,omitzero"`
	// HostSilent says that Host does not answer either: then the host is the
	// cause, one for all of its guests (see Judge).
	HostSilent bool `json:"hostSilent,omitempty"`
	// Phi is -log10 of the probability that a sound server had been as silent.
	Phi      float64   `json:"phi"`
	Evidence string    `json:"evidence,omitempty"` // for people: what was asked and what answered
	Since    time.Time `json:"since"`              // when it turned doubtful
	At       time.Time `json:"at"`                 // when this was posted; set by Post
	PID      int       `json:"pid"`                // of the monitor; set by Post
}

// OfReal reports whether a real server is doubted, by its dsrs.
func (d Doubt) OfReal() bool { return d.Group == "" }

// Certain reports whether there is nothing to doubt: no brake holds for it.
func (d Doubt) Certain() bool { return d.Kind == Dead }

const (
	maxPhi      = 999 // what JSON can spell is enough
	maxEvidence = 300 // characters
)

// tidy makes d fit to be posted and to be printed on a terminal, whatever a
// guest has said.
func (d Doubt) tidy() Doubt {
	if math.IsNaN(d.Phi) {
		d.Phi = 0
	}
	d.Phi = min(max(d.Phi, 0), maxPhi)
	d.Evidence = strings.ToValidUTF8(strings.Map(printable, d.Evidence), " ")
	if r := []rune(d.Evidence); len(r) > maxEvidence {
		d.Evidence = string(r[:maxEvidence])
	}
	return d
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return ' '
}
