package main

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/startup"
)

// What the monitors post, and the ledger of resets, stand in pss status.
func TestStatusOfDoubts(t *testing.T) {
	d := place(t)
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	set, err := settings.Read(d.Settings())
	if err != nil {
		t.Fatal(err)
	}
	base := &startup.Base{Env: daemon.In(d), Settings: set}
	for name, real := range map[string]string{"M1": "172.21.14.201", "F1": "172.21.14.202", "W2": "172.21.14.203"} {
		one := doubt.Doubt{Target: name, Group: "any", Kind: doubt.Silent, Host: netip.MustParseAddr(real), Phi: 5.5, Evidence: "3 pings lost", Since: time.Now()}
		if err := base.Board().Post(one); err != nil {
			t.Fatal(err)
		}
	}
	if due, err := base.Resets().Permit(t.Context(), "M1", "Mail"); err != nil || !due.IsZero() {
		t.Fatal(due, err)
	}
	got := program(t, d, nil, "status")
	for _, want := range []string{"M1        any    silent  5.5  ", "  3 pings lost\n", "resets left: 2 of 3 within 10m0s\n", "warning: storm since ", ": 3 of 6 servers are doubtful, by 3 causes;"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	_, text, _ := strings.Cut(program(t, d, nil, "status", "--json"), "-- stdout\n")
	text, _, _ = strings.Cut(text, "-- stderr\n")
	var r struct {
		Doubts []doubt.Doubt
		Storm  doubt.Storm
		Resets struct{ Left int }
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil || len(r.Doubts) != 3 || !r.Storm.On || r.Storm.Targets != 6 || r.Resets.Left != 2 {
		t.Errorf("%+v, %v of %s", r, err, text)
	}
}
