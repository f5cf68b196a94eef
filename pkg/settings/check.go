package settings

import (
	"maps"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"pss-msbs/pkg/cluster"
)

// check finds values that parse and make no sense.
func (r *reader) check(s Settings) {
	r.walk(reflect.ValueOf(s), "")
	r.oneOf("profile", string(s.Profile), string(Fast), string(Paper))
	r.oneOf("log_format", s.LogFormat, "text", "json")
	r.oneOf("fleet.driver", s.Fleet.Driver, "libvirt", "sim")
	r.oneOf("guest.method", s.Guest.Method, "agent", "ssh")
	r.oneOf("access.source", s.Access.Source, "none", "interface", "command")
	r.demand(s.Fleet.Speed > 0, "fleet.speed", "must be above 0")
	r.demand(s.Fleet.Speed == 1 || s.Fleet.Driver != "libvirt", "fleet.speed", "only the emulated fleet has a speed: with libvirt it must be 1")
	r.addrs(s)
	r.commands(s)
	r.demand(s.Brake.StormShare > 0 && s.Brake.StormShare <= 1, "brake.storm_share", "must be above 0 and at most 1")
	r.demand(s.Detector.Alarm > 0 && s.Detector.Alarm <= s.Detector.Act, "detector.alarm", "must be above 0 and at most act")
	r.demand(s.Detector.LossFloor > 0 && s.Detector.LossFloor < 0.5, "detector.loss_floor", "must be above 0 and below 0.5")
	r.demand(s.Detector.Busy > 0 && s.Detector.Busy <= 1, "detector.busy", "must be above 0 and at most 1")
	r.demand(s.Detector.LeastIdle >= 0 && s.Detector.LeastIdle < 1, "detector.least_idle", "must be at least 0 and below 1")
	r.class(s.Class, "class")
	r.power(s.Power, "power")
	for _, ip := range slices.SortedFunc(maps.Keys(s.Reals), netip.Addr.Compare) {
		r.power(s.Reals[ip], "real."+ip.String())
	}
	r.size(s.Server, "server")
	for _, name := range slices.Sorted(maps.Keys(s.Servers)) {
		r.size(s.Servers[name], "server."+name)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Group)) {
		at := "group." + name
		r.oneOf(at+".type", string(s.Group[name].Type), string(cluster.CPU), string(cluster.Network), string(cluster.CPUNet))
		r.walk(reflect.ValueOf(s.Group[name].Class), at)
		r.class(s.Group[name].Class, at)
	}
}

func (r *reader) demand(ok bool, path, text string) {
	if !ok && !r.inherited(path) {
		r.faults.Add(r.file, r.line(path), "%s: %s", path, text)
	}
}

// inherited reports whether a table by name has its value from the table under
// it, whose own fault it is.
func (r *reader) inherited(path string) bool {
	_, own := r.lines[path]
	named := strings.HasPrefix(path, "group.") || strings.HasPrefix(path, "real.") || strings.HasPrefix(path, "server.")
	return named && !own
}

func (r *reader) oneOf(path, have string, want ...string) {
	r.demand(slices.Contains(want, have), path, "want one of "+strings.Join(want, ", "))
}

// walk demands of every knob what its kind always means: a duration above 0, a
// count of at least 1, a finite number.
func (r *reader) walk(v reflect.Value, at string) {
	for i := range v.NumField() {
		field, key := v.Field(i), v.Type().Field(i).Tag.Get("toml")
		if key == "-" || key == "" {
			continue
		}
		path := strings.TrimPrefix(at+"."+key, ".")
		switch x := field.Interface().(type) {
		case Duration:
			r.demand(x > 0, path, "must be above 0")
		case int:
			r.demand(x >= 1, path, "must be at least 1")
		case float64:
			r.demand(!math.IsNaN(x) && !math.IsInf(x, 0), path, "must be a finite number")
		case map[string]int:
			for _, name := range slices.Sorted(maps.Keys(x)) {
				r.port(path+"."+name, name, x[name])
			}
		default:
			if field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[netip.Addr]() {
				r.walk(field, path)
			}
		}
	}
}

