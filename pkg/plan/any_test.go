package plan

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pss-msbs/pkg/cluster"
)

// drawTables draws files that parse but need not make sense: any server may
// stand anywhere, with any VIP of its group, on real servers that may be gone.
func drawTables(rt *rapid.T) cluster.Tables {
	f := &fleet{prefix: lan}
	var t cluster.Tables
	reals := rapid.IntRange(0, 5).Draw(rt, "reals")
	for i := 1; i <= reals; i++ {
		r := cluster.RealRow{IP: f.rs(i), MAC: cluster.MAC{5: byte(i)}}
		switch rapid.IntRange(0, 3).Draw(rt, "real") {
		case 0:
			t.Suspended = append(t.Suspended, r)
		case 1, 2:
			t.Real = append(t.Real, r)
		}
	}
	anyReal := rapid.Custom(func(rt *rapid.T) netip.Addr { return f.rs(rapid.IntRange(1, 6).Draw(rt, "rs")) })
	for g := range rapid.IntRange(1, 3).Draw(rt, "groups") {
		name := fmt.Sprintf("G%d", g)
		bases := rapid.SliceOfNDistinct(anyReal, 1, 3, rapid.ID).Draw(rt, "bases")
		condition := rapid.SampledFrom([]cluster.Condition{cluster.Moderate, cluster.PS1, cluster.PS2}).Draw(rt, "condition")
		t.State = append(t.State, cluster.StateRow{Group: name, Condition: condition, Bases: bases})
		var hosts cluster.Rows
		for h := range rapid.IntRange(1, 6).Draw(rt, "hosts") {
			host := cluster.ServerRow{Group: name, Real: anyReal.Draw(rt, "at"), Host: fmt.Sprintf("S%d-%d", g, h), IP: f.ip(10*g + h)}
			hosts = append(hosts, host)
			if rapid.IntRange(0, 2).Draw(rt, "spare") == 0 {
				t.Spares = append(t.Spares, cluster.SpareRow{Group: name, Host: host.Host, IP: host.IP})
			}
		}
		for v := range rapid.IntRange(0, 5).Draw(rt, "vips") {
			vip := f.ip(100 + 10*g + v)
			some := func(label string, most int) cluster.Rows {
				rows := slices.Clone(rapid.Permutation(hosts).Draw(rt, label)[:min(len(hosts), rapid.IntRange(0, most).Draw(rt, "n"))])
				for i := range rows {
					rows[i].VIP = vip
				}
				return rows
			}
			t.Operation = append(t.Operation, some("operation", 1)...)
			t.AccessStop = append(t.AccessStop, some("access-stop", 2)...)
			t.Separation = append(t.Separation, some("separation", 2)...)
		}
	}
	return t
}

// checkAny is what a plan keeps for any files: it can be written, row order does
// not matter, a VIP served stays served once, nothing that hosts one sleeps.
func checkAny(rt *rapid.T) {
	w := &world{t: drawTables(rt)}
	wants := w.drawWants(rt)
	p := Make(w.t, nil, wants)
	text, err := json.Marshal(p)
	if err != nil {
		rt.Fatal(err)
	}
	if again, _ := json.Marshal(Make(shuffled(rt, w.t), nil, wants)); string(again) != string(text) {
		rt.Fatalf("row order matters\n%s\n%s", text, again)
	}
	after := Apply(w.t, nil, p)
	if before := w.t.Operation.VIPs(); !slices.Equal(before, after.Operation.VIPs()) || len(after.Operation) != len(before) {
		rt.Fatalf("operation\nbefore %s\nafter  %s", rows(w.t.Operation), rows(after.Operation))
	}
	for _, r := range slices.Concat(after.Operation, after.Separation) {
		if slices.ContainsFunc(p.Of(SuspendReal), func(s Step) bool { return s.Real == r.Real }) {
			rt.Fatalf("%s sleeps with %s", r.Real, r.Host)
		}
	}
	for _, s := range p.Of(SetState) {
		if row, _ := after.StateOf(s.Group); row.Condition != wants[s.Group] {
			rt.Fatalf("%s has %s, wants %s", s.Group, row.Condition, wants[s.Group])
		}
	}
}

func TestAnyTables(t *testing.T) { rapid.Check(t, checkAny) }

func FuzzMake(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkAny)) }

// TestParseWants reads --want.
func TestParseWants(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "map[]"},
		{"Web=PS1", "map[Web:Light(PS1)]"},
		{"Web=PS1,FTP=Light(PS2), Mail=Moderate", "map[FTP:Light(PS2) Mail:Moderate Web:Light(PS1)]"},
		{"Web", `cannot read want "Web": want GROUP=CONDITION`},
		{"Nope=PS1", `cannot read want "Nope=PS1": no group "Nope" in state.conf`},
		{"Web=PS1,Web=PS2", `cannot read want "Web=PS2": group Web is named twice`},
		{"Web=PS3", `cannot read want "Web=PS3": unknown condition "PS3": want Moderate, Light(PS1) or Light(PS2)`},
		{"Web=PS1,", `cannot read want "": want GROUP=CONDITION`},
	} {
		t.Run(c.text, func(t *testing.T) {
			wants, err := ParseWants(paper(), c.text)
			got := fmt.Sprint(wants)
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
