// Package remote carries an emulated fleet to other processes over a Unix socket.
package remote

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// request is one line to the fleet's server. Which arguments count depends on
// the method; its names are those of the driver's methods.
type request struct {
	Method  string        `json:"method"`
	LeaveUS int64         `json:"leave_us,omitempty"` // wall-clock microseconds until the answer must have left; 0: no deadline
	Guest   cluster.Guest `json:"guest,omitzero"`
	Real    netip.Addr    `json:"real,omitzero"` // also Migrate's destination
	IP      netip.Addr    `json:"ip,omitzero"`   // also a VIP
	MAC     cluster.MAC   `json:"mac,omitzero"`
	Daemon  string        `json:"daemon,omitempty"`
	Argv    []string      `json:"argv,omitempty"`
	Up      bool          `json:"up,omitempty"`
	Fault   sim.Fault     `json:"fault,omitzero"` // Heal: only its target
	Load    loadChange    `json:"load,omitzero"`
	Query   sim.Query     `json:"query,omitzero"`
}

type loadChange struct {
	Group    string        `json:"group"`
	Percent  float64       `json:"percent"`
	Accesses float64       `json:"accesses"`
	Over     time.Duration `json:"over"`
}

// reply is one line from the fleet's server; Events answers with many.
type reply struct {
	Error    string                `json:"error,omitempty"`
	Is       string                `json:"is,omitempty"`      // which of cluster's errors it wraps
	Unknown  bool                  `json:"unknown,omitempty"` // and cluster.ErrUnknown
	State    cluster.GuestState    `json:"state,omitempty"`
	Guests   []cluster.GuestInfo   `json:"guests,omitempty"`
	KB       int64                 `json:"kb,omitempty"`
	Work     cluster.Work          `json:"work,omitzero"`
	Addrs    []netip.Addr          `json:"addrs,omitempty"`
	Output   []byte                `json:"output,omitempty"`
	MACs     []cluster.MAC         `json:"macs,omitempty"`
	Accesses map[netip.Addr]uint64 `json:"accesses,omitempty"`
	Event    *cluster.Event        `json:"event,omitempty"`
	Status   *sim.Status           `json:"status,omitempty"`
}

// identity is an error that callers tell apart, and its name on the wire.
type identity struct {
	name string
	err  error
}

// known are the errors whose identity survives the wire, the more special first.
func known() []identity {
	return []identity{{"gone", cluster.ErrAgentGone}, {"refused", cluster.ErrRefused}, {"host", cluster.ErrHostSilent}, {"agent", cluster.ErrAgentSilent},
		{"answer", cluster.ErrNoAnswer}, {"deadline", context.DeadlineExceeded}}
}

func (r *reply) fail(err error) {
	if err == nil {
		return
	}
	r.Error, r.Unknown = err.Error(), errors.Is(err, cluster.ErrUnknown)
	if n := slices.IndexFunc(known(), func(k identity) bool { return errors.Is(err, k.err) }); n >= 0 {
		r.Is = known()[n].name
	}
}

func (r reply) err() error {
	if r.Error == "" {
		return nil
	}
	e := &wireError{text: r.Error}
	if n := slices.IndexFunc(known(), func(k identity) bool { return k.name == r.Is }); n >= 0 {
		e.is = known()[n].err
	}
	e.unknown = r.Unknown
	return e
}

// wireError is an error of the server with the identity it had there.
type wireError struct {
	text    string
	is      error
	unknown bool // cluster.ErrUnknown, too
}

func (e *wireError) Error() string { return e.text }

func (e *wireError) Unwrap() error { return e.is }

func (e *wireError) Is(target error) bool { return e.unknown && target == cluster.ErrUnknown }

