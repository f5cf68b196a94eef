package cluster_test

import (
	"testing"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/cluster/clustertest"
)

// The homes that plans lead to are tested in pkg/plan.
func TestHomesByTheFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		rows  string
		known cluster.HomeNames
		vip   string
		want  string // "" for nobody
	}{
		"it serves":                    {"op: Web 201 102 W1 2", nil, "102", "W1"},
		"access stop names it":         {"op: Web 202 105 W1 2\n op: Web 201 102 W1 2\n stop: Web 203 105 W2 5", nil, "105", "W2"},
		"a backup is none":             {"op: Web 200 102 Wb 62\n sep: Web 201 102 W1 2", nil, "102", "W1"},
		"a spare is none":              {"op: Web 202 105 Ws 52\n spare: Web Ws 52", nil, "105", ""},
		"each has the other's":         {"op: Web 201 105 W1 2\n op: Web 203 102 W2 5", cluster.HomeNames{ip("102"): "W1", ip("105"): "W2"}, "102", "W1"},
		"a .dat does not make a spare": {"op: Web 202 105 Ws 52\n spare: Web Ws 52", cluster.HomeNames{ip("105"): "Ws"}, "105", ""},
	} {
		t.Run(name, func(t *testing.T) {
			homes := clustertest.Tables(t, tt.rows).Homes(tt.known)
			if got := homes[ip(tt.vip)].Host; got != tt.want {
				t.Errorf("home of %s is %q, want %q", tt.vip, got, tt.want)
			}
			if tt.want != "" && len(homes.VIPsOf(tt.want)) != 1 {
				t.Errorf("%s is home of %v", tt.want, homes.VIPsOf(tt.want))
			}
		})
	}
}
