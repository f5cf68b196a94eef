// Package packet is what a network does to packets.
package packet

import (
	"math/rand/v2"
	"time"
)

// Path is what a network does to packets between the management server and
// one other end. The zero Path loses none and takes no time.
type Path struct {
	LossOut  float64       `json:"loss_out,omitempty"`  // probability, 0 to 1, that a packet to the other end is lost
	LossBack float64       `json:"loss_back,omitempty"` // and one from it
	Delay    time.Duration `json:"delay,omitempty"`     // each way
	Jitter   time.Duration `json:"jitter,omitempty"`    // each way up to so much is added, all as likely
}

// The retransmissions of Linux's TCP: a SYN that is not answered is sent again
// after 1 s, then after twice as long each time (after 1, 3, 7, 15 s in all);
// data after a round trip and 0.2 s, then likewise, for at most two minutes.
const (
	synAgain     = time.Second
	dataAgain    = 200 * time.Millisecond
	longestAgain = 2 * time.Minute
	mostTries    = 15
)

// Ping is one echo request: the round trip on the network, and whether
// question or answer was lost. It takes its luck from rnd.
func (p Path) Ping(rnd *rand.Rand) (rtt time.Duration, lost bool) {
	if p == (Path{}) {
		return 0, false
	}
	out, back := IsLost(rnd, p.LossOut), IsLost(rnd, p.LossBack)
	return p.oneWay(rnd) + p.oneWay(rnd), out || back
}

// Connect is how long opening a TCP connection takes.
func (p Path) Connect(rnd *rand.Rand) time.Duration { return p.turn(rnd, synAgain) }

// Exchange is how long n requests and their replies, one after the other, take
// on an open connection, beside what the other end needs for them. Nothing is
// lost, it only gets later.
func (p Path) Exchange(rnd *rand.Rand, n int) time.Duration {
	var d time.Duration
	for range n {
		d += p.turn(rnd, dataAgain+2*p.Delay+p.Jitter)
	}
	return d
}

// turn is one packet there and one back, each sent again until it arrives,
// first after again.
func (p Path) turn(rnd *rand.Rand, again time.Duration) time.Duration {
	if p == (Path{}) {
		return 0
	}
	return p.oneWay(rnd) + resent(rnd, p.LossOut, again) + p.oneWay(rnd) + resent(rnd, p.LossBack, again)
}

// Late is how much later than at once a message from the other end arrives.
func (p Path) Late(rnd *rand.Rand) time.Duration {
	if p == (Path{}) {
		return 0
	}
	return p.oneWay(rnd) + resent(rnd, p.LossBack, dataAgain+2*p.Delay+p.Jitter)
}

// oneWay is a packet's time in one direction.
func (p Path) oneWay(rnd *rand.Rand) time.Duration {
	if p.Jitter <= 0 {
		return p.Delay
	}
	return p.Delay + time.Duration(rnd.Int64N(int64(p.Jitter)+1))
}

// resent is how long a packet was repeated until it arrived.
func resent(rnd *rand.Rand, loss float64, again time.Duration) (d time.Duration) {
	for range mostTries {
		if !IsLost(rnd, loss) {
			break
		}
		d += again
		again = min(2*again, longestAgain)
	}
	return d
}

// IsLost draws whether one packet is lost.
func IsLost(rnd *rand.Rand, loss float64) bool { return loss > 0 && rnd.Float64() < loss }

// Then is the path through p and q, one after the other.
func (p Path) Then(q Path) Path {
	both := func(a, b float64) float64 { return a + b - a*b }
	return Path{LossOut: both(p.LossOut, q.LossOut), LossBack: both(p.LossBack, q.LossBack),
		Delay: p.Delay + q.Delay, Jitter: p.Jitter + q.Jitter}
}

// Loss is the probability that a ping is not answered.
func (p Path) Loss() float64 { return p.LossOut + p.LossBack - p.LossOut*p.LossBack }

// Valid reports whether p can be.
func (p Path) Valid() bool {
	in := func(loss float64) bool { return loss >= 0 && loss <= 1 }
	return in(p.LossOut) && in(p.LossBack) && p.Delay >= 0 && p.Jitter >= 0
}

// Lots decide what happens to packets, and how long the slow take. A lot depends
// on the seed, the kind of question and the instant alone, not on who came first
// within an instant, so that one run is like another.
type Lots struct {
	seed  uint64
	start time.Time
	at    time.Time         // of the last draws
	drawn map[uint64]uint64 // by kind
}

// NewLots begin at start.
func NewLots(seed uint64, start time.Time) Lots {
	return Lots{seed: seed, start: start, drawn: map[uint64]uint64{}}
}

// Draw is the next lot of a kind, named by words, at an instant.
func (l *Lots) Draw(now time.Time, words []string) *rand.Rand {
	if !l.at.Equal(now) {
		l.at = now
		clear(l.drawn)
	}
	kind := uint64(fnvBasis)
	for _, w := range words {
		for i := range len(w) {
			kind = (kind ^ uint64(w[i])) * fnvPrime
		}
	}
	n := l.drawn[kind]
	l.drawn[kind]++
	return rand.New(rand.NewPCG(l.seed, mixed(hashed(hashed(kind, uint64(now.Sub(l.start))), n))))
}

// Between is a time from from on and before to, each as likely.
func Between(luck *rand.Rand, from, to time.Duration) time.Duration {
	if to <= from {
		return from
	}
	return from + time.Duration(luck.Int64N(int64(to-from)))
}

// FNV-1a of 64 bits.
const (
	fnvBasis = 14695981039346656037
	fnvPrime = 1099511628211
)

// hashed is the hash h of what came before, and of v.
func hashed(h, v uint64) uint64 {
	for range 8 {
		h = (h ^ v&0xff) * fnvPrime
		v >>= 8
	}
	return h
}

// mixed spreads every bit of x over all (the end of MurmurHash3).
func mixed(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
