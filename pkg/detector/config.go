package detector

import "time"

// Config is how much doubt is needed for what, and how fast it is asked.
type Config struct {
	Alarm float64 // φ at which trouble is told and the backup made ready
	Act   float64 // φ at which it is believed

	Interval     time.Duration // between pings while all is well; 0: only when examined
	Burst        time.Duration // between pings in doubt
	GreetEvery   time.Duration // between greetings in doubt
	PingPatience time.Duration // with one ping
	LeastSilence time.Duration // no shorter silence of a target is trouble, however many packets are missing
	HostSilence  time.Duration // no shorter silence of a host is
	HungHost     time.Duration // silence of a hypervisor while its guest is silent: the host hangs
	Alarming     time.Duration // no shorter silence of a service is told as trouble

	// A service, or a server whose agent is silent too, that says nothing for
	// FreezeDeadline is frozen. One whose greetings have taken long has
	// longer, FreezeMost at the most, and one that is busy has FreezeMost.
	FreezeDeadline, FreezeMost time.Duration

	WorkEvery time.Duration // from the begin of a doubt, and between questions of processor time; 0: not asked
	Busy      float64       // a guest that has used this share of its processors is busy
	LeastIdle float64       // so is one on whose host a smaller share was idle

	Observe   time.Duration // from the start: only what is certain is believed
	Overload  time.Duration // a service that takes so long to greet, on average, is overloaded
	LossFloor float64       // probability that any packet is lost for a reason of its own
	Grain     time.Duration // answers that differ by less took equally long
	Lateness  time.Duration // this program runs late where it wakes later than this

	NoReferences bool // no network reference is named
}

// The weight of an agent whose channel is closed: of a thousand such moments
// one is an agent's own trouble.
const agentGone = 3.0

// grace is how long a guest that runs may owe the answer to a ping: it waits for
// the same processor as its agent.
const grace = 60 * time.Millisecond
