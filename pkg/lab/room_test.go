package lab

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"pss-msbs/pkg/check"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
)

// TestSite: the programs find no fault with the configuration that they get.
func TestSite(t *testing.T) {
	l := &Lab{plan: Room(""), dir: t.TempDir(), prefix: "psslab1-"}
	if err := l.writeSite("../../testdata/paper", "/bin/lab"); err != nil {
		t.Fatal(err)
	}
	report, err := check.Dir(t.Context(), conffile.Open(l.Sub("conf"), conffile.Options{Holder: "test"}))
	if err != nil || len(report.Faults) > 0 {
		t.Error(report, err)
	}
}

func TestRoomPlan(t *testing.T) {
	p := Room("")
	homes, names := 0, map[string]bool{}
	for _, s := range p.Servers {
		if s.Home != "" {
			homes++
		}
		names[s.Host] = true
	}
	if homes != 6 || len(names) != 15 || !names["Fb2"] || !names["Ws"] {
		t.Errorf("%d homes among %v", homes, names)
	}
	for _, name := range []string{"RS2", "rs2", "172.21.14.202"} {
		if h, err := p.find(name); err != nil || h.Name != "RS2" {
			t.Errorf("%s is %v, %v", name, h, err)
		}
	}
	if h, err := p.find("management"); err != nil || h.Name != "mgmt" {
		t.Errorf("the management server is %v, %v", h, err)
	}
	if _, err := p.find("RS9"); err == nil {
		t.Error("RS9 was found")
	}
}

func TestMagic(t *testing.T) {
	mac := cluster.MAC{2, 0, 0, 0, 14, 202}
	header := append(append(mac[:6:6], 2, 0, 0, 0, 14, 200), 0x08, 0x42)
	ones := bytes.Repeat([]byte{0xff}, 6)
	whole := append(append(bytes.Clone(header), ones...), bytes.Repeat(mac[:], 16)...)
	if got, ok := magic(whole); !ok || got != mac {
		t.Errorf("%v, %v", got, ok)
	}
	for name, frame := range map[string][]byte{
		"short":  whole[:len(whole)-1],
		"header": header,
		"other":  append(append(bytes.Clone(header), ones...), bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, 14)...),
	} {
		if _, ok := magic(frame); ok {
			t.Errorf("%s is taken for a magic packet", name)
		}
	}
}

func TestBalancer(t *testing.T) {
	text := balancerConfig()
	for _, want := range []string{"server vip101 172.21.14.101:25 check", "server vip104 172.21.14.104:143 track Mail-25/vip104", "option redispatch"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestRecipeName(t *testing.T) {
	name, err := recipeName()
	if again, _ := recipeName(); err != nil || name != again || filepath.Ext(name) != ".img" {
		t.Errorf("%q, then %q, %v", name, again, err)
	}
}

func TestLoads(t *testing.T) {
	l := loads{want: map[string]wanted{}, has: map[string]have{}}
	for _, bad := range [][2]string{{"Web", "81"}, {"Web", "-1"}, {"Web", "x"}, {"Print", "10"}} {
		if l.set(bad[0], bad[1]) == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if err := l.set("web", "50"); err != nil || l.want["W"].percent != 50 {
		t.Errorf("%v, %v", l.want, err)
	}
}

// TestLacks: a guest lacks its load until it was filled in this life, and when the
// order is given again.
func TestLacks(t *testing.T) {
	l := newLoads()
	first, reset := Life{PID: 7, Boots: 1}, Life{PID: 7, Boots: 2}
	order := func(percent string) wanted {
		if err := l.set("Mail", percent); err != nil {
			t.Fatal(err)
		}
		return l.want["M"]
	}
	idle, half := order("0"), order("50")
	again := order("50")
	for _, x := range []struct {
		name     string
		was, now have
		lacks    bool
	}{
		{"never filled", have{}, have{half, first}, true},
		{"filled", have{half, first}, have{half, first}, false},
		{"reset, its QEMU the same", have{half, first}, have{half, reset}, true},
		{"the same order again", have{half, first}, have{again, first}, true},
		{"to be empty", have{half, first}, have{idle, first}, true},
		{"to be empty, and reset", have{half, first}, have{idle, reset}, false},
		{"to be empty, and never filled", have{}, have{idle, first}, false},
	} {
		if l.has = map[string]have{}; x.was != (have{}) {
			l.has["M1"] = x.was
		}
		if _, got := l.lacks("M1", x.now); got != x.lacks {
			t.Errorf("%s: lacks is %v", x.name, got)
		}
	}
}

func TestParseShare(t *testing.T) {
	for text, want := range map[string]float64{"5%": 0.05, "0": 0, "99.5%": 0.995} {
		if got, err := parseShare(text); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "%", "100%", "-1%", "NaN", "5%%"} {
		if got, err := parseShare(bad); err == nil {
			t.Errorf("%q was taken as %v", bad, got)
		}
	}
}
