package detector

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
)

// Level is how far doubt has gone.
type Level int

// The levels.
const (
	Well    Level = iota
	Doubt         // more is asked; nobody needs to know
	Alarm         // trouble is told, the backup made ready
	Believe       // it is acted on
)

// Trouble is what is believed, or suspected.
type Trouble string

// The troubles.
const (
	None          Trouble = ""
	Down          Trouble = "down"           // the guest does not run
	Cut           Trouble = "cut"            // it lives and its network does not
	HostLost      Trouble = "host lost"      // host and hypervisor are silent too
	HostHung      Trouble = "host hung"      // its hypervisor is silent too
	Frozen        Trouble = "frozen"         // it runs and says nothing
	ServiceStop   Trouble = "service stop"   // nobody listens
	ServiceFreeze Trouble = "service freeze" // somebody listens and says nothing
)

// Verdict is what the answers so far amount to.
type Verdict struct {
	Level    Level
	Trouble  Trouble
	Certain  bool     // the hypervisor's own word
	Held     string   // why what is doubtful beyond Act is not believed yet
	Phi      float64  // of the target, or of its most doubtful service
	Daemons  []string // silent or stopped
	Evidence string   // in words, for people
	Since    time.Time
	HostGone bool // the host answered neither by itself nor by its hypervisor
	Mute     bool // the hypervisor did not answer
	Dumb     bool // the agent did not answer
	Pinged   bool // the target answers pings
}

// Verdict weighs all answers at now.
func (d *Detector) Verdict(now time.Time) Verdict {
	v := d.network(now)
	if v.Level <= Doubt && v.Trouble == None {
		v = d.services(now, v)
	}
	if v.Level == Believe && !v.Certain {
		d.restrain(now, &v)
	}
	if v.Level > Well {
		v.Evidence = d.evidence(now, v)
	}
	return v
}

// restrain holds a belief that is not certain back while it may be our own fault.
func (d *Detector) restrain(now time.Time, v *Verdict) {
	switch {
	case now.Sub(d.began) < d.cfg.Observe:
		v.Held = "observing"
	case !d.cfg.NoReferences && v.Trouble != ServiceStop && v.Trouble != ServiceFreeze && d.refs.heard.Before(v.Since):
		v.Held = "no network reference answers"
	default:
		return
	}
	v.Level = Alarm
}

// network weighs whether the target as a whole is in trouble.
func (d *Detector) network(now time.Time) Verdict {
	phi := d.phi(&d.ping, now)
	since := d.since()
	v := Verdict{Phi: phi, Since: since, Pinged: !d.doubtful(&d.ping, now)}
	v.Mute = d.hyper.heard.Before(since) || d.hyper.heard.IsZero()
	v.Dumb = d.agent.heard.Before(since) || d.agent.heard.IsZero() || d.closed
	v.HostGone = v.Mute && !v.Pinged && d.phi(&d.host, now) >= d.cfg.Act/2
	if d.word.Dead() && d.word != "" {
		v.Level, v.Trouble, v.Certain = Believe, Down, true
		return v
	}
	if v.Pinged {
		return v
	}
	silence := d.silence(now, since)
	if d.closed || d.word == cluster.GuestBooting {
		v.Phi += agentGone
	}
	v.Trouble = d.believed(now, v, silence)
	switch {
	case v.Trouble != None:
		v.Level = Believe
	case v.Phi >= d.cfg.Alarm && silence >= d.cfg.LeastSilence/2:
		v.Level = Alarm
	default:
		v.Level = Doubt
	}
	return v
}

// believed is what the silence of the target means for sure enough, or None.
func (d *Detector) believed(now time.Time, v Verdict, silence time.Duration) Trouble {
	phi := d.phi(&d.ping, now)
	gone := v.Phi - phi
	switch {
	case phi+gone < d.cfg.Act && phi+d.phi(&d.host, now) < d.cfg.Act:
		return None
	case gone > 0 && v.Phi >= d.cfg.Act && silence >= d.cfg.LeastSilence:
		return Down
	case d.agentLives(now) && silence >= d.cfg.LeastSilence:
		return Cut
	case v.HostGone && phi >= d.cfg.Act/2 && silence >= d.cfg.HostSilence:
		return HostLost
	case phi < d.cfg.Act:
		return None
	case v.Mute && silence >= d.cfg.HungHost:
		return HostHung
	case silence >= d.cfg.FreezeDeadline:
		return Frozen
	}
	return None
}

