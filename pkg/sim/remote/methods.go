package remote

import (
	"context"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// GuestState is Model.GuestState of the served fleet; so are the others below.
func (c *Client) GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	r, err := c.host(ctx, request{Method: "GuestState", Guest: g})
	return r.State, err
}

// Start is Model.Start.
func (c *Client) Start(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Start", Guest: g}))
}

// Resume is Model.Resume.
func (c *Client) Resume(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Resume", Guest: g}))
}

// Pause is Model.Pause.
func (c *Client) Pause(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Pause", Guest: g}))
}

// Reset is Model.Reset.
func (c *Client) Reset(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Reset", Guest: g}))
}

// Destroy is Model.Destroy.
func (c *Client) Destroy(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Destroy", Guest: g}))
}

// Save is Model.Save.
func (c *Client) Save(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Save", Guest: g}))
}

// Restore is Model.Restore.
func (c *Client) Restore(ctx context.Context, g cluster.Guest) error {
	return done(c.host(ctx, request{Method: "Restore", Guest: g}))
}

// Migrate is Model.Migrate.
func (c *Client) Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error {
	return done(c.host(ctx, request{Method: "Migrate", Guest: g, Real: to}))
}

// SetLink is Model.SetLink.
func (c *Client) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	return done(c.host(ctx, request{Method: "SetLink", Guest: g, Up: up}))
}

// Guests is Model.Guests.
func (c *Client) Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error) {
	r, err := c.host(ctx, request{Method: "Guests", Real: real})
	return r.Guests, err
}

// FreeMemoryKB is Model.FreeMemoryKB.
func (c *Client) FreeMemoryKB(ctx context.Context, real netip.Addr) (int64, error) {
	r, err := c.host(ctx, request{Method: "FreeMemoryKB", Real: real})
	return r.KB, err
}

// Work is Model.Work.
func (c *Client) Work(ctx context.Context, g cluster.Guest) (cluster.Work, error) {
	r, err := c.host(ctx, request{Method: "Work", Guest: g})
	return r.Work, err
}

// HypervisorAlive is Model.HypervisorAlive.
func (c *Client) HypervisorAlive(ctx context.Context, real netip.Addr) error {
	return done(c.host(ctx, request{Method: "HypervisorAlive", Real: real}))
}

// Addrs is Model.Addrs.
func (c *Client) Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error) {
	r, err := c.agent(ctx, request{Method: "Addrs", Guest: g})
	return r.Addrs, err
}

// AddVIP is Model.AddVIP.
func (c *Client) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return done(c.agent(ctx, request{Method: "AddVIP", Guest: g, IP: vip}))
}

// DelVIP is Model.DelVIP.
func (c *Client) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return done(c.agent(ctx, request{Method: "DelVIP", Guest: g, IP: vip}))
}

// Announce is Model.Announce.
func (c *Client) Announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return done(c.agent(ctx, request{Method: "Announce", Guest: g, IP: vip}))
}

// SetClock is Model.SetClock.
func (c *Client) SetClock(ctx context.Context, g cluster.Guest) error {
	return done(c.agent(ctx, request{Method: "SetClock", Guest: g}))
}

// RestartDaemon is Model.RestartDaemon.
func (c *Client) RestartDaemon(ctx context.Context, g cluster.Guest, daemon string) error {
	return done(c.agent(ctx, request{Method: "RestartDaemon", Guest: g, Daemon: daemon}))
}

// Run is Model.Run.
func (c *Client) Run(ctx context.Context, g cluster.Guest, argv []string) ([]byte, error) {
	r, err := c.agent(ctx, request{Method: "Run", Guest: g, Argv: argv})
	return r.Output, err
}

// Ping is Model.Ping.
func (c *Client) Ping(ctx context.Context, ip netip.Addr) error {
	return done(c.net(ctx, request{Method: "Ping", IP: ip}))
}

// Greet is Model.Greet.
func (c *Client) Greet(ctx context.Context, ip netip.Addr, daemon string) error {
	return done(c.net(ctx, request{Method: "Greet", IP: ip, Daemon: daemon}))
}

// WhoHas is Model.WhoHas.
func (c *Client) WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error) {
	r, err := c.net(ctx, request{Method: "WhoHas", IP: ip})
	return r.MACs, err
}

// Accesses is Model.Accesses.
func (c *Client) Accesses(ctx context.Context) (map[netip.Addr]uint64, error) {
	r, err := c.net(ctx, request{Method: "Accesses"})
	return r.Accesses, err
}

// SuspendReal is Model.SuspendReal.
func (c *Client) SuspendReal(ctx context.Context, real netip.Addr) error {
	return done(c.host(ctx, request{Method: "SuspendReal", Real: real}))
}

// WakeReal is Model.WakeReal.
func (c *Client) WakeReal(ctx context.Context, mac cluster.MAC) error {
	return done(c.net(ctx, request{Method: "WakeReal", MAC: mac}))
}

// RestartHypervisor is Model.RestartHypervisor.
func (c *Client) RestartHypervisor(ctx context.Context, real netip.Addr) error {
	return done(c.host(ctx, request{Method: "RestartHypervisor", Real: real}))
}

// Inject is Model.Inject.
func (c *Client) Inject(ctx context.Context, f sim.Fault) error {
	return done(c.net(ctx, request{Method: "Inject", Fault: f}))
}

// Heal is Model.Heal.
func (c *Client) Heal(ctx context.Context, target string) error {
	return done(c.net(ctx, request{Method: "Heal", Fault: sim.Fault{Target: target}}))
}

// SetLoad is Model.SetLoad.
func (c *Client) SetLoad(ctx context.Context, group string, percent, accesses float64, over time.Duration) error {
	return done(c.net(ctx, request{Method: "SetLoad", Load: loadChange{Group: group, Percent: percent, Accesses: accesses, Over: over}}))
}

func done(_ reply, err error) error { return err }

// Status is Model.Status.
func (c *Client) Status(ctx context.Context, q sim.Query) (sim.Status, error) {
	r, err := c.net(ctx, request{Method: "Status", Query: q})
	if r.Status == nil {
		return sim.Status{}, err
	}
	return *r.Status, err
}
