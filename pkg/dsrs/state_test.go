package dsrs

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// Every state says what it means, can be reached and can be left.
func TestStates(t *testing.T) {
	reached := []State{Normal}
	for _, to := range allowed {
		reached = append(reached, to...)
	}
	for s := range sentences {
		if s.Sentence() == "" || len(allowed[s]) == 0 || !slices.Contains(reached, s) {
			t.Errorf("state %s: sentence %q, leads to %v", s, s.Sentence(), allowed[s])
		}
	}
	if len(sentences) != len(allowed) {
		t.Errorf("%d states have a sentence, %d lead anywhere", len(sentences), len(allowed))
	}
}

// The package comment lists every state with those that may follow it.
func TestDiagram(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range allowed {
		line := fmt.Sprintf("//\t%-15s -> %s (", from, strings.Trim(strings.ReplaceAll(fmt.Sprint(to), " ", ", "), "[]"))
		if !strings.Contains(string(text), line) {
			t.Errorf("the diagram does not have %q", line)
		}
	}
	if n := strings.Count(string(text), " -> "); n != len(allowed) {
		t.Errorf("%d states in the diagram, %d in the code", n, len(allowed))
	}
}

func TestTransitionRefusesWhatFig9bLacks(t *testing.T) {
	for from, to := range map[State]State{Normal: Restoring, Suspended: Waking, Trouble: Waiting, CutOff: Confirmed, Waking: Restoring} {
		d := New(Deps{})
		d.state = from
		if err := d.transition(to, "test"); err == nil || d.state != from {
			t.Errorf("%s -> %s was not refused", from, to)
		}
	}
}

// misplaced and stale read the files' word on the guests of RS1.
func TestPlacement(t *testing.T) {
	d := New(Deps{Data: mgmtdata.Real{IP: rs1, Servers: []string{"M1", "W1"}}, Servers: datOf{}, Monitors: held{"Ys"}})
	p := d.placementOf(ipc.Reply{
		Placed:    []ipc.PlacedGuest{{Host: "M1", Real: rs1, VIP: vip1}, {Host: "Ws", Real: rs2, VIP: vip2}, {Host: "Fs", Real: rs1, VIP: vip2}},
		Separated: []string{"Ys", "Zs"}, Stopped: []string{"Ms"}, Spares: []string{"Ms", "Ws", "Fs", "Xs", "Ys", "Zs"}, AllVIPs: []netip.Addr{vip1, vip2},
	})
	for host, want := range map[string]bool{
		"M1": false, "W1": false, // line 4
		"Fs": false, "Ms": false, // spares that belong here
		"Ws": true, "Xs": true, // a spare placed elsewhere, and one placed nowhere
		"Ys": false, "Zs": true, // in separation, and its own dbss at work, or not
		"Mb":      true,  // a backup without a row here
		"theirs1": false, // no server of the system
	} {
		if got := d.misplaced(p, cluster.GuestInfo{Host: host, State: cluster.GuestRunning}); got != want {
			t.Errorf("%s misplaced: %v", host, got)
		}
	}
	if d.misplaced(p, cluster.GuestInfo{Host: "Ws", State: cluster.GuestOff}) {
		t.Error("a guest that does not run was misplaced")
	}
	if got := p.stale("M1", []netip.Addr{rs3, vip1, vip2}); !slices.Equal(got, []netip.Addr{vip2}) {
		t.Errorf("stale VIPs of M1: %v", got)
	}
}

// held are the hosts whose dbss run.
type held []string

func (h held) Held(host string) bool            { return slices.Contains(h, host) }
func (held) Own(string) (Owner, error)          { return nil, nil }
func (held) Stop(context.Context, string) error { return nil }

// datOf knows homes by M, W and backups by their ending.
type datOf struct{}

func (datOf) Server(host string) (mgmtdata.Server, error) {
	if strings.HasSuffix(host, "b") {
		return mgmtdata.Server{Host: host}, nil
	}
	return mgmtdata.Server{Host: host, Real: rs1}, nil
}