// agentLives tells whether the agent has answered while pings that came before
// its answer have not been, and will not be.
func (d *Detector) agentLives(now time.Time) bool {
	heard := d.agent.heardBy(now.Add(-grace))
	return !d.closed && d.word != cluster.GuestPaused && !heard.Before(d.since()) &&
		d.ping.phi(now, heard, d.cfg.LossFloor, d.grain()) >= d.cfg.Act
}

// services weighs each service of a target that answers pings.
func (d *Detector) services(now time.Time, v Verdict) Verdict {
	var silent, stopped []string
	for _, n := range d.names {
		w := d.daemons[n]
		phi, since := d.phi(w, now), w.since()
		quiet := d.silence(now, since)
		switch {
		case w.refused > 1:
			stopped = append(stopped, n)
		case phi >= d.cfg.Act && quiet >= d.deadline(w):
			silent = append(silent, n)
		}
		if d.doubtful(w, now) && phi >= v.Phi {
			v.Level, v.Phi, v.Since = max(v.Level, Doubt), phi, since
		}
		if phi >= d.cfg.Alarm/2 && quiet >= d.cfg.Alarming && v.Level < Alarm {
			v.Level, v.Trouble = Alarm, ServiceFreeze
			v.Daemons = append(v.Daemons, n)
		}
	}
	switch {
	case len(silent) > 0:
		v.Level, v.Trouble, v.Daemons = Believe, ServiceFreeze, append(silent, stopped...)
	case len(stopped) > 0:
		v.Level, v.Trouble, v.Daemons = Believe, ServiceStop, stopped
	}
	slices.Sort(v.Daemons)
	return v
}

// deadline is how long a service may say nothing before it is frozen: longer
// where its greetings have taken long.
func (d *Detector) deadline(w *witness) time.Duration {
	learned := time.Duration((w.path.mean + 8*w.path.dev) * float64(time.Second))
	return min(max(d.cfg.FreezeDeadline, learned), d.cfg.FreezeMost) * time.Duration(1+d.late)
}

// Overloaded names the services that greet, but slowly.
func (d *Detector) Overloaded() []string {
	var slow []string
	for _, n := range d.names {
		if w := d.daemons[n]; w.path.mean >= d.cfg.Overload.Seconds() {
			slow = append(slow, n)
		}
	}
	return slow
}

func (d *Detector) phi(w *witness, now time.Time) float64 {
	return w.phi(now, now, d.cfg.LossFloor, d.grain())
}

// since is when the target fell silent.
func (d *Detector) since() time.Time { return d.ping.since() }

// silence is the time since a silence began that this program could hear.
func (d *Detector) silence(now, since time.Time) time.Duration {
	if since.IsZero() {
		return 0
	}
	return now.Sub(since) / time.Duration(1+d.late)
}

// evidence says what each witness said.
func (d *Detector) evidence(now time.Time, v Verdict) string {
	var said []string
	say := func(format string, a ...any) { said = append(said, fmt.Sprintf(format, a...)) }
	if phi := d.phi(&d.ping, now); !v.Pinged {
		say("ping silent %.1f s (φ %.1f, loss %.0f %%)", now.Sub(v.Since).Seconds(), phi, 100*d.ping.path.loss())
	} else {
		say("ping answers")
	}
	for _, n := range d.names {
		if w := d.daemons[n]; w.refused > 0 {
			say("%s refuses", n)
		} else if phi := d.phi(w, now); d.doubtful(w, now) {
			say("%s silent %.1f s (φ %.1f)", n, now.Sub(w.since()).Seconds(), phi)
		}
	}
	if d.word != "" {
		say("hypervisor: %s", d.word)
	} else if d.hyper.open() {
		say("hypervisor silent")
	}
	switch {
	case d.closed:
		say("agent gone")
	case !v.Dumb:
		say("agent answers")
	case len(d.agent.probes) > 0:
		say("agent silent")
	}
	if phi := d.phi(&d.host, now); d.doubtful(&d.host, now) {
		say("host silent (φ %.1f)", phi)
	}
	if d.late > 0 {
		say("own delays %d", d.late)
	}
	return strings.Join(said, ", ")
}
