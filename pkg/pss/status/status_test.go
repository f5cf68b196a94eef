package status_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/pss/status"
	"pss-msbs/pkg/settings"
)

func ip(last int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, byte(last)}) }

var now = time.Date(2026, 11, 22, 14, 47, 49, 0, time.UTC)

// input is Mail in PS2 with M1 failed, Mb serving, and RS2 asleep.
func input() status.Input {
	row := func(real, vip int, host string, own int) cluster.ServerRow {
		return cluster.ServerRow{Group: "Mail", Real: ip(real), VIP: ip(vip), Host: host, IP: ip(own)}
	}
	return status.Input{
		Now: now, Settings: settings.Default(), Running: true,
		Tables: cluster.Tables{
			Operation:  cluster.Rows{row(200, 101, "Mb", 61), row(200, 104, "Mb", 61)},
			AccessStop: cluster.Rows{row(202, 104, "M2", 4)},
			Separation: cluster.Rows{row(201, 101, "M1", 1), row(201, 104, "M1", 1)},
			Real:       []cluster.RealRow{{IP: ip(201)}},
			Suspended:  []cluster.RealRow{{IP: ip(202)}},
			State:      []cluster.StateRow{{Group: "Mail", Condition: cluster.PS2, Bases: []netip.Addr{ip(201), ip(202)}}},
		},
		Data: ops.Data{
			Servers: []mgmtdata.Server{
				{VIP: ip(101), Host: "M1", IP: ip(1), Group: "Mail", Backup: "Mb", BackupIP: ip(61), Real: ip(201)},
				{VIP: ip(104), Host: "M2", IP: ip(4), Group: "Mail", Backup: "Mb2", BackupIP: ip(64), Real: ip(202)},
				{Host: "Mb", IP: ip(61), Group: "Mail"},
			},
			Reals: []mgmtdata.Real{{IP: ip(201), Host: "RS1"}, {IP: ip(202), Host: "RS2"}, {IP: ip(203), Host: "RS3"}},
		},
		Last: &record.LastCycle{PID: 7, At: now.Add(-5 * time.Second), Interval: 10, Groups: []record.GroupLoad{
			{Group: "Mail", Examined: true, Lm: 10, Lc: 20, Ln: 30, Ls: 20, Class: cluster.LightLoad, Want: cluster.PS2}}},
		Monitored: func(host string) bool { return host != "M2" && host != "RS3" && host != "Mb" },
		Budget: func(host string) status.Budget {
			return status.Budget{Exhausted: host == "M1", Until: now.Add(time.Hour)}
		},
		Wake: func(netip.Addr) record.Wake { return record.Wake{} },
	}
}

// A move under way is no news; one that did not end is, with what it keeps.
func TestMovesThatDidNotEnd(t *testing.T) {
	in := input()
	move := ipc.Move{VIP: ip(104), On: []cluster.Guest{{Host: "M1"}, {Host: "M2"}}, Given: now.Add(-time.Minute)}
	for _, c := range []struct {
		move ipc.Move
		want string
	}{
		{move, "172.21.14.104 may still come to M1, M2"},
		{ipc.Move{VIP: ip(104), Given: move.Given}, "172.21.14.104 was being moved"},
		{ipc.Move{VIP: ip(104), On: move.On, Given: now.Add(-time.Second)}, ""},
	} {
		in.Moving = []ipc.Move{c.move}
		if r := status.Make(in); warns(r, "172.21.14.104") != (c.want != "") || !warns(r, c.want) || len(r.Moving) != 1 {
			t.Errorf("warnings %q, want %q", r.Warnings, c.want)
		}
	}
}

func TestMake(t *testing.T) {
	r := status.Make(input())
	if r.Watts != 31 {
		t.Errorf("%g W, want 28 + 3", r.Watts)
	}
	if !slices.Equal(r.Unmonitored, []string{"M2", "RS3"}) {
		t.Errorf("unmonitored %v: Mb is watched by M1's monitor", r.Unmonitored)
	}
	if len(r.Recoveries) != 1 || r.Recoveries[0].Host != "M1" || !slices.Equal(r.Recoveries[0].ServedBy, []string{"Mb"}) || !r.Recoveries[0].Exhausted {
		t.Errorf("recoveries %+v", r.Recoveries)
	}
	want := status.VIP{VIP: ip(104), Group: "Mail", Holder: "Mb", Real: ip(200), Home: "M2", Separated: "M1"}
	if len(r.VIPs) != 2 || r.VIPs[1] != want {
		t.Errorf("VIPs %+v", r.VIPs)
	}
	if r.PSS.Stale || r.Groups[0].Ls != 20 || r.Groups[0].Condition != cluster.PS2 {
		t.Errorf("pss %+v, groups %+v", r.PSS, r.Groups)
	}
	if len(r.Reals) != 3 || r.Reals[2].State != "out" || r.Reals[0].Host != "RS1" {
		t.Errorf("real servers %+v", r.Reals)
	}
	if warns(r, "may still come") {
		t.Errorf("warnings %q of no move", r.Warnings)
	}
	if !warns(r, "restart budget") || warns(r, "stale") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

func warns(r status.Report, of string) bool {
	return slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, of) })
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		of   string
		edit func(*status.Input)
	}{
		{"pss is not running", func(in *status.Input) { in.Running = false }},
		{"not finished a cycle", func(in *status.Input) { in.Last = nil }},
		{"loads are stale", func(in *status.Input) { in.Last.At = now.Add(-21 * time.Second) }},
		{"nothing is shifted", func(in *status.Input) { in.Faults = []string{"operation.conf:3: want 5 fields, have 4"} }},
		{"did not wake", func(in *status.Input) {
			in.Wake = func(netip.Addr) record.Wake { return record.Wake{Missed: now} }
		}},
		{"nobody serves the VIPs of M1", func(in *status.Input) {
			in.Tables.Operation = nil
			in.Budget = func(string) status.Budget { return status.Budget{} }
		}},
		{"the monitor of Mb is not running", func(in *status.Input) {
			in.Monitored = func(string) bool { return false }
		}},
	} {
		t.Run(c.of, func(t *testing.T) {
			in := input()
			if r := status.Make(in); warns(r, c.of) {
				t.Fatalf("warns of it anyway: %q", r.Warnings)
			}
			c.edit(&in)
			if r := status.Make(in); !warns(r, c.of) {
				t.Errorf("warnings %q", r.Warnings)
			}
		})
	}
}

// What --json prints has no null where a reader expects a list.
func TestJSONHasLists(t *testing.T) {
	for _, in := range []status.Input{input(), {Now: now, Settings: settings.Default(), Monitored: func(string) bool { return true }}} {
		b, err := json.Marshal(status.Make(in))
		if err != nil {
			t.Fatal(err)
		}
		var back status.Report
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(":null")) {
			t.Errorf("%s", b)
		}
	}
}

func TestWrite(t *testing.T) {
	var b strings.Builder
	if err := status.Make(input()).Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Light(PS2)", "172.21.14.104", "suspended", "warning: M1 has used up its restart budget", "31"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &b)
		}
	}
}
