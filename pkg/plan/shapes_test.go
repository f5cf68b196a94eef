package plan

import (
	"net/netip"
	"slices"
	"testing"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
)

// alone has a group of one server off its base and without a spare.
func alone() cluster.Tables { return build(lan, 2, "One: A@2=101 / 1", "Two: B@1=102 / 1") }

// suspended is t with the real servers numbered asleep.
func suspended(t cluster.Tables, reals ...int) cluster.Tables {
	f := &fleet{prefix: lan}
	for _, n := range reals {
		if err := edits.Sleep(&t, f.rs(n)); err != nil {
			panic(err)
		}
	}
	return t
}

// gone is t with a real server's row in neither file (B3).
func gone(t cluster.Tables, real int) cluster.Tables {
	return goneIP(t, (&fleet{prefix: lan}).rs(real))
}

// separate moves host's operation rows to separation (A3); with a backup, that
// one serves from the management server .200 (A4).
func separate(t cluster.Tables, host, backup string) cluster.Tables {
	f := &fleet{prefix: lan}
	rows := t.Operation.Of(host)
	t = t.Clone()
	t.Operation = t.Operation.Without(host)
	t.Separation = append(t.Separation, rows...)
	for _, r := range rows {
		if backup != "" {
			t.Operation = append(t.Operation, cluster.ServerRow{Group: r.Group, Real: f.ip(200), VIP: r.VIP, Host: backup, IP: f.ip(60)})
		}
	}
	return t
}

// brokenSpare is a group in PS2 whose first spare, idle on RS2, is in separation.
func brokenSpare() cluster.Tables {
	t := shifted(build(lan, 3, "A: A1@1=101 A2@3=102 | As At / 1 2"), "A=PS1", "A=PS2")
	t.Separation = t.AccessStop.Of("As")
	t.Separation[0].VIP = t.Operation[0].VIP // one that no shift moves
	t.AccessStop = t.AccessStop.Without("As")
	return t
}

