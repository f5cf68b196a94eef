package dsrs

import (
	"fmt"
	"slices"
)

// State is where a dsrs stands in Fig. 9(b).
type State string

// The states of a dsrs.
const (
	Normal         State = "normal"
	Suspended      State = "suspended"
	Trouble        State = "trouble"
	CutOff         State = "cut-off"
	Confirmed      State = "confirmed"
	Waiting        State = "waiting"
	Waking         State = "waking"
	HypervisorDown State = "hypervisor-down"
	GivenUp        State = "given-up"
	Stripping      State = "stripping"
	Restoring      State = "restoring"
)

// Sentences say what each state means.
var sentences = map[State]string{
	Normal:         "the real server is monitored every interval",
	Suspended:      "the PSS has suspended the real server, which is left alone",
	Trouble:        "the real server did not answer and is examined again",
	CutOff:         "no network reference answers either, so nothing is done",
	Confirmed:      "the trouble is confirmed and the real server's row is taken out",
	Waiting:        "the real server may come back from a restart by itself",
	Waking:         "magic packets were sent and the real server is waited for",
	HypervisorDown: "the real server answers, its virtualization software does not and is restarted",
	GivenUp:        "restore_deadline has passed; the real server is tried with growing pauses",
	Stripping:      "the real server answers again and loses every VIP that is served elsewhere",
	Restoring:      "the virtual servers of the real server are started and take their VIPs back",
}

// String is the state's name.
func (s State) String() string { return string(s) }

// Sentence says what the state means.
func (s State) Sentence() string { return sentences[s] }

// allowed lists where each state may lead; staying is always allowed.
var allowed = map[State][]State{
	Normal:         {Suspended, Trouble, Waiting},
	Suspended:      {Normal},
	Trouble:        {Normal, Suspended, CutOff, Confirmed},
	CutOff:         {Trouble},
	Confirmed:      {Normal, Suspended, Waiting, HypervisorDown},
	Waiting:        {Waking, Stripping},
	Waking:         {Normal, Suspended, Stripping, GivenUp},
	HypervisorDown: {Waiting, Stripping, GivenUp},
	GivenUp:        {Normal, Suspended, HypervisorDown, Stripping},
	Stripping:      {Suspended, Waiting, Restoring, HypervisorDown},
	Restoring:      {Normal, Suspended},
}

// transition is the only change of state; it refuses a pair that Fig. 9(b)
// does not have.
func (d *DSRS) transition(to State, why string) error {
	if to == d.state {
		return nil
	}
	if !slices.Contains(allowed[d.state], to) {
		return fmt.Errorf("cannot go from %s to %s: %s", d.state, to, why)
	}
	d.Log.Debug().Stringer("from", d.state).Stringer("to", to).Str("why", why).Msg(MsgState)
	d.state, d.entered = to, d.Clock.Now()
	return nil
}
