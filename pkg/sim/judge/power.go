package judge

import (
	"time"
)

type powerStep struct {
	at    time.Time
	watts float64
}

func (j *Judge) settlePower() {
	w := j.Watts()
	p := &j.power
	if n := len(*p); n > 0 && (*p)[n-1].watts == w {
		return
	}
	*p = append(*p, powerStep{at: j.Now, watts: w})
	j.Note("power", "", "", "%g W", w)
}

func (j *Judge) Watts() float64 {
	var w float64
	for _, h := range j.Order {
		w += h.Watts()
	}
	return w
}

// EnergyWh is the energy used from since to now.
func (j *Judge) EnergyWh(since time.Time) float64 {
	var wh float64
	for n, s := range j.power {
		end := j.Now
		if n+1 < len(j.power) {
			end = j.power[n+1].at
		}
		begin := s.at
		if begin.Before(since) {
			begin = since
		}
		if end.After(begin) {
			wh += s.watts * end.Sub(begin).Hours()
		}
	}
	return wh
}