// do calls the model's method that q names.
func do(ctx context.Context, m *sim.Model, q request) (r reply, err error) {
	switch q.Method {
	case "GuestState":
		r.State, err = m.GuestState(ctx, q.Guest)
	case "Guests":
		r.Guests, err = m.Guests(ctx, q.Real)
	case "FreeMemoryKB":
		r.KB, err = m.FreeMemoryKB(ctx, q.Real)
	case "Work":
		r.Work, err = m.Work(ctx, q.Guest)
	case "Addrs":
		r.Addrs, err = m.Addrs(ctx, q.Guest)
	case "Run":
		r.Output, err = m.Run(ctx, q.Guest, q.Argv)
	case "WhoHas":
		r.MACs, err = m.WhoHas(ctx, q.IP)
	case "Accesses":
		r.Accesses, err = m.Accesses(ctx)
	case "Status":
		var s sim.Status
		s, err = m.Status(ctx, q.Query)
		r.Status = &s
	default:
		change, ok := changes()[q.Method]
		if !ok {
			return r, fmt.Errorf("cannot do %q: no such method", q.Method)
		}
		err = change(ctx, m, q)
	}
	return r, err
}

// changes are the methods that answer with nothing but an error.
func changes() map[string]func(context.Context, *sim.Model, request) error {
	type call = func(context.Context, *sim.Model, request) error
	guest := func(f func(*sim.Model, context.Context, cluster.Guest) error) call {
		return func(ctx context.Context, m *sim.Model, q request) error { return f(m, ctx, q.Guest) }
	}
	vip := func(f func(*sim.Model, context.Context, cluster.Guest, netip.Addr) error) call {
		return func(ctx context.Context, m *sim.Model, q request) error { return f(m, ctx, q.Guest, q.IP) }
	}
	real := func(f func(*sim.Model, context.Context, netip.Addr) error) call {
		return func(ctx context.Context, m *sim.Model, q request) error { return f(m, ctx, q.Real) }
	}
	return map[string]call{
		"Start": guest((*sim.Model).Start), "Resume": guest((*sim.Model).Resume), "Pause": guest((*sim.Model).Pause),
		"Reset": guest((*sim.Model).Reset), "Destroy": guest((*sim.Model).Destroy), "Save": guest((*sim.Model).Save),
		"Restore": guest((*sim.Model).Restore), "SetClock": guest((*sim.Model).SetClock),
		"AddVIP": vip((*sim.Model).AddVIP), "DelVIP": vip((*sim.Model).DelVIP), "Announce": vip((*sim.Model).Announce),
		"HypervisorAlive": real((*sim.Model).HypervisorAlive), "SuspendReal": real((*sim.Model).SuspendReal),
		"RestartHypervisor": real((*sim.Model).RestartHypervisor),
		"Migrate":           func(ctx context.Context, m *sim.Model, q request) error { return m.Migrate(ctx, q.Guest, q.Real) },
		"SetLink":           func(ctx context.Context, m *sim.Model, q request) error { return m.SetLink(ctx, q.Guest, q.Up) },
		"RestartDaemon": func(ctx context.Context, m *sim.Model, q request) error {
			return m.RestartDaemon(ctx, q.Guest, q.Daemon)
		},
		"Ping":     func(ctx context.Context, m *sim.Model, q request) error { return m.Ping(ctx, q.IP) },
		"Greet":    func(ctx context.Context, m *sim.Model, q request) error { return m.Greet(ctx, q.IP, q.Daemon) },
		"WakeReal": func(ctx context.Context, m *sim.Model, q request) error { return m.WakeReal(ctx, q.MAC) },
		"Inject":   func(_ context.Context, m *sim.Model, q request) error { return m.Inject(q.Fault) },
		"Heal":     func(_ context.Context, m *sim.Model, q request) error { return m.Heal(q.Fault.Target) },
		"SetLoad": func(_ context.Context, m *sim.Model, q request) error {
			return m.SetLoad(q.Load.Group, q.Load.Percent, q.Load.Accesses, q.Load.Over)
		},
	}
}
