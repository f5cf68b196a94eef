package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// never is later than every run.
const never = time.Duration(math.MaxInt64 / 4)

// spells are times in which something is so: gaps and lengths alternate. Gaps
// are exponential with mean gap, lengths as likely anywhere between least and
// most, or in each octave.
type spells struct {
	gap, least, most time.Duration
	octaves          bool
}

// coins are thrown for each spell.
type coins uint64

// What they decide.
const (
	inside   coins = 1 << iota // a stop begins between the decision to ask and the asking
	said                       // a pause is known to the hypervisor
	dropping                   // what comes during a pause is dropped, not queued
)

// course is how one kind of spell goes in a run: the present or next spell,
// and the one after it.
type course struct {
	spells
	rnd        *rand.Rand
	from, to   time.Duration
	next, last time.Duration // of the spell after
	bits       coins         // of the present spell
	bitsNext   coins
	spent      time.Duration // in spells before the present one
}

func newCourse(s spells, rnd *rand.Rand) *course {
	c := &course{spells: s, rnd: rnd, from: never, to: never, next: never, last: never}
	if s.gap > 0 {
		c.next, c.last = 0, 0
		c.draw()
		c.draw()
	}
	return c
}

// draw makes the next spell the present one and draws one after it.
func (c *course) draw() {
	c.spent += c.to - c.from
	c.from, c.to, c.bits = c.next, c.last, c.bitsNext
	c.next = c.last + time.Duration(c.rnd.ExpFloat64()*float64(c.gap))
	c.last = c.next + c.length()
	c.bitsNext = coins(c.rnd.Uint64())
}

func (c *course) length() time.Duration {
	u := c.rnd.Float64()
	if c.octaves {
		return time.Duration(float64(c.least) * math.Pow(float64(c.most)/float64(c.least), u))
	}
	return c.least + time.Duration(u*float64(c.most-c.least))
}

// pass forgets spells that are over at now by more than an answer's time.
func (c *course) pass(now time.Duration) {
	for now > c.to && now >= c.next {
		c.draw()
	}
}

// in reports whether t is in a spell, and when that ends.
func (c *course) in(t time.Duration) (to time.Duration, bits coins, yes bool) {
	switch {
	case t >= c.from && t < c.to:
		return c.to, c.bits, true
	case t >= c.next && t < c.last:
		return c.last, c.bitsNext, true
	}
	return 0, 0, false
}

// before is how long such spells have lasted in all, by t.
func (c *course) before(t time.Duration) time.Duration {
	part := func(from, to time.Duration) time.Duration { return max(0, min(t, to)-from) }
	return c.spent + part(c.from, c.to) + part(c.next, c.last)
}

// after is when the next spell begins; t, in one.
func (c *course) after(t time.Duration) time.Duration {
	switch {
	case t < c.from:
		return c.from
	case t < c.to:
		return t
	case t < c.next:
		return c.next
	}
	return t
}
