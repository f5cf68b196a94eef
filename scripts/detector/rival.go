package main

import "time"

// rival is another system's rule, in the same world.
type rival interface {
	pass(now time.Duration)                          // the world has come to now
	greeted(sent, came time.Duration)                // a greeting asked for at sent came at came; never: not
	detects(f fault, at time.Duration) time.Duration // when it believes a fault of at; never: not
	counts() tally
}

func newRivals(w *world, r *run) []rival {
	return []rival{newAdverts(w, time.Second), newAdverts(w, time.Second/10), &pacemaker{w: w, r: r}}
}

// adverts is keepalived's rule at the backup: the master sends an advert each
// interval, and when none has come for three intervals and the skew (of
// priority 100) the backup takes over. A master that is held sends none.
type adverts struct {
	w      *world
	every  time.Duration
	down   time.Duration
	next   time.Duration // sending of the next advert
	heard  time.Duration
	flight []time.Duration // arrivals to come, sorted
	tally  tally
}

func newAdverts(w *world, every time.Duration) *adverts {
	return &adverts{w: w, every: every, down: 3*every + every*156/256, next: w.upTo(every)}
}

func (a *adverts) greeted(_, _ time.Duration) {}
func (a *adverts) counts() tally              { return a.tally }

func (a *adverts) pass(now time.Duration) {
	for a.next <= now {
		a.send(a.next)
		a.next += a.every
	}
	n := 0
	for n < len(a.flight) && a.flight[n] <= now {
		a.hear(a.flight[n])
		n++
	}
	a.flight = append(a.flight[:0], a.flight[n:]...)
}

func (a *adverts) send(t time.Duration) {
	p := a.w.path(t)
	if p.LossBack > 0 && a.w.rnd.Float64() < p.LossBack || a.w.passes(t) != t {
		return
	}
	at := a.w.runs(t) + p.Delay + a.w.upTo(p.Jitter)
	i := len(a.flight)
	for i > 0 && a.flight[i-1] > at {
		i--
	}
	a.flight = append(a.flight, 0)
	copy(a.flight[i+1:], a.flight[i:])
	a.flight[i] = at
}

func (a *adverts) hear(at time.Duration) {
	if down := a.heard + a.down; at > down {
		a.tally.False++
		if a.w.wouldAnswer(down, patience) {
			a.tally.Harm++
		}
	}
	a.heard = at
}

// detects: every fault but one of a service silences the adverts.
func (a *adverts) detects(f fault, at time.Duration) time.Duration {
	if f == serviceFreeze {
		return never
	}
	return a.heard + a.down
}

// pacemaker monitors every 10 s and waits 20 s for the greeting. Its monitor is
// the greeting of this system's monitoring.
type pacemaker struct {
	w     *world
	r     *run
	tally tally
}

const (
	pacemakerInterval = 10 * time.Second
	pacemakerTimeout  = 20 * time.Second
)

func (p *pacemaker) pass(time.Duration) {}
func (p *pacemaker) counts() tally      { return p.tally }
func (p *pacemaker) greeted(sent, came time.Duration) {
	if came-sent > pacemakerTimeout && sent < p.w.at {
		p.tally.False++
		if p.w.wouldAnswer(sent+pacemakerTimeout, patience) {
			p.tally.Harm++
		}
	}
}

func (p *pacemaker) detects(_ fault, at time.Duration) time.Duration {
	next := p.r.tick
	for next < at {
		next += pacemakerInterval
	}
	return next + pacemakerTimeout
}
