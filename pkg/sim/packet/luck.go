package packet

import (
	"math/rand/v2"
	"time"
)

// Lots decide what happens to packets, and how long the slow take. A lot depends
// on the seed, the kind of question and the instant alone, not on who came first
// within an instant, so that one run is like another.
type Lots struct {
	seed  uint64
	start time.Time
	at    time.Time         // of the last draws
	drawn map[uint64]uint64 // by kind
}

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
