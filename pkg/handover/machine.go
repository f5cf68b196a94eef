package handover

import "math/bits"

// Set is a set of the VIPs of a handover, by their index; there are Most at most.
type Set [Most / 64]uint64

// Most is how many VIPs one handover can have.
const Most = 512

// One is the set of VIP i alone.
func One(i int) (s Set) {
	s[i/64] = 1 << (i % 64)
	return s
}

// First is a set of some of the first 64 VIPs, one for each bit.
func First(bits uint64) Set { return Set{bits} }

// Empty reports whether no VIP is in the set.
func (s Set) Empty() bool { return s == Set{} }

// Has reports whether VIP i is in the set.
func (s Set) Has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// With is s and o.
func (s Set) With(o Set) Set {
	for i := range s {
		s[i] |= o[i]
	}
	return s
}

// And is what is in both.
func (s Set) And(o Set) Set {
	for i := range s {
		s[i] &= o[i]
	}
	return s
}

// Without is s less o.
func (s Set) Without(o Set) Set {
	for i := range s {
		s[i] &^= o[i]
	}
	return s
}

// All yields the indices in the set in order.
func (s Set) All(yield func(i int) bool) {
	for n, word := range s {
		for ; word != 0; word &= word - 1 {
			if !yield(n*64 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}

// Stage is what a handover is to do next.
type Stage uint8

// The stages in the order of their diagram (see the package).
const (
	Ask    Stage = iota // who answers for each VIP: nobody but its giver and its receiver may
	Off                 // take the VIPs of a wave off their givers
	On                  // put them on their receivers, which announce them
	Verify              // each receiver alone answers
	Commit              // the rows follow, under the same hold
	Look                // whether the rows were changed, where nobody said
	LetGo               // take what may be on receivers off them
	Hold                // take the lock again, and read the rows
	Return              // put VIPs back on their givers
	Done                // over: addresses and rows have changed
	Undone              // over: rows have not, nor addresses as far as they could be undone
)

// Over reports whether a stage is an end.
func (s Stage) Over() bool { return s >= Done }

// Forward reports whether a stage is on the way to Done, all of it under one hold.
func (s Stage) Forward() bool { return s <= Commit }

// Shape is what the machine must know of a handover.
type Shape struct {
	Waves   []Set // what moves at the same time, one wave after the other
	Returns Set   // the VIPs that their givers get back where it is undone
	Keeps   bool  // nothing is undone
}

// State is how far a handover has come. States can be compared.
type State struct {
	Stage Stage
	Wave  uint8
	Off   Set  // what is, or may be, off its giver
	On    Set  // what is, or may be, on its receiver
	Stuck Set  // what a receiver did not let go of
	Back  Set  // what a giver may have again
	Lost  bool // the hold has ended
	Again bool // it is the second one
	Open  bool // it is not known whether the rows were changed
}

// Outcome is what came of a stage. One that failed for any VIP counts as failed.
type Outcome struct {
	Failed  Set  // for which of the stage's VIPs it was not surely done; of Commit and Hold: any
	Unknown bool // Commit: it may have been done although it failed
	Done    bool // Look, Hold: the rows stand as after the handover
	Serves  Set  // Hold: what the givers serve by the rows
}

// Begin is the state before anything was touched.
func (h Shape) Begin() State { return State{Back: h.Returns} }

// VIPs are those that the stage of s is about; of a stage without VIPs of its own, all.
func (h Shape) VIPs(s State) Set {
	switch s.Stage {
	case Off, On, Verify:
		return h.Waves[s.Wave]
	case LetGo:
		return s.Off.With(s.On) // a receiver may have it from somebody who was killed
	case Return:
		return s.Off.And(h.Returns).And(s.Back).Without(s.Stuck)
	}
	var all Set
	for _, w := range h.Waves {
		all = all.With(w)
	}
	return all
}

// Lose is s once the hold has ended. What was touched is undone under another one.
func (h Shape) Lose(s State) State {
	s.Lost = true
	switch {
	case s.Stage.Forward():
		return h.undo(s)
	case s.Stage == Return:
		return h.letGo(s)
	}
	return s
}

// Touch is s while its stage is being carried out: whoever gives up in the middle of
// it goes on with After from here.
func (h Shape) Touch(s State) State {
	switch s.Stage {
	case Off:
		s.Off = s.Off.With(h.VIPs(s))
	case On:
		s.On = s.On.With(h.VIPs(s))
	}
	return s
}

// After is the state after the stage of s came out so.
func (h Shape) After(s State, o Outcome) State {
	s = h.Touch(s)
	failed := !o.Failed.Empty()
	switch s.Stage {
	case Commit:
		s.Open = failed && o.Unknown
		return h.committed(s, failed)
	case Look:
		return h.looked(s, o.Done)
	case LetGo:
		s.Stuck = o.Failed
		return h.letGo(s)
	case Hold:
		return h.held(s, o)
	case Return:
		s.Stage = Undone
		return s
	case Verify:
		if !failed && int(s.Wave)+1 < len(h.Waves) {
			s.Wave, s.Stage = s.Wave+1, Off
			return s
		}
	}
	if failed {
		return h.undo(s)
	}
	s.Stage++
	if s.Stage == Off && len(h.Waves) == 0 {
		s.Stage = Commit
	}
	return s
}

func (h Shape) committed(s State, failed bool) State {
	switch {
	case s.Open:
		s.Stage = Look
	case failed:
		return h.undo(s)
	default:
		s.Stage = Done
	}
	return s
}

// looked is the state once it was asked how the rows stand. That they stand as before
// proves nothing while the commit may still come true: only another hold does.
func (h Shape) looked(s State, done bool) State {
	s.Stage = Hold
	if done {
		s.Stage = Done
	}
	return s
}

// undo begins to take a handover back. Where the rows are surely unchanged the
// receivers let go before anything else, and before anybody else gets the lock.
func (h Shape) undo(s State) State {
	if s.Off.With(s.On).Empty() || h.Keeps {
		s.Stage = Undone
		return s
	}
	s.Stage = LetGo
	return s
}

// letGo is the state once the receivers let go, or did not. Two holds that end too
// soon are enough.
func (h Shape) letGo(s State) State {
	switch {
	case !s.Lost:
		s.Stage = Return
	case s.Again:
		s.Stage = Undone
	default:
		s.Stage = Hold
	}
	return h.returning(s)
}

// held is the state once there is another hold, or none is to be had: then the
// monitors put right what is left.
func (h Shape) held(s State, o Outcome) State {
	open := s.Open
	s.Lost, s.Again, s.Open, s.Back = false, true, false, s.Back.And(o.Serves)
	switch {
	case !o.Failed.Empty(), o.Done && !open:
		s.Stage = Undone
	case o.Done:
		s.Stage = Done
	case open:
		s.Stage = LetGo
	default:
		s.Stage = Return
	}
	return h.returning(s)
}

// returning leaves out a Return of nothing.
func (h Shape) returning(s State) State {
	if s.Stage == Return && h.VIPs(s).Empty() {
		s.Stage = Undone
	}
	return s
}
