package settings

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/diag"
)

const paper = "../../testdata/paper/settings.toml"

var addrs = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty()}

func TestMissingFileIsDefault(t *testing.T) {
	s, err := Read(filepath.Join(t.TempDir(), File))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), s, addrs); diff != "" {
		t.Error(diff)
	}
}

// The paper's file spells the defaults: what differs is named here.
func TestPaperSpellsTheDefaults(t *testing.T) {
	s, err := Read(paper)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Fleet.Driver = "sim"
	want.Management.IP = netip.MustParseAddr("172.21.14.200")
	want.Network.References = []netip.Addr{netip.MustParseAddr("172.21.14.210"), netip.MustParseAddr("172.21.14.220")}
	want.Group = map[string]Group{
		"Mail": {Type: cluster.Network, Class: want.Class},
		"Web":  {Type: cluster.CPUNet, Class: want.Class},
		"FTP":  {Type: cluster.Network, Class: want.Class},
	}
	if diff := cmp.Diff(want, s, addrs); diff != "" {
		t.Error(diff)
	}
}

// Every knob of the struct stands in the paper's file, if only commented out.
func TestPaperHoldsEveryKnob(t *testing.T) {
	b, err := os.ReadFile(paper)
	if err != nil {
		t.Fatal(err)
	}
	var knobs func(reflect.Type) []string
	knobs = func(st reflect.Type) []string {
		var out []string
		for i := range st.NumField() {
			f := st.Field(i)
			if key := f.Tag.Get("toml"); key != "-" && key != "" {
				out = append(out, key)
			}
			if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[netip.Addr]() {
				out = append(out, knobs(f.Type)...)
			}
		}
		return out
	}
	for _, key := range knobs(reflect.TypeFor[Settings]()) {
		re := regexp.MustCompile(`(?m)^(# )?(\[(\w+\.)?` + key + `\]|` + key + ` = )`)
		if !re.Match(b) {
			t.Errorf("%s is not in %s", key, paper)
		}
	}
}

