package dsrs

import (
	"regexp"
	"testing"
	"time"

	"pss-msbs/pkg/sim"
)

// took reads after_detection of the message that ends a recovery.
func (w *world) took(message string) time.Duration {
	w.Helper()
	m := regexp.MustCompile(message + `.* after_detection=(\S+)`).FindStringSubmatch(w.log.String())
	if m == nil {
		w.Fatalf("no %q with its time", message)
	}
	d, err := time.ParseDuration(m[1])
	w.must(err)
	return d
}

// Table 5, "Intentional restart of RS1" and "Shutdown of RS1", fault at the
// midpoint of the monitoring interval.
func TestRealServerRestart(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.RealRestart, "RS1")
		w.takeOverBoth()
		w.awaitLog(MsgRecovered, 2*time.Minute)
		if d := w.took(MsgRecovered); d >= 70790*time.Millisecond {
			t.Errorf("target recovered after %s, the paper needed 70.79 s", d)
		}
		time.Sleep(15 * time.Second)
		w.restored()
	})
}

func TestRealServerShutdown(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.RealShutdown, "RS1")
		w.takeOverBoth()
		w.awaitLog(MsgRecovered, 3*time.Minute)
		if d := w.took(MsgRecovered); d >= 149*time.Second {
			t.Errorf("target recovered after %s, the paper needed 149.00 s", d)
		}
		time.Sleep(15 * time.Second)
		w.restored()
		if m := w.log.has("B1 ", MsgTrouble, "B2 ", MsgConfirmed, "B3 "+MsgOut, MsgWaiting, MsgPacket, MsgAnswers, MsgStripped,
			MsgStart, MsgServerUp, "B4 "+MsgServer, "B4 "+MsgRecovered); m != "" {
			t.Errorf("%q is missing or out of order", m)
		}
	})
}
