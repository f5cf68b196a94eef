package edits

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pss-msbs/pkg/cluster"
)

// TestMove: what one VIP move does to operation, access-stop and separation (SPEC 3).
func TestMove(t *testing.T) {
	known := cluster.HomeNames{ip("101"): "M1", ip("104"): "M2"} // once M2 serves .101, no row tells whose .104 is
	m2 := cluster.Guest{Host: "M2", IP: ip("4"), Real: ip("202")}
	w1 := cluster.Guest{Host: "W1", IP: ip("2"), Real: ip("201")}
	w2 := cluster.Guest{Host: "W2", IP: ip("5"), Real: ip("203")}
	for _, tc := range []struct {
		name    string
		vip     string
		to      cluster.Guest
		held    []netip.Addr
		in, out string
	}{
		{name: "a home server that holds no VIP any more", vip: "105", to: w1,
			in:  "op: Web 201 102 W1 2\n op: Web 203 105 W2 5",
			out: "op: Web 201 102 W1 2\n op: Web 201 105 W1 2\n stop: Web 203 105 W2 5"},
		{name: "back home: it leaves access-stop, the spare enters it", vip: "105", to: w2,
			in:  "op: Web 201 102 W1 2\n op: Web 202 105 Ws 52\n stop: Web 203 105 W2 5\n spare: Web Ws 52",
			out: "op: Web 201 102 W1 2\n op: Web 203 105 W2 5\n stop: Web 202 105 Ws 52\n spare: Web Ws 52"},
		{name: "a VIP only held for another leaves no row", vip: "104", to: m2,
			in:  "op: Mail 201 101 M1 1\n op: Mail 201 104 M1 1\n stop: Mail 202 104 M2 4",
			out: "op: Mail 201 101 M1 1\n op: Mail 202 104 M2 4"},
		{name: "a spare keeps serving its other VIP", vip: "105", to: w2,
			in:  "op: Web 202 102 Ws 52\n op: Web 202 105 Ws 52\n stop: Web 201 102 W1 2\n stop: Web 203 105 W2 5\n spare: Web Ws 52",
			out: "op: Web 202 102 Ws 52\n op: Web 203 105 W2 5\n stop: Web 201 102 W1 2\n spare: Web Ws 52"},
		{name: "a spare stands for each VIP it held", vip: "102", to: w1, held: []netip.Addr{ip("102"), ip("105")},
			in:  "op: Web 202 102 Ws 52\n op: Web 203 105 W2 5\n stop: Web 201 102 W1 2\n spare: Web Ws 52",
			out: "op: Web 201 102 W1 2\n op: Web 203 105 W2 5\n stop: Web 202 102 Ws 52\n stop: Web 202 105 Ws 52\n spare: Web Ws 52"},
		{name: "the same VIP to who has it", vip: "105", to: w2,
			in:  "op: Web 201 102 W1 2\n op: Web 203 105 W2 5",
			out: "op: Web 201 102 W1 2\n op: Web 203 105 W2 5"},
		{name: "from a backup: separation keeps the home VIP", vip: "104", to: m2,
			in:  "op: Mail 200 101 Mb 61\n op: Mail 200 104 Mb 61\n stop: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1",
			out: "op: Mail 200 101 Mb 61\n op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1"},
		{name: "the last VIP of a backup, which gets none back", vip: "104", to: m2,
			in:  "op: Mail 200 104 Mb 61\n stop: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1",
			out: "op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1"},
		{name: "a spare failed: its separation row goes", vip: "105", to: w1,
			in:  "op: Web 201 102 W1 2\n stop: Web 203 105 W2 5\n sep: Web 202 105 Ws 52\n spare: Web Ws 52",
			out: "op: Web 201 102 W1 2\n op: Web 201 105 W1 2\n stop: Web 203 105 W2 5\n spare: Web Ws 52"},
		{name: "a home without backup failed: its recovery goes on", vip: "101", to: m2,
			in:  "op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1",
			out: "op: Mail 202 104 M2 4\n op: Mail 202 101 M2 4\n sep: Mail 201 101 M1 1"},
		{name: "its VIP only held for another goes, its own stays", vip: "104", to: m2,
			in:  "op: Mail 202 101 M2 4\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1",
			out: "op: Mail 202 101 M2 4\n op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1"},
		{name: "the last row of a failed home names its own VIP from then on", vip: "104", to: m2,
			in:  "op: Mail 202 101 M2 4\n sep: Mail 201 104 M1 1",
			out: "op: Mail 202 101 M2 4\n op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := tables(t, tc.in)
			got := before
			Move{VIP: ip(tc.vip), To: tc.to, Held: tc.held}.Make(&got, got.Homes(known))
			if d := cmp.Diff(clean(tc.out), text(got)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if d := cmp.Diff(clean(tc.in), text(before)); d != "" {
				t.Errorf("the move wrote into the rows of its caller (-want +got)\n%s", d)
			}
		})
	}
}

// A change is refused unless the files still say what its plan was made from.
func TestChangeIsChecked(t *testing.T) {
	m1 := cluster.Guest{Host: "M1", IP: ip("1"), Real: ip("201")}
	m2 := cluster.Guest{Host: "M2", IP: ip("4"), Real: ip("202")}
	c := Change{Group: "Mail", From: cluster.PS1, To: cluster.PS2, Moves: []Move{{VIP: ip("104"), From: m2, To: m1}}}
	const fits = "op: Mail 201 101 M1 1\n op: Mail 202 104 M2 4\n real: 201\n real: 202\n"
	for name, tc := range map[string]struct {
		rows      string
		condition cluster.Condition
		want      error
	}{
		"it fits":                    {fits, cluster.PS1, nil},
		"another condition":          {fits, cluster.Moderate, ErrStale},
		"another holder":             {"op: Mail 201 104 M1 1\n real: 201", cluster.PS1, ErrStale},
		"the receiver's host sleeps": {"op: Mail 202 104 M2 4\n real: 202\n asleep: 201", cluster.PS1, ErrStale},
		"a server is in separation":  {fits + "sep: Mail 203 106 M3 6", cluster.PS1, ErrRecovery},
	} {
		t.Run(name, func(t *testing.T) {
			files := tables(t, tc.rows)
			files.State = []cluster.StateRow{{Group: "Mail", Condition: tc.condition}}
			if err := c.Check(files); !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if tc.want != nil {
				return
			}
			after := files
			c.Make(&after, nil)
			if after.Condition("Mail") != cluster.PS2 || files.Condition("Mail") != cluster.PS1 || len(after.Operation.Of("M1")) != 2 {
				t.Errorf("made: %s, %s", after.Condition("Mail"), text(after))
			}
		})
	}
}

func TestNoRowNoSleep(t *testing.T) {
	files := tables(t, "real: 202")
	if err := Sleep(&files, ip("201")); !errors.Is(err, ErrNeeded) {
		t.Errorf("slept without a row: %v", err)
	}
}
