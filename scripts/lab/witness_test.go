//go:build lab

package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"pss-msbs/pkg/lab"
)

// witness is what the client and the switch saw of something.
type witness struct {
	asked, failed int
	longest       time.Duration // of the answered accesses
	said          string        // by the client
	seen          lab.Seen
}

var tally = regexp.MustCompile(`(?m)^(\w+) +(\d+) asked, (\d+) failed, (\d+) late, longest ([0-9.]+) s$`)

// witnessing has a client ask every group rate times a second, and the switch
// watched, until the returned function is called.
func (r room) witnessing(rate int) (stop func() witness) {
	client, watch := r.start("client", "--rate="+strconv.Itoa(rate)), r.start("watch")
	return func() (w witness) {
		r.t.Helper()
		w.said = string(client())
		for _, m := range tally.FindAllStringSubmatch(w.said, -1) {
			n, _ := strconv.Atoi(m[2]) // digits, by the expression
			f, _ := strconv.Atoi(m[3])
			s, _ := strconv.ParseFloat(m[5], 64)
			w.asked, w.failed = w.asked+n, w.failed+f
			w.longest = max(w.longest, time.Duration(s*float64(time.Second)))
		}
		if err := json.Unmarshal(watch(), &w.seen); err != nil {
			r.t.Errorf("watch: %v", err)
		}
		if w.asked == 0 || w.seen.Rounds == 0 {
			r.t.Errorf("nothing was witnessed: %d accesses, %d questions", w.asked, w.seen.Rounds)
		}
		return w
	}
}

// stripDeadline is how long a host that was silent when it should have been
// fenced may answer for a VIP that moved, once it answers at all (SPEC 10).
const stripDeadline = time.Second

// single fails unless every VIP had one holder at every instant; with returned,
// a host that was silent may have been a second one for strip_deadline.
func (w witness) single(r room, returned bool) {
	r.t.Helper()
	for _, d := range w.seen.Doubles {
		text := fmt.Sprintf("%v answered for %v during %.1f s from %s on", d.MACs, d.VIP, d.For().Seconds(), d.First.Format(time.TimeOnly))
		if returned && d.For() <= stripDeadline {
			r.t.Logf("the host that returned: %s", text)
			continue
		}
		r.t.Errorf("two holders: %s", text)
	}
}

// longestGap is the longest time between two pings of any of the servers.
func (w witness) longestGap(ips ...string) (longest time.Duration) {
	for _, ip := range ips {
		gap, ok := w.seen.Gaps[ip]
		if !ok {
			gap = time.Hour // it was never pinged twice
		}
		longest = max(longest, gap)
	}
	return longest
}
