package model

// Broken is a deliberate fault of the protocol: the search must find what it does.
type Broken string

// The broken protocols.
const (
	NoCheck      Broken = "a shift does not look at the files again under the lock"
	StaleA3      Broken = "A3 writes the files as they were when the trouble was detected"
	NoFence      Broken = "the old holder is not fenced"
	NoAsking     Broken = "a backup gets VIPs without asking who answers for them"
	NoHold       Broken = "addresses are given back without hold"
	HalfUndo     Broken = "a give-back is undone without taking the VIPs off the target"
	LateCalls    Broken = "what is called under a hold may come true after it has expired"
	UndoUnheld   Broken = "a give-back whose hold expired is undone without a new one"
	DeafUndo     Broken = "an undone restore gives the backup its VIPs though the server does not let go of them"
	NoRecovery   Broken = "a journal that is found is not finished"
	SharedLock   Broken = "the lock excludes nobody"
	OnBeforeOff  Broken = "a VIP goes on the new holder before it is off the old one"
	BlindSuspend Broken = "shifts and suspends do not look at separation"
	SleepFirst   Broken = "a host sleeps before the files say so"
	NoStrip      Broken = "a host that returns is not stripped"
	NoOwner      Broken = "a dsrs takes servers that another monitor owns"
	TakeAnything Broken = "pss gives VIPs away that another owner recovers"
)