func TestParse(t *testing.T) {
	tests := map[string]struct {
		text string
		want func(*Settings)
	}{
		"profile lies under explicit keys": {
			"profile = \"paper\"\n[dsrs]\nrestart_wait = \"7s\"\n",
			func(s *Settings) {
				*s = s.WithProfile(Paper)
				s.DSRS.RestartWait = Duration(7 * time.Second)
			},
		},
		"a group lies over class wherever that stands": {
			"[group.Web]\nlight = 20\n[class]\nmoderate = 60\n",
			func(s *Settings) {
				s.Class.Moderate = 60
				g := s.Class
				g.Light = 20
				s.Group["Web"] = Group{Type: cluster.CPUNet, Class: g}
			},
		},
		"server and its names": {
			"[server.M1]\ncores = 4\n[server]\nmemory_kb = 5\nnetwork_mbps = 100\n",
			func(s *Settings) {
				s.Server = Server{MemoryKB: 5, Cores: 1, NetworkMbps: 100}
				s.Servers["M1"] = Server{MemoryKB: 5, Cores: 4, NetworkMbps: 100}
			},
		},
		"power of a real server": {
			"[power]\nactive_w = 30\n[real.\"172.21.14.201\"]\nsuspended_w = 1.5\n[real.\"fd00::1\"]\nactive_w = 9\n",
			func(s *Settings) {
				s.Power.ActiveW = 30
				s.Reals[netip.MustParseAddr("172.21.14.201")] = Power{30, 1.5}
				s.Reals[netip.MustParseAddr("fd00::1")] = Power{9, 3}
			},
		},
		"a command replaces the default": {
			"[guest]\nssh_command = [\"rsh\", \"{ip}\"]\n[guest.ports]\nmydaemon = 99\n",
			func(s *Settings) {
				s.Guest.SSHCommand = []string{"rsh", "{ip}"}
				s.Guest.Ports = map[string]int{"mydaemon": 99}
			},
		},
		"dotted and inline": {
			"measure.samples = 5\nlock = { wait = \"4s\" }\n",
			func(s *Settings) { s.Measure.Samples = 5; s.Lock.Wait = Duration(4 * time.Second) },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := Parse(File, []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			want := Default()
			tt.want(&want)
			if diff := cmp.Diff(want, s, addrs); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	tests := map[string]struct {
		text string
		want string // every line begins so, in order
	}{
		"unknown key":           {"[measure]\ninterval = \"1s\"\nintervall = \"1s\"\n", "settings.toml:3: unknown key measure.intervall"},
		"unknown top key":       {"nonsense = 1\n", "settings.toml:1: unknown key nonsense"},
		"unknown table":         {"\n[mesure]\ninterval = \"1s\"\n", "settings.toml:2: unknown key mesure"},
		"unknown key of group":  {"[group.Web]\ntype = \"CPU\"\ncolour = 1\n", "settings.toml:3: unknown key group.Web.colour"},
		"unknown key of server": {"[server]\ncolour = 1\n", "settings.toml:2: unknown key server.colour"},
		"unknown key of named":  {"[server.M1]\n\ncolour = 1\n", "settings.toml:3: unknown key server.M1.colour"},
		"unknown key of real":   {"[real.\"172.21.14.201\"]\nactive = 1\n", "settings.toml:2: unknown key real.172.21.14.201.active"},
		"several":               {"[a]\n[class]\nlight = -1\n[lock]\nwait = \"0s\"\n", "settings.toml:1: unknown key a\nsettings.toml:3: class.light: \nsettings.toml:5: lock.wait: "},
		"syntax":                {"[measure]\ninterval = \n", "settings.toml:2: "},
		"key twice":             {"[measure]\nsamples = 1\nsamples = 2\n", "settings.toml:3: "},
		"number for duration":   {"[measure]\ninterval = 10\n", "settings.toml:2: "},
		"float for duration":    {"[measure]\ninterval = 1.5\n", "settings.toml:2: "},
		"bad duration":          {"[measure]\ninterval = \"10\"\n", "settings.toml:2: "},
		"no duration":           {"[measure]\ninterval = \"-1s\"\n", "settings.toml:2: measure.interval: must be above 0"},
		"text for number":       {"[measure]\nsamples = \"3\"\n", "settings.toml:2: "},
		"fraction for count":    {"[measure]\nsamples = 2.5\n", "settings.toml:2: "},
		"no sample":             {"[measure]\nsamples = 0\n", "settings.toml:2: measure.samples: must be at least 1"},
		"above 100 percent":     {"[class]\nmoderate = 101\n", "settings.toml:2: class.moderate: "},
		"not a number":          {"[class]\nps2_accesses = nan\n", "settings.toml:2: class.ps2_accesses: "},
		"light not below":       {"[class]\nlight = 50\n", "settings.toml:2: class.light: light must be below moderate"},
		"moderate not above":    {"[class]\n\nmoderate = 30\n", "settings.toml:3: class.moderate: light must be below moderate"},
		"group above class":     {"[class]\nmoderate = 40\n[group.Web]\nlight = 45\n", "settings.toml:4: group.Web.light: light must be below moderate"},
		"group's streak":        {"[group.Web]\nlight_streak = 0\n", "settings.toml:2: group.Web.light_streak: must be at least 1"},
		"group's duration":      {"[group.Web]\nps2_window = 60\n", "settings.toml:2: group.Web.ps2_window: "},
		"group type":            {"[group.Web]\ntype = \"DISK\"\n", "settings.toml:2: group.Web.type: want one of CPU, NETWORK, CPU_NET"},
		"group name":            {"[group.\"W b\"]\ntype = \"CPU\"\n", "settings.toml:1: group.W b: bad name"},
		"server name":           {"[server.\"-M1\"]\ncores = 1\n", "settings.toml:1: server.-M1: bad name"},
		"real server IP":        {"[real.RS1]\nactive_w = 1\n", "settings.toml:1: real.RS1: bad IP address"},
		"profile":               {"profile = \"slow\"\n", "settings.toml:1: profile: want one of fast, paper"},
		"driver":                {"[fleet]\ndriver = \"xen\"\n", "settings.toml:2: fleet.driver: want one of libvirt, sim"},
		"speed":                 {"[fleet]\ndriver = \"sim\"\nspeed = 0\n", "settings.toml:3: fleet.speed: must be above 0"},
		"speed of libvirt":      {"[fleet]\nspeed = 2\n", "settings.toml:2: fleet.speed: only the emulated fleet"},
		"management":            {"[management]\nip = \"management\"\n", "settings.toml:2: "},
		"references":            {"[network]\nreferences = [\"\"]\n", "settings.toml:2: network.references: "},
		"power":                 {"[real.\"172.21.14.201\"]\nactive_w = -1\n", "settings.toml:2: real.172.21.14.201.active_w: must not be below 0"},
		"cores":                 {"[server.M1]\ncores = 0\n", "settings.toml:2: server.M1.cores: must be at least 1"},
		"no command":            {"[libvirt]\nsuspend_command = []\n", "settings.toml:2: libvirt.suspend_command: "},
		"access interface":      {"[access]\nsource = \"interface\"\n", "settings.toml:1: access.interface: source interface needs it"},
		"storm without a share": {"[brake]\nstorm_share = 0\n", "settings.toml:2: brake.storm_share: must be above 0 and at most 1"},
		"no wake at all":        {"[brake]\nwakes = 0\n", "settings.toml:2: brake.wakes: must be at least 1"},
		"port":                  {"[guest.ports]\nx = 70000\n", "settings.toml:2: guest.ports.x: must be a TCP port"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(File, []byte(tt.text))
			var faults *diag.List
			if !errors.As(err, &faults) {
				t.Fatalf("no faults: %v", err)
			}
			got, want := strings.Split(err.Error(), "\n"), strings.Split(tt.want, "\n")
			if len(got) != len(want) {
				t.Fatalf("got\n%s\nwant\n%s", err, tt.want)
			}
			for i := range want {
				if !strings.HasPrefix(got[i], want[i]) {
					t.Errorf("got %q, want %q...", got[i], want[i])
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	b, err := os.ReadFile(paper)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("[server]\nM1 = { cores = 2 }\n[group]\nWeb.light = 1\n"))
	f.Add([]byte("[[group]]\nx = 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(File, b)
		var faults *diag.List
		switch {
		case err != nil && !errors.As(err, &faults):
			t.Fatalf("not a fault: %v", err)
		case err == nil && s.Measure.Interval <= 0:
			t.Fatal("accepted an interval of 0")
		}
	})
}
