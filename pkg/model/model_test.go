package model

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"pss-msbs/pkg/cluster"
)

var large = flag.Bool("large", false, "search the larger scopes too: minutes, gigabytes")

// toPS1AndBack has groups want PS1 once and then Moderate again.
func toPS1AndBack(groups ...string) map[string][]cluster.Condition {
	out := map[string][]cluster.Condition{}
	for _, g := range groups {
		out[g] = []cluster.Condition{cluster.PS1, cluster.Moderate}
	}
	return out
}

// thereAndBack has groups go through all conditions.
func thereAndBack(groups ...string) map[string][]cluster.Condition {
	out := map[string][]cluster.Condition{}
	for _, g := range groups {
		out[g] = []cluster.Condition{cluster.PS1, cluster.PS2, cluster.PS1, cluster.Moderate}
	}
	return out
}

func left(what ...string) map[string]int {
	out := map[string]int{}
	for _, w := range what {
		out[w]++
	}
	return out
}

var scopes = []Scope{
	{Name: "two shifts each way, a crash", Wants: toPS1AndBack("Web", "FTP"), Left: left("crash")},
	{Name: "one group through all conditions, a crash", Wants: thereAndBack("Web"), Left: left("crash")},
	{Name: "two takeovers of one group, a crash", Monitors: []string{"W1", "W2"}, Victims: []string{"W1", "W2"},
		Left: left("crash", "guest dies", "guest freezes", "hold expires")},
	{Name: "a shift each way, a takeover, a crash", Wants: toPS1AndBack("Web"), Monitors: []string{"W2"}, Victims: []string{"W2"},
		Left: left("crash", "guest dies", "guest freezes", "hold expires")},
	{Name: "a shift each way, a spare's monitor, a crash", Wants: toPS1AndBack("Web"), Monitors: []string{"Ws"}, Victims: []string{"Ws"},
		Left: left("crash", "guest dies")},
	{Name: "a shift each way, a backup that fails, a crash", Wants: toPS1AndBack("Web"), Monitors: []string{"W2"}, Victims: []string{"W2"},
		Left: left("crash", "guest dies", "backup fails")},
	{Name: "a real server dies, a crash", Monitors: []string{"W2", "F2"}, Reals: []string{"RS3"}, Left: left("crash", "host dies", "hold expires")},
	{Name: "a shift each way, a real server dies", Wants: toPS1AndBack("Web"), Monitors: []string{"W2"}, Reals: []string{"RS3"}, Left: left("host dies")},
	{Name: "a shift each way, a real server silent", Wants: toPS1AndBack("Web"), Monitors: []string{"W2"}, Reals: []string{"RS3"}, Left: left("host silent")},
}

var largeScopes = []Scope{
	{Name: "a shift each way, a real server silent, a crash", Wants: toPS1AndBack("Web"), Monitors: []string{"W2"}, Reals: []string{"RS3"},
		Left: left("crash", "host silent")},
	{Name: "a real server silent, two crashes", Monitors: []string{"W2", "F2"}, Reals: []string{"RS3"}, Left: left("host silent", "crash", "crash")},
	{Name: "two shifts each way, two takeovers, a crash", Wants: toPS1AndBack("Web", "FTP"), Monitors: []string{"W2", "F2"}, Victims: []string{"W2", "F2"},
		Left: left("crash", "guest dies", "guest dies")},
	{Name: "two shifts each way, a real server dies", Wants: toPS1AndBack("Web", "FTP"), Monitors: []string{"W2", "F2"}, Reals: []string{"RS3"},
		Left: left("host dies")},
	{Name: "a shift each way, a real server dies, a crash", Wants: toPS1AndBack("Web"), Monitors: []string{"W2", "F2"}, Reals: []string{"RS3"},
		Left: left("crash", "host dies")},
	{Name: "two crashes of two shifts", Wants: toPS1AndBack("Web", "FTP"), Left: left("crash", "crash")},
}

// TestProtocol searches every scope: nothing of SPEC 10 is ever broken, nobody
// is ever stuck, and all can always be well again.
func TestProtocol(t *testing.T) {
	all := slices.Concat(scopes, forFaults)
	if *large {
		all = append(all, largeScopes...)
	}
	for _, scope := range all {
		t.Run(scope.Name, func(t *testing.T) {
			r := New(scope).Search(0)
			t.Log(r)
			if r.Wrong != "" {
				t.Errorf("%s\n%s", r.Wrong, strings.Join(r.Trace, "\n"))
			}
			if r.Wrong == "" && r.Good == 0 {
				t.Error("no state was found in which all is well")
			}
		})
	}
}

// TestBrokenProtocols shows that the search can fail: each deliberate fault is
// found out in one of the scopes.
func TestBrokenProtocols(t *testing.T) {
	for _, broken := range []Broken{NoCheck, StaleA3, NoFence, NoAsking, NoHold, HalfUndo, LateCalls, UndoUnheld, DeafUndo, NoRecovery,
		SharedLock, OnBeforeOff, BlindSuspend, SleepFirst, NoStrip, NoOwner, TakeAnything} {
		t.Run(string(broken), func(t *testing.T) {
			for _, scope := range slices.Concat(forFaults, scopes) {
				scope.Broken = broken
				if r := New(scope).Search(50_000); r.Wrong != "" {
					t.Logf("%s: %s, in %d steps (%s)", scope.Name, r.Wrong, len(r.Trace)-1, r)
					return
				}
			}
			t.Error("no scope shows what is wrong with it")
		})
	}
}

// forFaults are scopes in which more goes wrong at once.
var forFaults = []Scope{
	{Name: "a hold expires under a failed backup", Monitors: []string{"W2"}, Victims: []string{"W2"}, Left: left("guest dies", "backup fails", "hold expires")},
	{Name: "a hold expires while pss fetches a VIP", Wants: map[string][]cluster.Condition{"Web": {cluster.PS2, cluster.Moderate}},
		Monitors: []string{"W1"}, Victims: []string{"W1"}, Left: left("guest dies", "hold expires")},
	{Name: "two shifts, a takeover", Wants: toPS1AndBack("Web", "FTP"), Monitors: []string{"W2"}, Victims: []string{"W2"}, Left: left("guest dies")},
	{Name: "a silence and a frozen target", Monitors: []string{"W2"}, Victims: []string{"W2"}, Reals: []string{"RS3"}, Left: left("host silent", "guest freezes", "hold expires")},
}
