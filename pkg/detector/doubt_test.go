package detector_test

import (
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
)

// A guest that was held up, and whose packets were dropped meanwhile, is sound
// again when its agent speaks: the pings of before prove nothing.
func TestAgentThatSpeaksFirst(t *testing.T) {
	d, at := trained(config(), sound())
	resumed := at.Add(2500 * time.Millisecond)
	var agent detector.Question
	for at.Before(resumed) {
		asked, wake := d.Ask(at)
		for _, q := range asked {
			switch q.Kind {
			case detector.Agent:
				agent = q
			case detector.Host, detector.Reference, detector.Hypervisor:
				d.Tell(at, detector.Answer{Question: q, Word: detector.Word{State: cluster.GuestRunning}})
			}
		}
		if v := d.Verdict(at); believes(v) {
			t.Fatalf("%s while it is held: %s", v.Trouble, v.Evidence)
		}
		at = minTime(wake, resumed)
	}
	d.Tell(at, detector.Answer{Question: agent})
	for range 10 { // the next ping may be that far away
		if v := d.Verdict(at); believes(v) || v.Phi < config().Act {
			t.Fatalf("%s after it has resumed: %s", v.Trouble, v.Evidence)
		}
		at = at.Add(20 * time.Millisecond)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// A silence that is longer than the questions that are kept still has its beginning.
func TestLongSilenceKeepsItsBeginning(t *testing.T) {
	cfg := config()
	cfg.FreezeDeadline, cfg.FreezeMost = 30*time.Second, 40*time.Second
	w := sound()
	w.loss = 0.3
	d, at := trained(cfg, w)
	w.ping, w.greet, w.agent = false, false, false
	v, took := play(d, w, at, time.Minute, believes)
	if v.Trouble != detector.Frozen || took < 29*time.Second || took > 32*time.Second {
		t.Errorf("%s after %v: %s", v.Trouble, took, v.Evidence)
	}
}

// A doubtful service does not delay what is asked when its server falls silent.
func TestDoubtfulServiceDelaysNothing(t *testing.T) {
	w := sound()
	d, at := trained(config(), w)
	w.greets = 3 * time.Second
	d.Examine(at)
	_, took := play(d, w, at, 150*time.Millisecond, never)
	at = at.Add(took)
	w.ping, w.greet = false, false
	if v, took := play(d, w, at, 20*time.Second, believes); v.Trouble != detector.Cut || took > time.Second {
		t.Errorf("%s after %v: %s", v.Trouble, took, v.Evidence)
	}
}

// Where its agent answers too slowly to tell when the guest ran, it is cut, not
// frozen: it must not be reset.
func TestSlowAgentIsNoFreeze(t *testing.T) {
	w := sound()
	w.agents = 1500 * time.Millisecond
	d, at := trained(config(), w)
	w.ping, w.greet = false, false
	if v, took := play(d, w, at, 20*time.Second, believes); v.Trouble != detector.Cut || took > 7*time.Second {
		t.Errorf("%s after %v: %s", v.Trouble, took, v.Evidence)
	}
}

// A server that is held up again and again alarms once; a silence twice as long still does.
func TestHeldUpAgain(t *testing.T) {
	alarmed := func(v detector.Verdict) bool { return v.Level >= detector.Alarm }
	w := sound()
	d, at := trained(config(), w)
	held := func(long time.Duration) (alarm bool) {
		w.ping, w.greet, w.agent = false, false, false
		v, took := play(d, w, at, long, alarmed)
		at = at.Add(took)
		if alarm = alarmed(v); alarm {
			_, took = play(d, w, at, long-took, never)
			at = at.Add(took)
		}
		w = sound()
		_, took = play(d, w, at, 5*time.Second, never)
		at = at.Add(took)
		return alarm
	}
	for i, c := range []struct {
		long, later time.Duration
		alarm       bool
	}{
		{long: 800 * time.Millisecond, alarm: true}, {long: 700 * time.Millisecond}, {long: 1400 * time.Millisecond},
		{long: 2500 * time.Millisecond, alarm: true}, {long: 600 * time.Millisecond},
		{later: 2 * time.Minute, long: 600 * time.Millisecond, alarm: true},
	} {
		_, took := play(d, w, at, c.later, never)
		at = at.Add(took)
		if alarm := held(c.long); alarm != c.alarm {
			t.Errorf("%d: held up for %v: alarm %t, want %t", i, c.long, alarm, c.alarm)
		}
	}
}

// From a monitor's start a silence is no alarm, since nothing is known of the
// path yet; what the hypervisor says of a dead guest is certain at any time.
func TestNoAlarmWhileObserving(t *testing.T) {
	cfg := config()
	cfg.Observe = 5 * time.Second
	alarmed := func(v detector.Verdict) bool { return v.Level >= detector.Alarm }
	for state, want := range map[cluster.GuestState]time.Duration{cluster.GuestRunning: cfg.Observe, cluster.GuestOff: 0} {
		d, at := detector.New(cfg, []string{"postfix"}), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		d.Begin(at)
		w := sound()
		w.ping, w.greet, w.agent, w.state = false, false, false, state
		if _, took := play(d, w, at, 20*time.Second, alarmed); took < want || took > want+time.Second {
			t.Errorf("hypervisor says %s: alarm after %v, want %v", state, took, want)
		}
	}
}

// A quiet round costs no memory.
func TestQuietRoundAllocatesNothing(t *testing.T) {
	d, at := trained(config(), sound())
	round := func() {
		asked, _ := d.Ask(at)
		for _, q := range asked {
			d.Tell(at.Add(time.Millisecond), detector.Answer{Question: q})
		}
		_, wake := d.Ask(at.Add(time.Millisecond))
		d.Verdict(at.Add(time.Millisecond))
		at = wake
	}
	if n := testing.AllocsPerRun(1000, round); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// A service is overloaded while it greets slowly, not for as long as its average
// remembers that.
func TestOverloadEnds(t *testing.T) {
	w := sound()
	d, at := trained(config(), w)
	examine := func(greets time.Duration) []string {
		w.greets = greets
		d.Examine(at)
		_, took := play(d, w, at, 10*time.Second, never)
		at = at.Add(took)
		return d.Overloaded()
	}
	for range 40 {
		examine(3 * time.Second)
	}
	if slow := examine(3 * time.Second); len(slow) != 1 {
		t.Errorf("overloaded: %v", slow)
	}
	if slow := examine(20 * time.Millisecond); len(slow) != 0 {
		t.Errorf("overloaded after a quick greeting: %v", slow)
	}
}

// An agent whose channel was closed while all was well says nothing of a guest
// that is held up for a moment.
func TestAgentlessGuest(t *testing.T) {
	for _, agentless := range []bool{false, true} {
		w := sound()
		w.agent, w.closed = false, true
		d, at := trained(config(), w)
		d.Agentless(agentless)
		w.ping, w.greet = false, false
		v, took := play(d, w, at, 20*time.Second, believes)
		if soon := took < 2*time.Second; soon == agentless {
			t.Errorf("agentless %t: %s after %v: %s", agentless, v.Trouble, took, v.Evidence)
		}
	}
}
