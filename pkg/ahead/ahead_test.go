package ahead_test

import (
	"fmt"
	"strings"
	"testing"

	"pss-msbs/pkg/ahead"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/plan"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/weeks"
)

// view is the paper's system in Fig. 3(a).
func view() ahead.View {
	_, in := weeks.Paper(settings.Default(), 0)
	return ahead.View{Tables: in.Tables, Homes: in.Tables.Homes(nil), Capacity: func(string) load.Capacity { return load.Capacity{MemKB: 1, Cores: 1, NetKBs: 1} },
		Backup: func(host string) string { return in.Backups[host] }}
}

// shifted is v after a shift.
func shifted(v ahead.View, wants string) ahead.View {
	conditions, err := plan.ParseWants(v.Tables, wants)
	if err != nil {
		panic(err)
	}
	v.Tables = plan.Apply(v.Tables, nil, plan.Make(v.Tables, nil, conditions))
	v.Homes = v.Tables.Homes(nil)
	return v
}

func spell(places []load.Place) string {
	var out []string
	for _, p := range places {
		var from []string
		for _, f := range p.From {
			from = append(from, fmt.Sprintf("%g %s", f.Share, f.Host))
		}
		out = append(out, p.Host+": "+strings.Join(from, "+"))
	}
	return strings.Join(out, ", ")
}

// TestLayouts: who would serve, and what of today's servers.
func TestLayouts(t *testing.T) {
	for _, c := range []struct{ today, group, ps1, ps2 string }{
		{"", "Mail", "M1: 1 M1, M2: 1 M2", "M1: 1 M1+1 M2"},
		{"", "Web", "W1: 1 W1, Ws: 1 W2", "W1: 1 W1+1 W2"},
		{"", "FTP", "F1: 1 F1, Fs: 1 F2", "Fs: 1 F1+1 F2"},
		{"Web=PS1,FTP=PS1", "Web", "W1: 1 W1, Ws: 1 Ws", "W1: 1 W1+1 Ws"},
		{"Web=PS2", "Web", "W1: 0.5 W1, Ws: 0.5 W1", "W1: 0.5 W1+0.5 W1"},
	} {
		got := shifted(view(), c.today).Layouts(c.group)
		if ps1, ps2 := spell(got[cluster.PS1].Places), spell(got[cluster.PS2].Places); ps1 != c.ps1 || ps2 != c.ps2 {
			t.Errorf("%s from %q: got PS1 %q and PS2 %q, want %q and %q", c.group, c.today, ps1, ps2, c.ps1, c.ps2)
		}
	}
}

// TestLosses: a backup replaces its target, a spare's VIPs go to the group's other
// server until the real servers that sleep have woken.
func TestLosses(t *testing.T) {
	var got []string
	v := view()
	for _, l := range v.Layouts("Web")[cluster.PS1].Losses {
		got = append(got, fmt.Sprintf("%v: %s; %s", l.Real, spell(l.Places), spell(l.Later)))
	}
	v.Backup = nil
	for _, l := range v.Layouts("Mail")[cluster.PS1].Losses {
		got = append(got, fmt.Sprintf("%v: %s; %s", l.Real, spell(l.Places), spell(l.Later)))
	}
	want := []string{
		"172.21.14.201: Wb: 1 W1, Ws: 1 W2; Wb: 1 W1, W2: 1 W2",
		"172.21.14.202: W1: 1 W1+1 W2; W1: 1 W1, W2: 1 W2",
		"172.21.14.201: M2: 1 M1+1 M2; M2: 1 M1+1 M2",
		"172.21.14.202: M1: 1 M1+1 M2; M1: 1 M1+1 M2",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRobust: a group that stays in PS1 and would not stand a failure keeps the
// real servers awake, one in Moderate or PS2 does not.
func TestRobust(t *testing.T) {
	v := view()
	wants, _ := plan.ParseWants(v.Tables, "Web=PS1,FTP=PS1")
	steps := plan.Make(v.Tables, nil, wants)
	for _, c := range []struct {
		group string
		sleep int
	}{{"Web", 0}, {"Mail", 1}} {
		left, whys := ahead.Robust(v.Tables, steps, []load.Decision{{Group: c.group, Fragile: "it would be at 120 %"}})
		if n := len(left.Of(plan.SuspendReal)); n != c.sleep || (len(whys) == 0) != (n == 1) || len(left.Of(plan.MoveVIP)) != 2 {
			t.Errorf("%s fragile: %d real servers sleep, want %d: %v %v", c.group, n, c.sleep, left, whys)
		}
	}
}
