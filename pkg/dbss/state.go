package dbss

import "slices"

// State is where a monitor stands in Fig. 9(a).
type State string

// The states. What they mean to an operator: State.Sentence.
const (
	Starting    State = "starting"
	Waiting     State = "waiting"
	Normal      State = "normal"
	Reexamining State = "re-examining"
	Restarting  State = "restarting service"
	TakingOver  State = "taking over"
	Recovering  State = "recovering"
	GivingBack  State = "giving back"
	Moving      State = "moving backup"
	HandingOver State = "handing over"
	Ended       State = "ended"
)

// States lists every state in the order of Fig. 9(a).
func States() []State {
	return []State{Starting, Waiting, Normal, Reexamining, Restarting, TakingOver, Recovering, GivingBack, Moving, HandingOver, Ended}
}

// Sentence says the state in one sentence.
func (s State) Sentence() string {
	switch s {
	case Starting:
		return "The monitor asks the files and the servers where its target stands."
	case Waiting:
		return "The target is in access stop or not in the files and is left alone."
	case Normal:
		return "The target serves and is monitored."
	case Reexamining:
		return "Trouble was seen and is being proved while the backup is made ready."
	case Restarting:
		return "A service program stopped and is being restarted in the target."
	case TakingOver:
		return "The target is separated and its backup takes its VIPs."
	case Recovering:
		return "Another server serves while the background job brings the target back."
	case GivingBack:
		return "The target answers again and takes its VIPs back."
	case Moving:
		return "The target does not come back and its backup moves off the management server."
	case HandingOver:
		return "The backup's own monitor is being started."
	case Ended:
		return "The backup's own monitor, or the dsrs, has taken over and this one ends."
	}
	return "unknown state " + string(s)
}

// next lists the states that may follow s.
func (s State) next() []State {
	switch s {
	case Starting:
		return []State{Waiting, Normal, TakingOver, Recovering, Ended}
	case Waiting:
		return []State{Normal, TakingOver, Recovering}
	case Normal:
		return []State{Waiting, Reexamining, TakingOver, Recovering}
	case Reexamining:
		return []State{Normal, Waiting, Restarting, TakingOver, Recovering}
	case Restarting:
		return []State{Normal, TakingOver, Reexamining}
	case TakingOver:
		return []State{Recovering, GivingBack, Normal, Waiting, Reexamining}
	case Recovering:
		return []State{GivingBack, Moving, HandingOver, TakingOver, Normal, Waiting, Ended}
	case GivingBack:
		return []State{Normal, Waiting, Recovering}
	case Moving:
		return []State{HandingOver, Recovering}
	case HandingOver:
		return []State{Ended, Recovering}
	}
	return nil
}

// mayFollow reports whether to may come right after s.
func (s State) mayFollow(to State) bool { return slices.Contains(s.next(), to) }