// TestShapes are fleets other than the paper's.
func TestShapes(t *testing.T) {
	four := build(lan, 4, "A: A1@1=101 A2@2=102 A3@3=103 A4@4=104 | As At / 1 2")
	groups := build(lan, 5,
		"G1: A1@1=101 A2@4=111 | As / 1 2", "G2: B1@2=102 B2@5=112 | Bs / 1 2",
		"G3: C1@3=103 C2@4=113 | Cs / 2 3", "G4: D1@3=104 D2@5=114 | Ds / 1 2")
	bases := build(lan, 5, "A: A1@4=101 A2@5=102 A3@2=103 | As At / 1 2 3")
	runCases(t, []shiftCase{
		{"a group of four, two spares", four, "A=PS1", "103 A3>A1; 104 A4>A2; A=Light(PS1); suspend 203; suspend 204",
			"101:A1@201 102:A2@202 103:A1@201 104:A2@202", "103:A3@203 104:A4@204"},
		{"a group of four, PS2", four, "A=PS2", "102 A2>A1; 103 A3>A1; 104 A4>A1; A=Light(PS2); suspend 202; suspend 203; suspend 204",
			"101:A1@201 102:A1@201 103:A1@201 104:A1@201", "102:A2@202 103:A3@203 104:A4@204"},
		{"four groups, five real servers", groups, "G1=PS1 G2=PS1 G3=PS1",
			"start As@202; start Bs@201; start Cs@202; 111 A2>As; 112 B2>Bs; 113 C2>Cs; G1=Light(PS1); G2=Light(PS1); G3=Light(PS1); suspend 204",
			"101:A1@201 102:B1@202 103:C1@203 104:D1@203 111:As@202 112:Bs@201 113:Cs@202 114:D2@205", "111:A2@204 112:B2@205 113:C2@204"},
		{"three bases", bases, "A=PS1", "start As@201; start At@203; 101 A1>As; 102 A2>At; A=Light(PS1); suspend 204; suspend 205",
			"101:As@201 102:At@203 103:A3@202", "101:A1@204 102:A2@205"},
		{"three bases, PS2 on the spare of B1", shifted(bases, "A=PS1"), "A=PS2",
			"102 At>As; 103 A3>As; A=Light(PS2); stop At; suspend 202; suspend 203",
			"101:As@201 102:As@201 103:As@201", "101:A1@204 102:A2@205 102:At@203 103:A3@202"},
		{"a group of one server off the base", build(lan, 2, "One: A@2=101 | As / 1"), "One=PS1",
			"start As@201; 101 A>As; One=Light(PS1); suspend 202", "101:As@201", "101:A@202"},
		{"a group of one server on the base", build(lan, 2, "One: A@1=101 / 1"), "One=PS1", "One=Light(PS1); suspend 202", "101:A@201", ""},
		{"no spare for a group off its base", alone(), "One=PS1", "refuse One (no server on base)", "101:A@202 102:B@201", ""},
		{"no spare left: the lightest takes the rest", build(lan, 4, "A: A1@1=101 A2@3=102 A3@4=103 | As / 1 2"), "A=PS1",
			"start As@202; 102 A2>As; 103 A3>A1; A=Light(PS1); suspend 203; suspend 204",
			"101:A1@201 102:As@202 103:A1@201", "102:A2@203 103:A3@204"},
		{"two homes on one base: a spare makes it redundant", build(lan, 2, "A: A1@1=101 A2@1=102 | As / 1 2"), "A=PS1",
			"start As@202; 101 A1>As; A=Light(PS1)", "101:As@202 102:A2@201", "101:A1@201"},
		{"redundancy by the highest VIP of the fullest", build(lan, 3, "A: A1@1=103 A2@3=101 | As / 1 2"), "A=PS1",
			"start As@202; 101 A2>As; A=Light(PS1); suspend 203", "101:As@202 103:A1@201", "101:A2@203"},
		{"the lightest of equals: base order before VIP order", build(lan, 3, "A: A1@2=101 A2@1=102 A3@3=103 / 1 2"), "A=PS1",
			"103 A3>A2; A=Light(PS1); suspend 203", "101:A1@202 102:A2@201 103:A2@201", "103:A3@203"},
		{"the lightest of equals on one base: by name", build(lan, 3, "A: A9@1=101 A1@1=102 A3@2=103 A4@3=104 / 1 2"), "A=PS1",
			"104 A4>A1; A=Light(PS1); suspend 203", "101:A9@201 102:A1@201 103:A3@202 104:A1@201", "104:A4@203"},
		{"the fullest of equals: by name", build(lan, 2, "A: A9@1=101 A1@1=102 | As / 1 2"), "A=PS1",
			"start As@202; 102 A1>As; A=Light(PS1)", "101:A9@201 102:As@202", "102:A1@201"},
		{"not redundant: no other base", build(lan, 2, "A: A1@1=101 A2@1=102 | As / 1"), "A=PS1", "refuse A (not redundant); suspend 202", "", ""},
		{"not redundant: no spare", build(lan, 2, "A: A1@1=101 A2@1=102 / 1 2"), "A=PS1", "refuse A (not redundant); suspend 202", "", ""},
		{"PS2 takes the spare that a refused PS1 does not use", build(lan, 3, "A: A1@2=101 A2@2=102 | As / 1 2"), "A=PS2",
			"start As@201; 101 A1>As; 102 A2>As; A=Light(PS2); suspend 202; suspend 203", "101:As@201 102:As@201", "101:A1@202 102:A2@202"},
		{"PS2 with the next spare that PS1 leaves free", build(lan, 3, "A: A1@2=101 A2@3=102 | As / 1 2 3"), "A=PS2",
			"start As@201; 101 A1>As; 102 A2>As; A=Light(PS2); suspend 202; suspend 203", "101:As@201 102:As@201", "101:A1@202 102:A2@203"},
		{"PS2 refused: nothing on B1", build(lan, 3, "A: A1@2=101 A2@3=102 / 1 2 3"), "A=PS2", "refuse A (no server on base); suspend 201", "", ""},
		{"a base in suspension is woken", suspended(build(lan, 3, "A: A1@1=101 A2@3=102 | As / 1 2"), 2), "A=PS1",
			"wake 202; start As@202; 102 A2>As; A=Light(PS1); suspend 203", "101:A1@201 102:As@202", "102:A2@203"},
		{"an unknown base", gone(paper(), 2), "Web=PS1", "refuse Web (unknown base)", "", ""},
		{"IPv6", build("fd00::", 3, "Web: W1@1=102 W2@3=105 | Ws / 1 2"), "Web=PS1", "start Ws@202; 105 W2>Ws; Web=Light(PS1); suspend 203",
			"102:W1@201 105:Ws@202", "105:W2@203"},
		{"an idle real server sleeps", build(lan, 4, "A: A1@1=101 / 1"), "", "suspend 202; suspend 203; suspend 204", "101:A1@201", ""},
	})
}

