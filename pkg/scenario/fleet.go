package scenario

import (
	"context"
	"net/netip"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/sim"
)

// view is the fleet as one program reaches it.
type view struct {
	p *Proc
	m *sim.Model
}

var _ fleet.Driver = view{}

// void is do for calls that return an error alone.
func void(ctx context.Context, p *Proc, op, host string, call func() error) error {
	_, err := do(ctx, p, op, host, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func (v view) GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	return do(ctx, v.p, "GuestState", g.Host, func() (cluster.GuestState, error) { return v.m.GuestState(ctx, g) })
}

func (v view) Start(ctx context.Context, g cluster.Guest) error {
	return void(ctx, v.p, "Start", g.Host, func() error { return v.m.Start(ctx, g) })
}

func (v view) Resume(ctx context.Context, g cluster.Guest) error {
	return void(ctx, v.p, "Resume", g.Host, func() error { return v.m.Resume(ctx, g) })
}

func (v view) Pause(ctx context.Context, g cluster.Guest) error {
	return void(ctx, v.p, "Pause", g.Host, func() error { return v.m.Pause(ctx, g) })
}

func (v view) Reset(ctx context.Context, g cluster.Guest) error {
	return void(ctx, v.p, "Reset", g.Host, func() error { return v.m.Reset(ctx, g) })
}

func (v view) Destroy(ctx context.Context, g cluster.Guest) error {
	return void(ctx, v.p, "Destroy", g.Host, func() error { return v.m.Destroy(ctx, g) })
}

func (v view) Save(ctx context.Context, g cluster.Guest) error {
	return void(ctx, v.p, "Save", g.Host, func() error { return v.m.Save(ctx, g) })
}

func (v view) Restore(ctx context.Context, g cluster.Guest) error {
	return void(ctx, v.p, "Restore", g.Host, func() error { return v.m.Restore(ctx, g) })
}

func (v view) Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error {
	return void(ctx, v.p, "Migrate", g.Host, func() error { return v.m.Migrate(ctx, g, to) })
}

func (v view) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	return void(ctx, v.p, "SetLink", g.Host, func() error { return v.m.SetLink(ctx, g, up) })
}

func (v view) Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error) {
	return do(ctx, v.p, "Guests", real.String(), func() ([]cluster.GuestInfo, error) { return v.m.Guests(ctx, real) })
}

func (v view) FreeMemoryKB(ctx context.Context, real netip.Addr) (int64, error) {
	return do(ctx, v.p, "FreeMemoryKB", real.String(), func() (int64, error) { return v.m.FreeMemoryKB(ctx, real) })
}

func (v view) Work(ctx context.Context, g cluster.Guest) (cluster.Work, error) {
	return do(ctx, v.p, "Work", g.Host, func() (cluster.Work, error) { return v.m.Work(ctx, g) })
}

func (v view) HypervisorAlive(ctx context.Context, real netip.Addr) error {
	return void(ctx, v.p, "HypervisorAlive", real.String(), func() error { return v.m.HypervisorAlive(ctx, real) })
}

func (v view) Events(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error) {
	return do(ctx, v.p, "Events", real.String(), func() (<-chan cluster.Event, error) { return v.m.Events(ctx, real) })
}

func (v view) Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error) {
	return do(ctx, v.p, "Addrs", g.Host, func() ([]netip.Addr, error) { return v.m.Addrs(ctx, g) })
}

func (v view) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return void(ctx, v.p, "AddVIP", g.Host, func() error { return v.m.AddVIP(ctx, g, vip) })
}

func (v view) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return void(ctx, v.p, "DelVIP", g.Host, func() error { return v.m.DelVIP(ctx, g, vip) })
}

func (v view) Announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return void(ctx, v.p, "Announce", g.Host, func() error { return v.m.Announce(ctx, g, vip) })
}

func (v view) SetClock(ctx context.Context, g cluster.Guest) error {
	return void(ctx, v.p, "SetClock", g.Host, func() error { return v.m.SetClock(ctx, g) })
}

func (v view) RestartDaemon(ctx context.Context, g cluster.Guest, daemon string) error {
	return void(ctx, v.p, "RestartDaemon", g.Host, func() error { return v.m.RestartDaemon(ctx, g, daemon) })
}

func (v view) Run(ctx context.Context, g cluster.Guest, argv []string) ([]byte, error) {
	return do(ctx, v.p, "Run", g.Host, func() ([]byte, error) { return v.m.Run(ctx, g, argv) })
}

func (v view) Ping(ctx context.Context, ip netip.Addr) error {
	return void(ctx, v.p, "Ping", ip.String(), func() error { return v.m.Ping(ctx, ip) })
}

func (v view) Greet(ctx context.Context, ip netip.Addr, daemon string) error {
	return void(ctx, v.p, "Greet", ip.String(), func() error { return v.m.Greet(ctx, ip, daemon) })
}

func (v view) WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error) {
	return do(ctx, v.p, "WhoHas", ip.String(), func() ([]cluster.MAC, error) { return v.m.WhoHas(ctx, ip) })
}

func (v view) Accesses(ctx context.Context) (map[netip.Addr]uint64, error) {
	return do(ctx, v.p, "Accesses", "", func() (map[netip.Addr]uint64, error) { return v.m.Accesses(ctx) })
}

func (v view) SuspendReal(ctx context.Context, real netip.Addr) error {
	return void(ctx, v.p, "SuspendReal", real.String(), func() error { return v.m.SuspendReal(ctx, real) })
}

func (v view) WakeReal(ctx context.Context, mac cluster.MAC) error {
	return void(ctx, v.p, "WakeReal", mac.String(), func() error { return v.m.WakeReal(ctx, mac) })
}

func (v view) RestartHypervisor(ctx context.Context, real netip.Addr) error {
	return void(ctx, v.p, "RestartHypervisor", real.String(), func() error { return v.m.RestartHypervisor(ctx, real) })
}

// Close implements fleet.Driver; the fleet outlives its programs.
func (v view) Close() error { return nil }
