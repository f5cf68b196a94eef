package sif

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// FuzzRequests makes any two requests after each other: whatever a master
// sends, no VIP is lost or served twice.
func FuzzRequests(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"verb":"A3","host":"M1"}`, `{"verb":"A4","host":"M1","real":"172.21.14.200","backup":{"host":"Mb","ip":"172.21.14.61","group":"Mail"}}`},
		{`{"verb":"A3","host":"M2"}`, `{"verb":"A5","host":"M2","outcome":"recovered","backup":{"host":"Mb","ip":"172.21.14.61"}}`},
		{`{"verb":"A4-failed","host":"W1"}`, `{"verb":"A5","host":"W1","outcome":"moving","real":"172.21.14.202","backup":{"host":"Wb","ip":"172.21.14.62"}}`},
		{`{"verb":"B3","real":"172.21.14.201"}`, `{"verb":"B4","real":"172.21.14.201","mac":"00:00:00:00:00:01","servers":[{"target":{"host":"W1","ip":"172.21.14.2"},"backup":{"host":"Wb","ip":"172.21.14.62"}}]}`},
	} {
		f.Add(seed[0], seed[1])
	}
	start := tables(f, `
		op: Mail 201 101 M1 1
		op: Mail 200 104 Mb2 64
		op: Web 202 102 W2 5
		stop: Web 201 102 W1 2
		sep: Mail 202 104 M2 4
		sep: Web 201 105 Ws 52
		spare: Web Ws 52
		real: 201
		real: 202
		asleep: 203`)
	s := New(Options{DatDir: "../../testdata/paper", Management: mgmt, Failed: ipc.Failed{Dir: f.TempDir()}, Log: zerolog.Nop()})
	f.Fuzz(func(t *testing.T, first, second string) {
		now := start.Clone()
		for _, line := range []string{first, second} {
			var req ipc.Request
			if json.Unmarshal([]byte(line), &req) != nil || req.Validate() != nil {
				continue
			}
			next := now.Clone()
			if _, err := s.change(&next, req, false); err == nil {
				now = next
			}
			conserved(t, start, now)
		}
	})
}

// conserved demands that every VIP is served once or stands in separation.
func conserved(t *testing.T, before, now cluster.Tables) {
	t.Helper()
	served := map[netip.Addr]int{}
	for _, r := range now.Operation {
		served[r.VIP]++
	}
	for _, vip := range slices.Concat(before.Operation, before.Separation).VIPs() {
		separated := slices.ContainsFunc(now.Separation, func(r cluster.ServerRow) bool { return r.VIP == vip })
		if served[vip] > 1 || served[vip] == 0 && !separated {
			t.Fatalf("VIP %s: %d rows in operation, in separation %v\n%s", vip, served[vip], separated, text(now))
		}
	}
}