// TestTrouble are shifts of fleets with servers in separation or hosts gone.
func TestTrouble(t *testing.T) {
	a4 := shifted(paper(), "all=PS1")
	mail2 := shifted(a4, "Mail=PS2")
	h4 := shifted(a4, "all=PS2")
	runCases(t, []shiftCase{
		{"recovery under way: no lighter condition", separate(paper(), "W1", "Wb"), "Web=PS1", "refuse Web (recovery under way)", "", ""},
		{"recovery under way: the other groups go on", separate(paper(), "M1", "Mb"), "all=PS1",
			"refuse Mail (recovery under way); start Fs@201; start Ws@202; 105 W2>Ws; 106 F2>Fs; Web=Light(PS1); FTP=Light(PS1); suspend 203", "", ""},
		{"recovery under way: back to Moderate is allowed", separate(a4, "W1", "Wb"), "Web=Moderate",
			"wake 203; 105 Ws>W2; Web=Moderate; stop Ws",
			"101:M1@201 102:Wb@200 103:F1@202 104:M2@202 105:W2@203 106:Fs@201", "106:F2@203"},
		{"a VIP held for another leaves the backup", separate(mail2, "M1", "Mb"), "Mail=Moderate", "104 Mb>M2; Mail=Moderate",
			"101:Mb@200 102:W1@201 103:F1@202 104:M2@202 105:Ws@202 106:Fs@201", "105:W2@203 106:F2@203"},
		{"PS2 with its server in separation: the spare on B1", separate(mail2, "M1", "Mb"), "", "start Ms@201; 104 Mb>Ms", "", ""},
		{"nobody serves yet: left to its owner", separate(mail2, "M1", ""), "Mail=Moderate", "Mail=Moderate", "", ""},
		{"the host of a recovery stays awake", separate(shifted(paper(), "Web=PS1"), "F2", "Fb"), "", "", "", ""},
		{"the host of a recovery is woken", separate(h4, "M1", "Mb"), "", "start Ms@201; 104 Mb>Ms", "", ""},
		{"a home whose host is gone stays where it is served", gone(separate(paper(), "W2", "Wb2"), 3), "all=Moderate", "", "", ""},
		{"a home in access-stop whose host is gone is left out", gone(shifted(paper(), "Web=PS1"), 3), "Web=Moderate", "Web=Moderate", "", ""},
		{"a spare in separation is not free", brokenSpare(), "A=PS1",
			"wake 202; start At@202; 102 A1>At; A=Light(PS1)", "101:A1@201 102:At@202", "102:A2@203"},
	})
}

// TestB1IsWoken: B1 of a group in PS2 is awake also while nothing runs on it, as
// after an operator put another real server first.
func TestB1IsWoken(t *testing.T) {
	f := &fleet{prefix: lan}
	tb := shifted(build(lan, 3, "A: A1@3=101 | As / 2"), "A=PS2")
	tb.State[0].Bases = []netip.Addr{f.rs(1), f.rs(2)}
	if got, want := compact(Make(tb, nil, nil)), "wake 201"; got != want || rows(tb.Operation) != "101:As@202" {
		t.Errorf("planned %q, want %q; in operation: %s", got, want, rows(tb.Operation))
	}
}

// TestSpareKeepsItsRealServer: bases that an operator reorders during PS1 do not
// make a serving spare wander; after Moderate it goes to the new place.
func TestSpareKeepsItsRealServer(t *testing.T) {
	f := &fleet{prefix: lan}
	tb := shifted(build(lan, 4, "A: A1@4=101 A2@3=102 | As At / 1 2"), "A=PS1")
	if got := rows(tb.Operation); got != "101:As@201 102:At@202" {
		t.Fatalf("PS1: %s", got)
	}
	tb.State[0].Bases = slices.Clone(tb.State[0].Bases)
	slices.Reverse(tb.State[0].Bases)
	if p := Make(tb, nil, nil); len(p) > 0 {
		t.Errorf("bases reversed: %s", compact(p))
	}
	tb = shifted(tb, "A=Moderate", "A=PS1")
	if got := rows(tb.Operation); got != "101:As@202 102:At@201" {
		t.Errorf("after Moderate: %s (bases %v, %v)", got, f.rs(2), f.rs(1))
	}
}