// durations demands strings for durations: TOML's own numbers would be taken
// for nanoseconds.
func (r *reader) durations() {
	known := map[string]bool{}
	durationKeys(reflect.TypeFor[Settings](), "", known)
	for path, kind := range r.kinds {
		own := path
		if parts := strings.Split(path, "."); len(parts) == 3 && parts[0] == "group" {
			own = "class." + parts[2]
		}
		r.demand(!known[own] || kind == unstable.String, path, "want a duration in quotes, as \"10s\"")
	}
}

func durationKeys(t reflect.Type, at string, known map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		path := strings.TrimPrefix(at+"."+f.Tag.Get("toml"), ".")
		switch {
		case f.Type == reflect.TypeFor[Duration]():
			known[path] = true
		case f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[netip.Addr]():
			durationKeys(f.Type, path, known)
		}
	}
}

func (r *reader) port(path, daemon string, port int) {
	if err := cluster.CheckDaemon(daemon); err != nil {
		r.demand(false, path, err.Error())
	}
	r.demand(port >= 1 && port <= 65535, path, "must be a TCP port, 1 to 65535")
}

func (r *reader) addrs(s Settings) {
	r.demand(s.Management.IP.Zone() == "", "management.ip", "must have no zone")
	for _, a := range s.Network.References {
		r.demand(a.IsValid() && a.Zone() == "", "network.references", "want IP addresses without a zone")
	}
}

// commands demands a program where a command will be run.
func (r *reader) commands(s Settings) {
	for path, argv := range map[string][]string{
		"libvirt.suspend_command": s.Libvirt.SuspendCommand,
		"libvirt.restart_command": s.Libvirt.RestartCommand,
		"guest.ssh_command":       s.Guest.SSHCommand,
		"guest.restart_command":   s.Guest.RestartCommand,
		"guest.announce_command":  s.Guest.AnnounceCommand,
		"guest.announce6_command": s.Guest.Announce6Command,
	} {
		r.demand(len(argv) > 0 && argv[0] != "", path, "want a program and its arguments")
	}
	r.demand(s.Libvirt.URI != "", "libvirt.uri", "must not be empty")
	r.demand(s.Libvirt.ManagementURI != "", "libvirt.management_uri", "must not be empty")
	r.demand(s.Guest.Interface != "", "guest.interface", "must not be empty")
	r.demand(s.Access.Source != "interface" || s.Access.Interface != "", "access.interface", "source interface needs it")
	r.demand(s.Access.Source != "command" || len(s.Access.Command) > 0 && s.Access.Command[0] != "", "access.command", "source command needs it")
}

func (r *reader) class(c Class, at string) {
	r.demand(c.Light >= 0 && c.Light <= 100, at+".light", "must be a percentage, 0 to 100")
	r.demand(c.Moderate >= 0 && c.Moderate <= 100, at+".moderate", "must be a percentage, 0 to 100")
	r.demand(c.Light < c.Moderate, r.nearest(at, "light", "moderate"), "light must be below moderate")
	r.demand(c.UrgentLoad >= 0 && c.UrgentLoad <= 100, at+".urgent_load", "must be a percentage, 0 to 100")
	r.demand(c.FailureLoad >= 0, at+".failure_load", "must not be below 0")
	r.demand(c.LighterLongest >= c.LighterAfter, r.nearest(at, "lighter_longest", "lighter_after"), "lighter_longest must not be below lighter_after")
	r.demand(!(c.PS2Accesses < 0), at+".ps2_accesses", "must not be below 0")
	r.demand(!(c.MonitorAccessesPerSecond < 0), at+".monitor_accesses_per_second", "must not be below 0")
}

// nearest is the first of the keys that stands in the table.
func (r *reader) nearest(at string, keys ...string) string {
	for _, k := range keys {
		if _, ok := r.lines[at+"."+k]; ok {
			return at + "." + k
		}
	}
	return at + "." + keys[0]
}

func (r *reader) power(p Power, at string) {
	for key, w := range map[string]float64{"active_w": p.ActiveW, "suspended_w": p.SuspendedW} {
		r.demand(w >= 0 && !math.IsInf(w, 0), at+"."+key, "must not be below 0")
	}
}

func (r *reader) size(s Server, at string) {
	r.demand(s.MemoryKB >= 1, at+".memory_kb", "must be at least 1")
	r.demand(s.Cores >= 1, at+".cores", "must be at least 1")
	r.demand(s.NetworkMbps > 0 && !math.IsInf(s.NetworkMbps, 0), at+".network_mbps", "must be above 0")
}
