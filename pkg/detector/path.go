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
	taught     bool    // one answer at least
}

// How fast a path's past is forgotten: after some 500 questions, and 16 answers.
const (
	memory  = 1 - 1.0/500
	quick   = 1.0 / 16
	minimum = 1e-9
)

// answered learns from an answer that took d.
func (p *path) answered(d time.Duration) {
	p.count(0)
	s := d.Seconds()
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

// late is the probability that an answer that is not lost takes longer than d.
// The tail is exponential, heavier than what a normal distribution would have:
// a busy server's answers come in bunches.
func (p *path) late(d time.Duration, grain float64) float64 {
	over := d.Seconds() - p.mean
	if over <= 0 {
		return 1
	}
	return math.Exp(-over / p.scale(grain))
}

func (p *path) scale(grain float64) float64 { return max(2*p.dev, grain, minimum) }

// silence is the probability that a sound server has not answered a question
// of age d; never below floor: a lost packet may always have its own reason.
func (p *path) silence(d time.Duration, floor, grain float64) float64 {
	loss := p.loss()
	return min(1, max(floor, loss+(1-loss)*p.late(d, grain)))
}

// expected is the age at which an answer is overdue: only one of fifty sound
// answers takes longer.
func (p *path) expected(grain float64) time.Duration {
	return time.Duration((p.mean + p.scale(grain)*math.Log(50)) * float64(time.Second))
}
