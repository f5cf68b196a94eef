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
	Level       Level
	Trouble     Trouble
	Certain     bool     // the hypervisor's own word
	Held        string   // why what is doubtful beyond Act is not believed yet
	Phi         float64  // of the target, or of its most doubtful service
	Daemons     []string // silent or stopped
	Evidence    string   // in words, for people
	Since       time.Time
	HostGone    bool         // the host answered neither by itself nor by its hypervisor
	Mute        bool         // the hypervisor did not answer
	AgentSilent bool         // the agent did not answer
	Pinged      bool         // the target answers pings
	Busy        bool         // the target, or its whole host, has much to do
	Work        cluster.Work // of both, as the hypervisor said last in this doubt
}

// Verdict weighs all answers at now.
func (d *Detector) Verdict(now time.Time) Verdict {
	v := d.network(now)
	if v.Level <= Doubt && v.Trouble == None {
		v = d.serving(now, v)
	}
	if v.Level >= Alarm && !v.Certain {
		d.restrain(now, &v)
	}
	v.Busy, v.Work = v.Level > Well && d.busy() != "", d.work.last
	d.tell(now, &v)
	return v
}

// reword is how old the words of a suspicion may be.
const reword = 250 * time.Millisecond

// tell puts an alarm, and what follows it, into words; those of a belief are new.
func (d *Detector) tell(now time.Time, v *Verdict) {
	told := v.Level >= Alarm || d.told && v.Level > Well
	if told && (!d.told || v.Level == Believe || now.Sub(d.wordedAt) >= reword) {
		d.words, d.wordedAt = d.evidence(now, *v), now
	}
	if d.told = told; told {
		v.Evidence = d.words
	}
}

// restrain holds back what is not certain while it may be our own fault. Before a
// path is known its silence is not even an alarm: to make six backups ready at
// once is what a busy machine lacks least.
func (d *Detector) restrain(now time.Time, v *Verdict) {
	switch {
	case now.Sub(d.began) < d.cfg.Observe:
		v.Held, v.Level = "observing", Doubt
	case v.Level < Believe:
	case !d.cfg.NoReferences && v.Trouble != ServiceStop && v.Trouble != ServiceFreeze && d.ourselvesOff(now, v.Since):
		v.Held, v.Level = "no network reference answers", Alarm
	}
}

// ourselvesOff reports whether the network references have not answered since, or
// have begun to be silent too: then the trouble is likely this side's.
func (d *Detector) ourselvesOff(now, since time.Time) bool {
	return d.refs.heard.Before(since) || d.phi(&d.refs, now) >= d.cfg.Alarm/2
}

// network weighs whether the target as a whole is in trouble.
func (d *Detector) network(now time.Time) Verdict {
	phi := d.phi(&d.ping, now)
	since := d.since()
	v := Verdict{Phi: phi, Since: since, Pinged: !d.doubtful(&d.ping, now)}
	asked := since
	if v.Pinged { // a ping under way is no silence
		asked = d.called
	}
	v.Mute = d.hyper.heard.Before(asked) || d.hyper.heard.IsZero()
	v.AgentSilent = d.agent.heard.Before(asked) || d.agent.heard.IsZero() || d.closed
	host := 0.0
	if !v.Pinged {
		host = d.phi(&d.host, now)
	}
	v.HostGone = v.Mute && host >= d.cfg.Act/2
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
	v.Trouble = d.believed(now, v, phi, host, silence)
	switch {
	case v.Trouble != None:
		v.Level = Believe
	case v.Phi >= d.cfg.Alarm && silence >= d.leastAlarm(now):
		v.Level = Alarm
	default:
		v.Level = Doubt
	}
	return v
}

// believed is what the silence of the target means for sure enough, or None; phi
// is that of its pings, host of those of its host.
func (d *Detector) believed(now time.Time, v Verdict, phi, host float64, silence time.Duration) Trouble {
	gone := v.Phi - phi
	switch {
	case phi+gone < d.cfg.Act && phi+host < d.cfg.Act:
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
	case silence >= d.frozenAfter(now) && !v.AgentSilent:
		return Cut // its agent answers, though too slowly to tell when the guest ran
	case silence >= d.frozenAfter(now):
		return Frozen
	}
	return None
}

// agentLives reports whether pings were not answered, and will not be, while the guest ran.
func (d *Detector) agentLives(now time.Time) bool {
	return d.agentSpeaks() && d.phiWhileItRan(now) >= d.cfg.Act
}

// agentSpeaks reports whether the agent has answered since the target fell silent.
func (d *Detector) agentSpeaks() bool {
	return !d.closed && d.word != cluster.GuestPaused && !d.agent.heard.Before(d.since())
}

// phiWhileItRan is φ of the pings that were sent while the agent's answers prove
// that the guest ran. One that was held up owes no answer to those before, and
// its agent may be the first to speak when it runs again.
func (d *Detector) phiWhileItRan(now time.Time) float64 {
	until := minTime(d.agent.heard, now.Add(-grace))
	return d.ping.phiBetween(d.agent.steady, until, now, d.gauge(&d.ping))
}

// serving weighs each service of a target that answers pings.
func (d *Detector) serving(now time.Time, v Verdict) Verdict {
	var silent, stopped []string
	for i := range d.services {
		w, n := &d.services[i].witness, d.services[i].name
		if w.refused == 0 && w.silence.IsZero() {
			continue
		}
		phi, since := d.phi(w, now), w.since()
		quiet := d.silence(now, since)
		switch {
		case w.refused > 1:
			stopped = append(stopped, n)
		case phi >= d.cfg.Act && quiet >= d.deadline(w, now):
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
// where its greetings have taken long, or its server is busy.
func (d *Detector) deadline(w *witness, now time.Time) time.Duration {
	learned := time.Duration((w.path.mean + 8*w.path.dev) * float64(time.Second))
	return min(max(d.frozenAfter(now), learned), d.cfg.FreezeMost) * time.Duration(1+d.late)
}

// Overloaded names the services that greet, but slowly: on average, and by the
// last greeting, since a quick one says that it is over.
func (d *Detector) Overloaded() []string {
	var slow []string
	for i := range d.services {
		if w := &d.services[i]; min(w.path.mean, w.path.last) >= d.cfg.Overload.Seconds() {
			slow = append(slow, w.name)
		}
	}
	return slow
}

// gauge weighs the silence of w.
func (d *Detector) gauge(w *witness) gauge { return w.path.gauge(d.cfg.LossFloor, d.grain()) }

func (d *Detector) phi(w *witness, now time.Time) float64 {
	if w.silence.IsZero() {
		return 0
	}
	return w.phi(now, d.gauge(w))
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
	for i := range d.services {
		if w, n := &d.services[i].witness, d.services[i].name; w.refused > 0 {
			say("%s refuses", n)
		} else if d.doubtful(w, now) {
			say("%s silent %.1f s (φ %.1f)", n, now.Sub(w.since()).Seconds(), d.phi(w, now))
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
	case !v.AgentSilent:
		say("agent answers")
	case len(d.agent.probes) > 0:
		say("agent silent")
	}
	if why := d.busy(); why != "" {
		say("%s", why)
	}
	if d.doubtful(&d.host, now) {
		say("host silent (φ %.1f)", d.phi(&d.host, now))
	}
	if d.late > 0 {
		say("own delays %d", d.late)
	}
	return strings.Join(said, ", ")
}
