package cluster_test

import (
	"net/netip"
	"slices"
	"testing"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/cluster/clustertest"
)

// troubled: Mb serves for M1, whose other VIP nobody serves; W1 and the spare
// Ws, which serves, are in separation with a VIP that nobody else has.
func troubled(t *testing.T) cluster.Tables {
	return clustertest.Tables(t, `
		op: Mail 200 101 Mb 61
		op: Web 202 105 Ws 52
		stop: Mail 202 104 M2 4
		stop: Web 203 105 W2 5
		sep: Mail 201 101 M1 1
		sep: Mail 201 104 M1 1
		sep: Web 201 102 W1 2
		sep: Web 202 102 Ws 52
		real: 201
		real: 202
		asleep: 203
		spare: Web Ws 52`)
}

func TestStanding(t *testing.T) {
	tables := troubled(t)
	for host, want := range map[string]cluster.Standing{
		"Mb": cluster.Operating, "Ws": cluster.Operating, "M1": cluster.Separated, "W1": cluster.Separated,
		"M2": cluster.AccessStop, "F1": cluster.NotInFiles,
	} {
		got, rows := tables.Standing(host)
		if got != want || (len(rows) == 0) != (want == cluster.NotInFiles) {
			t.Errorf("%s stands %s by %d rows, want %s", host, got, len(rows), want)
		}
	}
	for real, want := range map[string]cluster.Standing{"201": cluster.RealActive, "203": cluster.RealAsleep, "204": cluster.RealOutside} {
		if got := tables.RealStanding(ip(real)); got != want {
			t.Errorf("real server %s stands %s, want %s", real, got, want)
		}
	}
}

func TestWhoServes(t *testing.T) {
	tables := troubled(t)
	mb, ok := tables.Holder(ip("101"))
	_, nobody := tables.Holder(ip("104"))
	for what, ok := range map[string]bool{
		"holder":                ok && mb.Host == "Mb" && !nobody,
		"serves":                tables.Serves("Mb") && tables.Serves("M1") && !tables.Serves("M2"),
		"unserved":              slices.Equal(tables.Unserved("Mail"), []netip.Addr{ip("104")}),
		"all failed":            tables.LeftToPSS(ip("102"), []string{"W1", "Ws"}),
		"one has its monitor":   !tables.LeftToPSS(ip("102"), []string{"W1"}),
		"failed, but served":    !tables.LeftToPSS(ip("101"), []string{"M1"}),
		"never in separation":   !tables.LeftToPSS(ip("105"), []string{"Ws"}),
		"VIPs, each once":       len(tables.VIPs()) == 4,
		"rows, all of a server": len(tables.Rows().Of("Ws")) == 2,
	} {
		if !ok {
			t.Errorf("%s: wrong", what)
		}
	}
}

func TestRealRows(t *testing.T) {
	tables := troubled(t)
	row, ok := tables.Real.Of(ip("202"))
	if !ok || row.IP != ip("202") || tables.Real.Has(ip("203")) {
		t.Errorf("row of 202: %v", row)
	}
	if got := tables.Real.Without(ip("201")).IPs(); !slices.Equal(got, []netip.Addr{ip("202")}) || len(tables.Real) != 2 {
		t.Errorf("without 201: %v", got)
	}
}

// inPS1 is troubled with the conditions of its groups.
func inPS1(t *testing.T) cluster.Tables {
	tables := troubled(t)
	tables.State = []cluster.StateRow{
		{Group: "Web", Condition: cluster.PS1, Bases: []netip.Addr{ip("203"), ip("202")}},
		{Group: "FTP", Condition: cluster.PS2, Bases: []netip.Addr{ip("203")}},
	}
	return tables
}

func TestGroups(t *testing.T) {
	tables := inPS1(t)
	web := tables.InGroup("Web")
	for what, ok := range map[string]bool{
		"condition":             tables.Condition("FTP") == cluster.PS2 && tables.Condition("Mail") == cluster.Moderate,
		"all groups":            slices.Equal(tables.Groups(), []string{"Web", "FTP", "Mail"}),
		"group of a VIP":        tables.GroupOf(ip("104")) == "Mail" && tables.GroupOf(ip("109")) == "",
		"first base awake":      tables.AwakeBase("Web") == ip("202"),
		"no base awake":         !tables.AwakeBase("FTP").IsValid() && !tables.AwakeBase("Mail").IsValid(),
		"its rows only":         len(web.Rows()) == 4 && len(web.Spares) == 1 && len(web.State) == 1 && len(web.Real) == 0,
		"its rows sorted":       web.Separation[0].VIP == ip("102") && web.Separation[0].Host == "W1",
		"needed for a recovery": tables.Needs(ip("201")) && !tables.Needs(ip("203")),
	} {
		if !ok {
			t.Errorf("%s: wrong", what)
		}
	}
}

func TestWhereASpareMayGo(t *testing.T) {
	tables := inPS1(t)
	if tables.Lost("Ws") || tables.Lost("M2") {
		t.Error("lost on an active real server, or in access stop")
	}
	if tables.Real = tables.Real.Without(ip("202")); !tables.Lost("Ws") {
		t.Error("not lost on a real server that is out")
	}
	tables = inPS1(t)
	if got := tables.Birthplace("FTP"); got != ip("201") {
		t.Errorf("no base is awake: created on %v, want any active real server", got)
	}
	if tables.Berth(cluster.SpareRow{Group: "Web", Host: "Ws"}).IsValid() {
		t.Error("a spare that serves may serve once more")
	}
	spare := cluster.SpareRow{Group: "Web", Host: "Ws2"}
	if got := tables.Berth(spare); got != ip("202") {
		t.Errorf("berth %v, want the first active base", got)
	}
	tables.AccessStop = append(tables.AccessStop, cluster.ServerRow{Group: "Web", Host: spare.Host, Real: ip("201")})
	if got := tables.Berth(spare); got != ip("201") {
		t.Errorf("berth %v, want where it stands in access stop", got)
	}
}
