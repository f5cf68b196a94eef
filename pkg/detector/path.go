package detector

import (
	"math"
	"time"
)

// path learns how often a sound server's answers are lost on the way and how
// long they take.
type path struct {
	sent, lost float64 // questions, forgotten exponentially
	mean, dev  float64 // of answers, seconds; dev is the mean absolute deviation
	last       float64 // of the last answer, seconds
	taught     bool    // one answer at least
}

// How fast a path's past is forgotten: after some 500 questions, and 16 answers.
const (
	memory  = 1 - 1.0/500
	quick   = 1.0 / 16
	minimum = 1e-9
)

// overdueAfter is the natural logarithm of 50: one of fifty sound answers
// takes so many scales longer than the mean.
const overdueAfter = 3.912

// answered learns from an answer that took d.
func (p *path) answered(d time.Duration) {
	p.count(0)
	s := d.Seconds()
	p.last = s
	if !p.taught {
		p.mean, p.dev, p.taught = s, s/2, true
		return
	}
	p.dev += quick * (math.Abs(s-p.mean) - p.dev)
	p.mean += quick * (s - p.mean)
}

// unanswered learns that a sound server's answer did not come.
func (p *path) unanswered() { p.count(1) }

func (p *path) count(lost float64) {
	p.sent = p.sent*memory + 1
	p.lost = p.lost*memory + lost
}

// loss is the probability that a question to a sound server is never answered:
// the upper bound of what was learned (two standard deviations above an
// estimate that begins with half a loss in ten questions).
func (p *path) loss() float64 {
	n := p.sent + 10
	q := (p.lost + 0.5) / n
	return min(0.9, q+2*math.Sqrt(q*(1-q)/n))
}

func (p *path) scale(grain float64) float64 { return max(2*p.dev, grain, minimum) }

// gauge weighs silence on a path as it is now.
type gauge struct {
	loss        float64 // probability that an answer never comes
	mean, scale float64 // seconds
	settled     float64 // weight of a question that can only be lost; 0: not computed yet
}

// gauge returns the gauge of p. A packet may always be lost for a reason of its
// own: no silence is less probable than floor.
func (p *path) gauge(floor, grain float64) gauge {
	return gauge{loss: max(p.loss(), floor), mean: p.mean, scale: p.scale(grain)}
}

// settledAfter is after how many scales an answer that is not lost is there:
// e to the -20 is nothing beside any loss.
const settledAfter = 20

// weight is -log10 of the probability that a sound server has not answered a
// question of age d. The tail of its answer times is exponential, heavier than
// that of a normal distribution: a busy server's answers come in bunches.
func (g *gauge) weight(d time.Duration) float64 {
	over := (d.Seconds() - g.mean) / g.scale
	switch {
	case over <= 0:
		return 0
	case over < settledAfter:
		return -math.Log10(g.loss + (1-g.loss)*math.Exp(-over))
	case g.settled == 0:
		g.settled = -math.Log10(g.loss)
	}
	return g.settled
}

// expected is the age at which an answer is overdue: only one of fifty sound
// answers takes longer.
func (p *path) expected(grain float64) time.Duration {
	return time.Duration((p.mean + p.scale(grain)*overdueAfter) * float64(time.Second))
}
