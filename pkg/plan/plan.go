package plan

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"pss-msbs/pkg/cluster"
)

// Do is the kind of a step.
type Do string

// The kinds of steps, in the order in which a plan lists them.
const (
	Refuse      Do = "refuse"
	WakeReal    Do = "wake-real"
	StartSpare  Do = "start-spare"
	MoveVIP     Do = "move-vip"
	SetState    Do = "set-state"
	StopSpare   Do = "stop-spare"
	SuspendReal Do = "suspend-real"
)

// Why a group's wanted condition is refused.
const (
	NotRedundant     = "not redundant"
	NoServerOnBase   = "no server on base"
	RecoveryUnderWay = "recovery under way"
	UnknownBase      = "unknown base"
	SpareUnborn      = "its spare is still being created" // Limits
)

// Step is one thing a shift does. Which fields count depends on Do; as JSON a
// step has only those, in the order of SPEC 4.
type Step struct {
	Do        Do
	Group     string            // refuse, start-spare, move-vip, set-state, stop-spare
	Why       string            // refuse
	Real      netip.Addr        // wake-real, start-spare, suspend-real
	Spare     string            // start-spare, stop-spare; refuse: the spare that is to blame
	VIP       netip.Addr        // move-vip
	From      cluster.Guest     // move-vip: who holds the VIP today, and where
	To        cluster.Guest     // move-vip: who gets it, and where; start-spare: the spare at its base
	Held      []netip.Addr      // move-vip: see edits.Move
	Condition cluster.Condition // set-state
	Keep      bool              // stop-spare: its access-stop rows stay (its real server is suspended)
}

// MarshalJSON writes the fields of the step's kind.
func (s Step) MarshalJSON() ([]byte, error) {
	switch s.Do {
	case Refuse:
		return json.Marshal(struct {
			Do    Do     `json:"do"`
			Group string `json:"group"`
			Why   string `json:"why"`
		}{s.Do, s.Group, s.Why})
	case WakeReal, SuspendReal:
		return json.Marshal(struct {
			Do   Do         `json:"do"`
			Real netip.Addr `json:"real"`
		}{s.Do, s.Real})
	case StartSpare:
		return json.Marshal(struct {
			Do    Do         `json:"do"`
			Spare string     `json:"spare"`
			Real  netip.Addr `json:"real"`
			Group string     `json:"group"`
		}{s.Do, s.Spare, s.Real, s.Group})
	case MoveVIP:
		return json.Marshal(struct {
			Do   Do         `json:"do"`
			VIP  netip.Addr `json:"vip"`
			From string     `json:"from"`
			To   string     `json:"to"`
		}{s.Do, s.VIP, s.From.Host, s.To.Host})
	case SetState:
		return json.Marshal(struct {
			Do        Do                `json:"do"`
			Group     string            `json:"group"`
			Condition cluster.Condition `json:"condition"`
		}{s.Do, s.Group, s.Condition})
	case StopSpare:
		return json.Marshal(struct {
			Do    Do     `json:"do"`
			Spare string `json:"spare"`
		}{s.Do, s.Spare})
	}
	return nil, fmt.Errorf("cannot write a step of unknown kind %q", s.Do)
}

// String is the step as an operator reads it.
func (s Step) String() string {
	switch s.Do {
	case Refuse:
		return fmt.Sprintf("%s: refused, %s", s.Group, s.Why)
	case WakeReal:
		return fmt.Sprintf("wake real server %s", s.Real)
	case StartSpare:
		return fmt.Sprintf("%s: start spare %s on %s", s.Group, s.Spare, s.Real)
	case MoveVIP:
		return fmt.Sprintf("%s: move VIP %s from %s to %s", s.Group, s.VIP, s.From.Host, s.To.Host)
	case SetState:
		return fmt.Sprintf("%s: set condition %s", s.Group, s.Condition)
	case StopSpare:
		return fmt.Sprintf("%s: stop spare %s", s.Group, s.Spare)
	case SuspendReal:
		return fmt.Sprintf("suspend real server %s", s.Real)
	}
	return string(s.Do)
}

// Steps is a plan: what separates today from the wanted layouts, in the order
// in which a shift does it. Steps of one kind are independent of each other.
type Steps []Step

// MarshalJSON writes an array, an empty one for an empty plan.
func (p Steps) MarshalJSON() ([]byte, error) { return json.Marshal(append([]Step{}, p...)) }

// Of returns the steps of one kind.
func (p Steps) Of(do Do) Steps {
	var out Steps
	for _, s := range p {
		if s.Do == do {
			out = append(out, s)
		}
	}
	return out
}

// Refused says why group's wanted condition is refused, or nothing.
func (p Steps) Refused(group string) string {
	for _, s := range p {
		if s.Do == Refuse && s.Group == group {
			return s.Why
		}
	}
	return ""
}
